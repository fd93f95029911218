"""The programs of VictoriaMetrics that a fleet runs: fetched from Debian's archive, or found on `PATH`.

They are in one package, and do not show their version as Debian builds them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from vv_exporter.common.programs import home
from vv_exporter.stack.apt import AptError, extract, recent_apt
from vv_exporter.stack.fetch import FetchError
from vv_exporter.stack.progress import CommandError, step
from vv_exporter.stack.workplace import move, only_one, workplace

PACKAGE = "victoria-metrics"
STORE, AGENT, DOOR, RULES = "victoria-metrics", "vmagent", "vmauth", "vmalert"
PROGRAMS = (STORE, AGENT, DOOR, RULES)


def find(name: str, folder: Path | None = None) -> Path | None:
    """The program, fetched or on `PATH` (where upstream's has the suffix -prod), or None."""
    fetched = str((folder or home()) / "bin" / name)  # which a service may not be allowed to look for
    found = shutil.which(fetched) or shutil.which(name) or shutil.which(f"{name}-prod")
    return Path(found) if found else None


def fetch(folder: Path, work: Path) -> None:
    """Fetch all of them into `folder`. Raises `AptError`, `CommandError`."""
    with step("Fetching VictoriaMetrics and its agent (about 60 MB, once)") as shown:
        extract(recent_apt(work, shown).download([PACKAGE], work / "packages", shown), work / "store", shown)
        for name in PROGRAMS:
            move(work / "store" / "usr/bin" / name, folder / "bin" / name)


def ensure(names: tuple[str, ...], folder: Path) -> dict[str, Path]:
    """Where these programs are; fetched where they are not. Raises `FetchError`."""
    with only_one(folder), workplace(folder) as work:
        if any(find(name, folder) is None for name in names):
            try:
                fetch(folder, work)
            except (AptError, CommandError) as error:
                raise FetchError(
                    f"VictoriaMetrics could not be fetched: {error}. Put {', '.join(names)} on PATH "
                    "(victoriametrics.com, or your distribution's victoria-metrics), and run this again"
                ) from error
    return {name: path for name in names if (path := find(name, folder)) is not None}
