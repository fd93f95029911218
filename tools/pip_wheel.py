"""A wheel of pip, for a Python that came without."""

from pathlib import Path

from vv_exporter.stack.apt import extract, recent_apt
from vv_exporter.stack.progress import step
from vv_exporter.stack.workplace import move, only_one, workplace

_PACKAGE = "python3-pip-whl"
_WHEELS = "usr/share/python-wheels"


def fetch_pip(folder: Path) -> Path:
    """Fetch it. Raises `AptError`, `CommandError`."""
    with only_one(folder), workplace(folder) as work:
        with step("Fetching pip") as shown:
            apt = recent_apt(work, shown)
            extract(apt.download([_PACKAGE], work / "packages", shown), work / "root", shown)
        (wheel,) = (work / "root" / _WHEELS).glob("pip-*.whl")
        kept = folder / wheel.name
        move(wheel, kept)
    return kept
