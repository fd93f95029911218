"""Child processes that end with their parent, however it ends, and tell why they died."""

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from vv_exporter.stack.progress import last_lines

LOG_MAX_BYTES = 10_000_000  # above which a program that is started again begins its log anew
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """A program that runs beside us, with its output in a file, or where ours goes.

    It has a session of its own: a Ctrl-C in the terminal reaches the parent alone, which then stops its
    children in order. When the parent is killed outright, the kernel sends the child a SIGTERM. Start it from a
    thread that lives as long as the child shall: the kernel looks at the thread.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path | None, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log = log
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program, with a new log, or again, where the log goes on. Raises `OSError` if it cannot be run."""
        parent = os.getpid()
        with self._open_output() as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
                preexec_fn=lambda: _end_with(parent),
            )

    @property
    def pid(self) -> int:
        """The process id. Raises `RuntimeError` before `start`."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    def exit_code(self) -> int | None:
        """How it ended (negative: the signal), or None while it runs or before it was started."""
        return None if self._process is None else self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself, if it still runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, grace: float = 15.0) -> None:
        """SIGTERM, up to `grace` seconds to comply, then SIGKILL to it and all that it started."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the program and to all that it started."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def tail(self, count: int = 10) -> str:
        """The last lines of its output, indented."""
        return "" if self.log is None else last_lines(self.log, count)

    def _open_output(self) -> contextlib.AbstractContextManager[BinaryIO | None]:
        if self.log is None:
            return contextlib.nullcontext()
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            goes_on = self._process is not None and _size_of(self.log) < LOG_MAX_BYTES
            return self.log.open("ab" if goes_on else "wb")
        except OSError:  # a full disk must not keep a program from running that can do without its log
            return open(os.devnull, "wb")  # noqa: PTH123


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _end_with(parent: int) -> None:
    """In the child, before it becomes the program: a SIGTERM when the parent dies, or already died."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
