"""What files tell of themselves, asked by threads that may hang for ever: a call on a dead mount does not return."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from stat import S_ISREG
from threading import Event, Thread

from vv_exporter.runtime import threads

log = logging.getLogger(__name__)


def size(path: str) -> int | None:
    """Bytes of the regular file at `path`, None if there is none. May hang."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size if S_ISREG(status.st_mode) else None


def touched(path: str) -> int:
    """When the file at `path` was last changed, in nanoseconds; 0 if there is none.

    May hang. Raises `OSError` if that cannot be found out.
    """
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0


class Repeated:
    """A thread that does one thing again and again; an error is logged when it begins and when it ends.

    `interval` is in seconds, from the end of one call to the beginning of the next.
    """

    def __init__(self, name: str, act: Callable[[], None], interval: float) -> None:
        self._name = name
        self._act = act
        self._interval = interval
        self._error = ""
        self._stopped = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        threads.start(self._thread)

    def stop(self) -> None:
        """End after the call in hand; one that hangs is left to its (daemon) thread."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._act()
            except Exception as error:  # the thread must outlive whatever happens once
                self._note(str(error) or repr(error))
            else:
                self._note("")
            self._stopped.wait(self._interval)

    def _note(self, error: str) -> None:
        if error and not self._error:
            log.error("%s: %s", self._name, error)
        elif self._error and not error:
            log.info("%s: works again", self._name)
        self._error = error
