"""Child processes that end with their parent, however it ends, and say why they died.

Paths are text here, and little is imported: this stays in memory as long as the stack runs (`keeper`).
"""

# ruff: noqa: PTH103, PTH110, PTH120, PTH123

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

LOG_MAX_BYTES = 10_000_000  # above which a program that is started again begins its log anew
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LOOK_SECONDS = 0.02
_libc = ctypes.CDLL(None, use_errno=True)


class Adopted:
    """A child of this process that was started by the program it was before (`execve(2)` keeps them), like a Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended (negative: the signal), or None while it runs."""
        if self.returncode is None:
            try:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # it ended, and how is not known any more: as subprocess has it
                ended, status = self.pid, 0
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send a SIGTERM, if it still runs."""
        self.send_signal(signal.SIGTERM)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and say how it ended. Raises `subprocess.TimeoutExpired`."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() >= end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            time.sleep(_LOOK_SECONDS)
        return code


class Child:
    """A program that runs beside us, with its output in a file, or where ours goes.

    It has a session of its own: a Ctrl-C in the terminal reaches the parent alone, which then stops its
    children in order. When the parent is killed outright, the kernel sends the child a SIGTERM. Start it from a
    thread that lives as long as the child shall: the kernel looks at the thread.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], log: str | Path | None, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log = log
        self.env = env
        self._log_goes_on = False
        self._process: subprocess.Popen[bytes] | Adopted | None = None

    def adopt(self, pid: int | None) -> None:
        """The program that this process was before had started it, and it has this process id if it still runs."""
        self._log_goes_on = True
        self._process = None if pid is None else Adopted(pid)

    def start(self) -> None:
        """Start the program, with a new log, or again, where the log goes on. Raises `OSError` if it cannot be run."""
        parent = os.getpid()
        with self._open_output() as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                start_new_session=True,
                preexec_fn=lambda: _end_with(parent),
            )
        self._log_goes_on = True

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
        from pathlib import Path

        from vv_exporter.stack.progress import last_lines

        return "" if self.log is None else last_lines(Path(self.log), count)

    def _open_output(self) -> contextlib.AbstractContextManager[BinaryIO | None]:
        if self.log is None:
            return contextlib.nullcontext()
        try:
            os.makedirs(os.path.dirname(self.log), exist_ok=True)
            goes_on = self._log_goes_on and _size_of(self.log) < LOG_MAX_BYTES
            return open(self.log, "ab" if goes_on else "wb")
        except OSError:  # a full disk must not keep a program from running that can do without its log
            return open(os.devnull, "wb")


def _size_of(path: str | Path) -> int:
    return os.stat(path).st_size if os.path.exists(path) else 0


def _end_with(parent: int) -> None:
    """In the child, before it becomes the program: a SIGTERM when the parent dies, or already died; no signal is kept
    back, whatever the parent keeps back."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
