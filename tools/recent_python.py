"""The newest Python that the tests run under: that of Debian's testing release, where the machine has none."""

import os
from pathlib import Path

from tools.program import Program, starts
from vv_exporter.common.programs import home
from vv_exporter.stack.apt import AptError, extract, recent_apt
from vv_exporter.stack.progress import Step, run, step
from vv_exporter.stack.workplace import replace_folder

RECENT_PYTHON = "3.14"
_PACKAGES = (f"python{RECENT_PYTHON}", "patchelf")


def recent_python(folder: Path | None = None) -> Path:
    """Where that Python is fetched to."""
    return (folder or home()) / "python" / "usr/bin" / f"python{RECENT_PYTHON}"


def has_recent_python(folder: Path | None = None) -> bool:
    """Whether it was fetched, and runs where the folder is now."""
    return starts(recent_python(folder), {**os.environ})


def _fetch(folder: Path, work: Path) -> None:
    with step(f"Fetching Python {RECENT_PYTHON} for the tests (about 20 MB, once)") as shown:
        root, final = work / "python", folder / "python"
        extract(recent_apt(work, shown).download_with_dependencies(_PACKAGES, shown), root, shown)
        _bind_to_own_libraries(root, final, f"usr/bin/python{RECENT_PYTHON}", shown)
        replace_folder(root, final)


def _bind_to_own_libraries(root: Path, final: Path, member: str, shown: Step) -> None:
    """Make a program run with the C library that came with it, which is newer than the machine's.

    The program alone is changed, not its environment: what it starts runs with the machine's libraries. DT_RPATH, and
    not DT_RUNPATH, holds for the libraries of its libraries, too: ld.so(8). The folder is moved to `final` afterwards.
    """
    loader = next(iter(root.glob("usr/lib/*/ld-linux*.so.*")), None)
    if loader is None:
        raise AptError("the archive's C library has no loader where it is looked for")
    libraries = loader.parent.relative_to(root)
    patchelf = [str(loader), "--library-path", str(loader.parent), str(root / "usr/bin/patchelf")]
    # In this order and apart: patchelf 0.18 makes programs that crash when the interpreter is set first or with it.
    for change in (
        ["--force-rpath", "--set-rpath", str(final / libraries)],
        ["--set-interpreter", str(final / libraries / loader.name)],
    ):
        run([*patchelf, *change, str(root / member)], shown, root.with_suffix(".log"))


PYTHON = Program(
    "recent-python",
    f"Python {RECENT_PYTHON}",
    is_there=has_recent_python,
    fetch=_fetch,
    otherwise=f"Put python{RECENT_PYTHON} on PATH",
)
