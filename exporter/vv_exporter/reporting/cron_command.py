"""A command under ``vv cron``: where it stands among the processes, and what is sent to it.

It stands where it would stand without the wrapper, so that what it does by its process group, its session or its
terminal has the same effect:

1. In the foreground of a terminal it shares the wrapper's group. The terminal's signals (Ctrl-C, Ctrl-Z) reach it by
   themselves there and are not passed on a second time.
2. Where the wrapper leads a session that has no terminal, as under cron, it leads one of its own.
3. Where the wrapper leads a process group, it leads one of its own in the same session.
4. Else it shares the wrapper's group.

With a time limit it leads a group at least: what ends it must end its children and nobody else. So does timeout(1).
"""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self

# Those that end a process by themselves or others', that nobody can catch, and what is of one's own children, pipes,
# terminal or limits.
_OWN = {
    "SIGKILL", "SIGSTOP", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGABRT", "SIGCHLD", "SIGPIPE",
    "SIGTTIN", "SIGTTOU", "SIGXCPU", "SIGXFSZ",
}  # fmt: skip
_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
_STOPPING = {signal.SIGTSTP, signal.SIGCONT}
# What the kernel or the shell sends to all who are in the foreground of a terminal.
_OF_THE_TERMINAL = {signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH}


class Place(enum.Enum):
    """Where a command stands: the leader of a session, of a group, or in the wrapper's group."""

    SESSION = enum.auto()
    GROUP = enum.auto()
    SHARED = enum.auto()
    TERMINAL = enum.auto()
    """As SHARED, and a terminal sends its signals to the whole of it."""


def find_place(*, limited: bool) -> Place:
    """Where a command of this process belongs; `limited` if its time is."""
    group = os.getpgrp()
    foreground = _foreground_group()
    if foreground == group and not limited:
        return Place.TERMINAL
    if foreground is None and os.getsid(0) == os.getpid():
        return Place.SESSION
    return Place.GROUP if limited or group == os.getpid() else Place.SHARED


def _foreground_group() -> int | None:
    """The group in the foreground of this process' terminal, None without a terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.tcgetpgrp(terminal)
    except OSError:
        return None
    finally:
        os.close(terminal)


class Command:
    """A command that runs: what is sent to it never reaches another that got its id later."""

    def __init__(self, process: subprocess.Popen[bytes], place: Place) -> None:
        self._process = process
        self._place = place
        self._lock = threading.RLock()  # a signal handler may come while its own thread is sending
        self._gone = False

    def send(self, number: int) -> None:
        """Send a signal: what ends or stops it goes to its children as well, all else means the command alone."""
        with self._lock:
            if self._gone:
                return
            if number not in _ENDING | _STOPPING:
                _kill_process(self._process.pid, number)
            elif self._place in (Place.SESSION, Place.GROUP):
                self.end(number)
            else:
                for process in [*_process_family(self._process.pid)]:
                    _kill_process(process, number)

    def pass_on(self, number: int) -> None:
        """Send what came to the wrapper, unless it came to the command as well."""
        if self._place is not Place.TERMINAL or number not in _OF_THE_TERMINAL:
            self.send(number)

    def end(self, number: int) -> None:
        """Send a signal to the whole of the group that it leads."""
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._gone:
                os.killpg(self._process.pid, number)

    def has_ended(self) -> bool:
        """Whether the command has ended; it still holds its id then."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def reap(self) -> int:
        """The command's status, negative for a signal; from now on nothing is sent."""
        with self._lock:
            self._gone = True
        return self._process.wait()


def _kill_process(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


def _process_family(process: int) -> Iterator[int]:
    """A process, and all below it that are in this one's group."""
    yield process
    with contextlib.suppress(OSError):  # it ends meanwhile
        for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208 - pathlib costs 4 ms
            with open(f"/proc/{process}/task/{thread}/children") as children:  # noqa: PTH123
                found = [int(child) for child in children.read().split()]
            for child in found:
                if os.getpgid(child) == os.getpgrp():
                    yield from _process_family(child)


class Signals:
    """While it is entered, signals that can be caught go to the command; early ones as soon as it runs."""

    def __init__(self) -> None:
        self._command: Command | None = None
        self._early: list[tuple[int, bool]] = []
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        self._woken_before = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for number in _forwarded_signals():
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup: the command ignores it too
                self._before[number] = signal.signal(number, self._handle_signal)
        # Caught, as it wakes, and as the kernel would keep no exit code if it were ignored.
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._woken_before)
        os.close(self._waker)
        os.close(self._woken)

    def to(self, command: Command) -> None:
        """Pass on what came and what will come."""
        self._command = command
        for number, heard in self._early:
            if heard:
                command.pass_on(number)
            else:
                command.send(number)

    def wait_for(self, command: Command) -> None:
        """Wait until the command has ended.

        By a pipe that each signal writes into: one that comes just before a system call begins to wait does not end
        that call, and its handler would run only when the next one comes.
        """
        while not command.has_ended():
            os.read(self._woken, 4096)

    def _handle_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._command is not None:
            self._command.pass_on(number)
        elif number not in _STOPPING:
            # Once the command is there it is in the foreground, too, though this process does not know it yet.
            self._early.append((number, _has_child()))
        if number == signal.SIGTSTP:
            self._stop_with_command()

    def _stop_with_command(self) -> None:
        """Stop as one does who does not catch SIGTSTP: the kernel decides, it spares a group without a shell.

        The command goes on only when SIGTSTP is caught again, so that who sees it go on can stop both once more.
        """
        caught = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTSTP, signal.SIGCONT)}
        os.kill(os.getpid(), signal.SIGTSTP)
        for number, handler in caught.items():
            signal.signal(number, handler)
        if self._command is not None:
            self._command.pass_on(signal.SIGCONT)


def _has_child() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _forwarded_signals() -> set[int]:
    own = {getattr(signal, name) for name in _OWN if hasattr(signal, name)}
    return {int(number) for number in signal.valid_signals()} - own
