"""A folder of fetched programs that several may fill at the same time, and that a killed run leaves whole."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Nobody else fetches into this folder while the block runs; it waits for who does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another run that is fetching …", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A folder on the same file system as its parent, gone afterwards; so is what a killed run left."""
    for left in folder.glob("fetching-*"):
        shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix="fetching-", dir=folder))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def move(source: Path, target: Path) -> None:
    """Put one file in its place, at once and whole; both are on one file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def replace_folder(source: Path, target: Path) -> None:
    """Put a folder in its place, whatever was there."""
    if target.exists():
        shutil.rmtree(target)
    source.rename(target)


def enumerated(names: Iterable[str]) -> str:
    """The names as a sentence has them: "prometheus, promtool and amtool"."""
    *first, last = list(names)
    return f"{', '.join(first)} and {last}" if first else last
