"""What the unit files in deploy/systemd say, read as systemd reads them; and an installation made as they say."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

SYSTEMD = Path(__file__).parents[2] / "deploy" / "systemd"


def unit(name: str) -> dict[str, list[str]]:
    """The keys of a unit's [Service], each with its lines."""
    found, section = defaultdict(list), ""
    for line in (SYSTEMD / name).read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and line[0] not in "#;":
            key, _, value = line.partition("=")
            found[key].append(value)
    return dict(found)


def tmpfiles() -> list[tuple[str, int, str, str]]:
    """Path, mode, user and group of each folder of tmpfiles.d."""
    lines = [line.split() for line in (SYSTEMD / "tmpfiles.conf").read_text().splitlines() if line[0] != "#"]
    assert {line[0] for line in lines} == {"d"}
    return [(path, int(mode, 8), user, group) for _, path, mode, user, group, _ in lines]


def make_folders(root: Path, ids: Mapping[str, int]) -> None:
    """What systemd-tmpfiles makes, below `root`, users and groups by number."""
    for path, mode, user, group in tmpfiles():
        made = root / path[1:]
        made.mkdir(parents=True, exist_ok=True)
        os.chown(made, ids[user], ids[group])
        made.chmod(mode)
