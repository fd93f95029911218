"""The centre's configuration: the inventory and the settings in, the files that its servers run with out.

OUT/auth.yml                         vmauth: who may write as which device, who may read; mode 0600
OUT/rules/fleet.yml inventory.yml    vmalert
OUT/alertmanager.yml templates/ secrets/
OUT/tokens/NAME                      mode 0600; made once, and kept: what each device, and grafana, shows to vmauth
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vv_exporter import channels
from vv_exporter.fleet.inventory import Device
from vv_exporter.language import ENGLISH, current, speaking
from vv_exporter.render import alertmanager, base, files
from vv_exporter.render import secrets as channel_secrets
from vv_exporter.render.annotations import translated_rules
from vv_exporter.render.templates import FLEET_WORDS, translated
from vv_exporter.settings import Settings, SettingsError
from vv_exporter.settings.catalogue import project_runbooks

FOLDERS = ("rules", "templates", "secrets", "tokens")
READER = "grafana"
_A_RULE_HAS = 50
"""Devices in one expression: VictoriaMetrics takes 16 KB (-search.maxQueryLen)."""
_READS = (
    "query",
    "query_range",
    "series",
    "labels",
    "label/[^/]+/values",
    "format_query",
    "metadata",
    "status/buildinfo",
)


def render(devices: Sequence[Device], settings: Settings, out: Path, store: str) -> None:
    """Write all of it into the folder `out`; `store` is the address of the store as vmauth reaches it.

    Each file is replaced as a whole. Raises `SettingsError`, `OSError`.
    """
    problems = list(channels.problems(settings))
    if problems:
        raise SettingsError(problems)
    out, source = out.absolute(), base.folder()
    files.claim(out, FOLDERS, lambda _: False)
    senders = [device.name for device in devices if not device.retired]
    tokens = _make_tokens(out / "tokens", [*senders, READER])
    with speaking(settings.language):
        translated = rules(source)
        templates = alertmanager.templates(source, settings) | _read_templates(source)
    configuration = base.load(source / "fleet" / "alertmanager.yml")
    routed = alertmanager.with_configured_channels(configuration, settings, out)
    shown = {Path(name).name for name in alertmanager.secret_files(configuration)}
    contents: Mapping[str, Mapping[str, str]] = {
        "rules": {**translated, "inventory.yml": base.dump(inventory_rules(devices))},
        "templates": templates,
        "secrets": channel_secrets.of_channels(settings, shown),
    }
    for name, texts in contents.items():
        files.add(out / name, texts, private=name == "secrets")
    files.write(out / "auth.yml", base.dump(access(tokens, store)), private=True)
    files.write(out / "alertmanager.yml", base.dump(routed))
    for name, texts in contents.items():
        files.keep_only(out / name, texts)
    files.keep_only(out / "tokens", tokens)


def rules(source: Path) -> dict[str, str]:
    """The rule files by name, with what their alerts say, and the runbooks they name, in the current language."""
    return {path.name: _rule_file(path) for path in sorted((source / "fleet/rules").glob("*.yml"))}


def _rule_file(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if current() == ENGLISH:  # as committed, with its comments
        return text
    text = text.replace(project_runbooks(ENGLISH), project_runbooks(current()))
    return base.dump(translated_rules(yaml.safe_load(text)))


def _read_templates(source: Path) -> dict[str, str]:
    """The template files by name, their words in the current language."""
    found = {
        path.name: path.read_text(encoding="utf-8") for path in sorted((source / "fleet/templates").glob("*.tmpl"))
    }
    return found | {FLEET_WORDS: translated(found[FLEET_WORDS])}


def _make_tokens(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The token of each name: that of its file, or a new one. Who has none any more is refused from now on."""
    found = {}
    for name in names:
        file = folder / name
        kept = file.read_text(encoding="ascii").strip() if file.is_file() else ""
        found[name] = kept or secrets.token_urlsafe(32)
        files.add(folder, {} if kept else {name: found[name]}, private=True)
    return found


def access(tokens: Mapping[str, str], store: str) -> dict[str, Any]:
    """Vmauth's configuration (https://docs.victoriametrics.com/victoriametrics/vmauth/): a device may write, and only
    in its own name, which the store writes over whatever it says; the reader may ask, and nothing else."""
    store = store.rstrip("/")
    devices = [
        _door_user(name, token, ["/api/v1/write"], f"{store}/?extra_label=device={name}")
        for name, token in tokens.items()
        if name != READER
    ]
    reader = _door_user(READER, tokens[READER], [f"(?:/prometheus)?/api/v1/{path}" for path in _READS], f"{store}/")
    return {"users": [*devices, reader]}


def _door_user(name: str, token: str, paths: list[str], url: str) -> dict[str, Any]:
    return {"name": name, "bearer_token": token, "url_map": [{"src_paths": paths, "url_prefix": url}]}


def inventory_rules(devices: Sequence[Device]) -> dict[str, Any]:
    """Vmalert's rules that make series of it: `vv_fleet_inventory{device,site,machine}` and `vv_fleet_retired`."""
    expected = [device for device in devices if not device.retired]
    retired = [device for device in devices if device.retired]
    rules = [*_recording_rules("vv_fleet_inventory", expected), *_recording_rules("vv_fleet_retired", retired)]
    return {"groups": [{"name": "inventory", "interval": "1m", "rules": rules}]}


def _recording_rules(name: str, devices: Sequence[Device]) -> Iterator[dict[str, str]]:
    for start in range(0, len(devices), _A_RULE_HAS):
        yield {"record": name, "expr": " or\n".join(map(_device_series, devices[start : start + _A_RULE_HAS]))}


def _device_series(device: Device) -> str:
    """A sample of the value 1 with the labels of a device, in PromQL."""
    expression = "vector(1)"
    for label, value in (("device", device.name), ("site", device.site), ("machine", device.machine)):
        if value:
            expression = f'label_replace({expression}, "{label}", {json.dumps(value, ensure_ascii=False)}, "", "")'
    return expression
