"""A program that tests need: whether it is there, and how it is fetched into the folder of fetched programs."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vv_exporter.stack.apt import AptError
from vv_exporter.stack.fetch import FetchError
from vv_exporter.stack.progress import CommandError
from vv_exporter.stack.workplace import only_one, workplace


@dataclass(frozen=True)
class Program:
    """One that `python -m tools.fetch --OPTION` fetches. Both functions are given the folder of fetched programs."""

    option: str
    title: str
    """What it is called in the middle of a sentence."""
    is_there: Callable[[Path], bool]
    fetch: Callable[[Path, Path], None]
    """Fetches it, with a second folder to work in. Raises `AptError`, `CommandError`."""
    otherwise: str
    """How else people get it: a sentence without its full stop."""
    as_root: bool = False
    """Whether nobody but root has a use for it."""


def ensure(program: Program, folder: Path) -> None:
    """Have it, fetched once. Raises `FetchError`."""
    if program.is_there(folder):
        return
    with only_one(folder), workplace(folder) as work:
        if program.is_there(folder):
            return
        try:
            program.fetch(folder, work)
            if not program.is_there(folder):
                raise AptError("what the archive has does not run on this machine")
        except (AptError, CommandError) as error:
            title = program.title[0].upper() + program.title[1:]
            raise FetchError(f"{title} could not be fetched: {error}. {program.otherwise}") from error


def starts(program: Path, environment: dict[str, str]) -> bool:
    """Whether it runs here: it says its version."""
    try:
        done = subprocess.run([program, "--version"], env=environment, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
