"""What must outlive a power cut is written through to the disk before it is promised (``docs/durability.md``).

fsync(2) of a file says nothing of its name, that of a folder nothing of the content of its files: both are needed.
"""

from __future__ import annotations

import errno
import os
from _thread import allocate_lock, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Path = TypeVar("Path", str, bytes)

PATIENCE = 5.0
"""Seconds that `Disk` waits for: a disk that hangs must not hold up a pipeline."""

NO_ANSWER = "the disk does not answer"


def sync_folder(path: Path) -> None:
    """Write a folder's names through to the disk, where its file system can. Raises `OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Write a file's content through to the disk. Nothing happens if it is gone. Raises `OSError`."""
    # By its name: a copy of a descriptor would hold on to the lock that goes with it.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


class Disk:
    """What waits for a disk, but not for ever: while a call hangs in it, nobody waits for a further one."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._free = allocate_lock()
        self._hangs = False

    def wait_for(self, work: Callable[[], None]) -> str:
        """Have the work done, one at a time. Gives why it is not, or not known to be; nothing if it is."""
        if not self._free.acquire(timeout=0 if self._hangs else self._patience):
            return NO_ANSWER
        problem = ""
        done = allocate_lock()
        done.acquire()

        def run() -> None:
            nonlocal problem
            try:
                work()
            except Exception as error:
                problem = str(error)
            finally:
                self._hangs = False
                self._free.release()
                done.release()

        try:
            start_new_thread(run, ())
        except RuntimeError:  # there can be no further thread, or not any more at the interpreter's end
            run()
        if done.acquire(timeout=self._patience):
            return problem
        self._hangs = True
        return NO_ANSWER
