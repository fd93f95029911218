"""Where the committed configuration is, and how it is read and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from vv_exporter.settings import Settings, SettingsError

HEADER = "# Written by `vv config render`: change the environment or vv.yml, and render again.\n"


def folder() -> Path:
    """The folder with `alertmanager/` and `prometheus/`: in the installed package, or the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_deploy"
    return installed if installed.is_dir() else package.parents[1]


def trusting(settings: Settings) -> dict[str, Any]:
    """What a server's HTTP client needs to know the exporter's certificate.

    The certificates themselves, for the server may not be able to read a file of the exporter's: the key `ca` of
    https://prometheus.io/docs/prometheus/latest/configuration/configuration/#tls_config. Raises `SettingsError`.
    """
    path = settings.exporter_ca_file
    if path is None:
        return {}
    try:
        return {"tls_config": {"ca": path.read_text(encoding="ascii")}}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"VV_EXPORTER_CA_FILE: {path} cannot be read as PEM: {error}"]) from error


def load(path: Path) -> dict[str, Any]:
    """A YAML file whose document is a mapping; its anchors are resolved."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def dump(document: dict[str, Any]) -> str:
    """YAML that reads back as `document`, in its order, without anchors."""
    text: str = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000)
    return HEADER + text


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's name
        return True
