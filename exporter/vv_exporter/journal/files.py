"""The journal's files: their names, and the lock that shows whether a writer lives."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from vv_core.common import shared
from vv_exporter.journal.events import MAX_LINE

_NAME = re.compile(r"([A-Za-z0-9_-]{1,64})(?:\.([0-9]{1,9}))?\.jsonl")

_LOCK_ATTEMPTS, _LOCK_PAUSE_SECONDS = 20, 0.01


class Entry(NamedTuple):
    """A file of the journal as the folder shows it; entries sort by writer and sequence."""

    writer: str
    seq: int
    name: str
    size: int
    modified: float


def scan(directory: Path) -> list[Entry]:
    """All files of the journal, in the order in which they are to be read."""
    entries = []
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as items:
        for item in items:
            match = _NAME.fullmatch(item.name)
            if not match:
                continue
            try:
                stat = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError:  # a disk that fails: it is there, who opens it will see
                entries.append(Entry(match[1], int(match[2] or 0), item.name, 0, 0.0))
                continue
            if S_ISREG(stat.st_mode):  # the folder is open to other users: no links, pipes or folders
                entries.append(Entry(match[1], int(match[2] or 0), item.name, stat.st_size, stat.st_mtime))
    entries.sort()
    return entries


def names(directory: Path) -> list[str]:
    """The names of the journal's files."""
    with os.scandir(directory) as items:
        return [item.name for item in items if _NAME.fullmatch(item.name)]


def writer_of(name: str) -> str:
    """The writer that a file's name begins with."""
    return name.split(".", 1)[0]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor to read the file with."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Whether nobody holds the file's lock; if so, it is held until the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def reading(directory: Path) -> Iterator[None]:
    """Hold the journal's folder, which is how `vv alert` knows that somebody reads it. Raises `OSError`."""
    ensure_directory(directory)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _ in range(_LOCK_ATTEMPTS):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # somebody is looking at this moment
                time.sleep(_LOCK_PAUSE_SECONDS)
        yield
    finally:
        os.close(descriptor)


def data_from(descriptor: int, offset: int) -> int:
    """Where to read on from: `offset`, or where a hole that is longer than any line ends (lseek(2), SEEK_DATA).

    A hole reads as NUL bytes, which are no lines: a sparse file of a terabyte is passed over in one step.
    """
    try:
        begins = os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:  # the file system does not know
            return offset
        begins = os.fstat(descriptor).st_size  # only a hole follows
    return begins if begins - offset >= MAX_LINE else offset


def ensure_directory(directory: Path) -> None:
    """Make the journal's folder: sticky and setgid, so that a group may write and only owners delete."""
    shared.make_folder(str(directory), shared.STICKY_FOLDER)
