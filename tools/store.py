"""VictoriaMetrics, which tests take for a store of many devices."""

import shutil
from pathlib import Path

from tools.program import Program
from vv_exporter.common.programs import home
from vv_exporter.stack.apt import extract, recent_apt
from vv_exporter.stack.progress import step
from vv_exporter.stack.workplace import move

STORE = "victoria-metrics"
"""The program and its Debian package. It does not tell its version."""


def store(folder: Path | None = None) -> Path | None:
    """VictoriaMetrics, fetched or on `PATH`, or None."""
    fetched = (folder or home()) / "bin" / STORE
    found = str(fetched) if fetched.exists() else shutil.which(STORE)
    return Path(found) if found else None


def _fetch(folder: Path, work: Path) -> None:
    with step("Fetching VictoriaMetrics for the tests (about 60 MB, once)") as shown:
        extract(recent_apt(work, shown).download([STORE], work / "packages", shown), work / "store", shown)
        move(work / "store" / "usr/bin" / STORE, folder / "bin" / STORE)


VICTORIAMETRICS = Program(
    "store",
    "VictoriaMetrics",
    is_there=lambda folder: store(folder) is not None,
    fetch=_fetch,
    otherwise=f"Put {STORE} on PATH",
)
