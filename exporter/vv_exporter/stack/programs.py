"""Which servers `vv up` runs, and where their programs are.

A program that was fetched into our own folder goes first, then what `PATH` has, if it is new enough.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vv_exporter.common.programs import home

Version = tuple[int, ...]


@dataclass(frozen=True)
class Tool:
    """A program: how old it may be, what it is called on `PATH`, and the Debian package that has it."""

    name: str
    minimum: Version
    package: str
    member: str
    """Its path inside the package."""
    also_called: tuple[str, ...] = ()


PROMETHEUS = Tool("prometheus", (3, 5), "prometheus", "usr/bin/prometheus")
PROMTOOL = Tool("promtool", (3, 5), "promtool", "usr/bin/promtool")
ALERTMANAGER = Tool(
    "alertmanager",
    (0, 33),
    "prometheus-alertmanager",
    "usr/bin/prometheus-alertmanager",
    ("prometheus-alertmanager",),
)
AMTOOL = Tool("amtool", (0, 33), "prometheus-alertmanager", "usr/bin/amtool")
TOOLS = (PROMETHEUS, PROMTOOL, ALERTMANAGER, AMTOOL)


def find(tool: Tool, folder: Path | None = None) -> Path | None:
    """The program, or None where there is none that is new enough."""
    own = (folder or home()) / "bin" / tool.name
    if own.exists():
        return own
    for name in (tool.name, *tool.also_called):
        found = shutil.which(name)
        if found and (version(Path(found)) or (0,)) >= tool.minimum:
            return Path(found)
    return None


def missing(folder: Path, tools: Iterable[Tool] = TOOLS) -> list[Tool]:
    """The tools that are neither in `folder` nor, new enough, on `PATH`."""
    return [tool for tool in tools if find(tool, folder) is None]


def version(program: Path) -> Version | None:
    """What `program --version` says, or None if it does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(done.stdout + done.stderr) if done.returncode == 0 else None


def parse_version(text: str) -> Version | None:
    """The version in the likes of `prometheus, version 3.5.3+ds1 (branch: …)`."""
    match = re.search(r"version v?(\d+(?:\.\d+)+)", text)
    return tuple(int(part) for part in match[1].split(".")) if match else None
