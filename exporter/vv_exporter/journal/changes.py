"""Reports when the journal's files change, so that a device on which nothing happens is not woken ten times a second.

inotify(7) reports what this kernel's processes write, in containers too, but not what others write into a shared
file system (NFS, the folders of Docker Desktop), and there may be none left to have. Then one looks at the clock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
from collections.abc import Callable
from pathlib import Path

from inotify_simple import INotify, flags

log = logging.getLogger(__name__)

PAUSE = 0.1  # seconds that one waits where changes are not announced
RETRY = 600.0  # seconds until inotify is tried again when it could not be had

_MASK = flags.CREATE | flags.MODIFY | flags.MOVED_TO


class Changes:
    """Of the files in `directory`. One thread waits; any thread may `wake` it. `monotonic` never goes back."""

    def __init__(self, directory: Path, monotonic: Callable[[], float]) -> None:
        self._directory = directory
        self._monotonic = monotonic
        self._wakes = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._inotify: INotify | None = None
        self._not_before = float("-inf")

    def begin(self) -> None:
        """What changes from now on is announced, where it can be."""
        if self._inotify is not None or self._monotonic() < self._not_before:
            return
        with contextlib.ExitStack() as undo:
            try:
                inotify = undo.enter_context(INotify(nonblocking=True))
                inotify.add_watch(self._directory, _MASK)
            except (OSError, AttributeError) as error:  # AttributeError: a C library without it
                self._do_without_inotify(error)
                return
            undo.pop_all()
        self._inotify = inotify

    def wait(self, longest: float) -> bool:
        """Return when something changed or somebody wakes, after `longest` seconds, or after `PAUSE` without inotify.

        Gives whether a change that is there now must have been announced, or could not be.
        """
        self.begin()
        poll = select.poll()
        poll.register(self._wakes, select.POLLIN)
        if self._inotify is None:
            poll.poll(1000 * min(longest, PAUSE))
            return True
        poll.register(self._inotify, select.POLLIN)
        poll.poll(1000 * longest)
        return bool(self._inotify.read(timeout=0))

    def missed(self) -> None:
        """A change was found that `wait` did not announce: unless it is announced by now, never rely on it again."""
        if self._inotify is None or self._inotify.read(timeout=0):
            return
        self._inotify.close()
        self._do_without_inotify("it did not report a change", again=float("inf"))

    def wake(self) -> None:
        """End the waiting, now and from now on."""
        os.eventfd_write(self._wakes, 1)

    def close(self) -> None:
        """Free what it uses. Nobody may be waiting, or wake it from now on."""
        os.close(self._wakes)
        if self._inotify is not None:
            self._inotify.close()

    def _do_without_inotify(self, why: object, again: float = RETRY) -> None:
        log.debug("changes of %s are looked for, inotify cannot be used: %s", self._directory, why)
        self._inotify = None
        self._not_before = self._monotonic() + again
