"""Where the committed configuration is, and how it is read and written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HEADER = "# Written by `vv config render`: change the environment or vv.yml, and render again.\n"


def folder() -> Path:
    """The folder with `alertmanager/` and `prometheus/`: in the installed package, or the checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_deploy"
    return installed if installed.is_dir() else package.parents[1]


def load(path: Path) -> dict[str, Any]:
    """A YAML file whose document is a mapping; its anchors are resolved."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def dump(document: dict[str, Any]) -> str:
    """YAML that reads back as `document`, in its order, without anchors."""
    text: str = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000)
    return HEADER + text


def dump_list(items: list[dict[str, Any]]) -> str:
    """The same of a list, without the header."""
    text: str = yaml.dump(items, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1000)
    return text


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's name
        return True
