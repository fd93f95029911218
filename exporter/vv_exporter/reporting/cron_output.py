"""What a command under ``vv cron`` prints: its end is kept, and who goes on printing afterwards is not killed for it.

Under cron the pipe is read for as long as anybody may write into it: a daemon that a job leaves in the background goes
on. Here the pipe's reader is the wrapper, which ends with the job. So beside it stands a shell that holds the pipe and
does nothing. When the wrapper ends, however it does, the shell becomes a ``cat`` that reads what else comes, into
nothing, and ends with the last who could write.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

SHOWN = 256 << 10
"""Bytes of output that are kept: the last ones."""

# Standard output is a pipe that ends with the wrapper, standard error is the command's. In the background, for it
# is no child of the wrapper.
_DRAIN = "{ read _ <&1; exec cat <&2 >/dev/null 2>&1; } &"


class Tail:
    """The end of a stream. `cut` is how many bytes before it are lost."""

    def __init__(self, limit: int = SHOWN) -> None:
        self.cut = 0
        self._limit = limit
        self._kept = bytearray()

    @property
    def data(self) -> bytes:
        """What is kept."""
        return bytes(self._kept[-self._limit :])

    def read(self, stream: int) -> None:
        """Read on to the end."""
        while chunk := os.read(stream, 64 << 10):
            self._kept += chunk
            if len(self._kept) > 2 * self._limit:  # not at each chunk: a command may write single lines
                self._drop_beginning()
        self._drop_beginning()

    def _drop_beginning(self) -> None:
        more = max(0, len(self._kept) - self._limit)
        del self._kept[:more]
        self.cut += more


class Output:
    """The pipe that a command prints into: `sink`. `tail` follows it while it is entered, then others read on."""

    def __init__(self) -> None:
        self.tail = Tail()
        self._source, self.sink = os.pipe()
        self._ended, self._held = os.pipe()
        # No loop: one stream, read to its end; scripts load neither the store nor the loop.
        self._reader = threading.Thread(target=self.tail.read, args=(self._source,), daemon=True)

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):  # no shell, no process: the job runs all the same
            subprocess.run(
                ["/bin/sh", "-c", _DRAIN],
                stdin=subprocess.DEVNULL,
                stdout=self._ended,
                stderr=self._source,
                cwd="/",
                env={"PATH": "/usr/bin:/bin"},
                start_new_session=True,
                check=False,
            )
        os.close(self._ended)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._held)

    def follow(self) -> None:
        """Begin to read. Raises `RuntimeError` where there can be no thread."""
        self._reader.start()

    def wait(self, seconds: float) -> None:
        """Wait until nobody can write any more, but not for longer."""
        self._reader.join(seconds)
