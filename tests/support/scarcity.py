"""A device that is short of something for a moment: threads, open files."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


class NoThreads:
    """No thread whose name begins with `prefix` can be started, `times` times or until `end`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, prefix: str, times: float = float("inf")) -> None:
        self.refused = 0
        self._times = times
        start = threading.Thread.start

        def refusing(thread: threading.Thread) -> None:
            if thread.name.startswith(prefix) and self.refused < self._times:
                self.refused += 1
                raise RuntimeError("can't start new thread")  # the interpreter's words
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refusing)

    def end(self) -> None:
        """From now on there are threads."""
        self._times = 0


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """This process can open nothing more; what is open works on."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    fill = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                fill.append(os.dup(2))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in fill:
            os.close(descriptor)
