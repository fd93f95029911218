"""The inventory of a fleet: which devices there should be, at which site, on which machine.

    devices:
      north-1: {site: Porto}
      north-2: {site: Porto, machine: 5f0c63c1a9d2}    # no other machine may report under this name
      south-7: {retired: true}                         # taken down for good: nobody misses it

`machine` is what `vv fleet status` shows on the device. To replace a device: give the new one its name, and write the
new machine here. Its history goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from vv_exporter.settings import SettingsError

_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_SITE = re.compile(r"[^\x00-\x1f\x7f\"\\$]{0,100}")
_MACHINE = re.compile(r"[0-9a-f]{0,64}")
RESERVED = frozenset({"grafana"})
"""Has a token, but is no device."""


class Device(NamedTuple):
    """A device that there should be; `site` and `machine` may be empty."""

    name: str
    site: str = ""
    machine: str = ""
    retired: bool = False


def read(path: Path) -> list[Device]:
    """The devices of a file, in its order. Raises `SettingsError` with all that is wrong in it."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError([f"{path}: cannot be read: {error}"]) from error
    return parse(document, str(path))


def parse(document: Any, where: str = "inventory") -> list[Device]:
    """The devices of a document. Raises `SettingsError` with all that is wrong in it."""
    devices = document.get("devices") if isinstance(document, dict) else None
    if not isinstance(devices, dict) or set(document) != {"devices"}:
        raise SettingsError([f"{where}: must have `devices:` alone, and below it a line for each device"])
    problems = [f"{where}: {problem}" for name, fields in devices.items() for problem in _find_problems(name, fields)]
    if problems:
        raise SettingsError(problems)
    return [Device(name, **(fields or {})) for name, fields in devices.items()]


def _find_problems(name: Any, fields: Any) -> Iterator[str]:
    if not isinstance(name, str) or not _DEVICE.fullmatch(name) or name in RESERVED:
        yield f"{name!r} is no name of a device: letters, digits, . _ - only, 63 at most, in quotes if it is a number"
        return
    if fields is None:
        return
    if not isinstance(fields, dict):
        yield f"{name}: must be {{site: …}}, or nothing"
        return
    unknown = [str(key) for key in fields if key not in Device._fields[1:]]
    if unknown:
        yield f"{name}: {', '.join(unknown)} is not known; there are site, machine, retired"
    for key, pattern in (("site", _SITE), ("machine", _MACHINE)):
        value = fields.get(key, "")
        if not isinstance(value, str) or not pattern.fullmatch(value):
            yield f"{name}: {key}: {value!r} cannot be used; in quotes if it is a number"
    if not isinstance(fields.get("retired", False), bool):
        yield f"{name}: retired: must be true or false"
