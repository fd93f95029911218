"""Running a command for ``vv cron``: alone if wanted, not for ever, its signals passed on, its output bounded."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import NamedTuple

from vv_core import _shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self

SHOWN = 256 << 10
"""Bytes of output that are kept: the last ones."""
PATIENCE = 10.0
"""Seconds between SIGTERM and SIGKILL when the time is over."""
TIMED_OUT = 124
"""Exit code when the time was over, as of timeout(1)."""
CANNOT_START = 127

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# How long to wait for output of what the command left behind in the background.
_LINGER = 0.5


class BusyError(Exception):
    """Another run of the job is in progress."""


class Ended(NamedTuple):
    """How a command ended: its exit code, what went wrong ("" if nothing did), and what it printed."""

    code: int
    problem: str
    output: Tail


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
                self._drop()
        self._drop()

    def _drop(self) -> None:
        more = max(0, len(self._kept) - self._limit)
        del self._kept[:more]
        self.cut += more


class Group:
    """A command's process group: what is sent to it never reaches another that got its id later."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lock = threading.RLock()  # a signal handler may come while its own thread is sending
        self._gone = False

    def send(self, number: int) -> None:
        """Send a signal to all of it."""
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._gone:
                os.killpg(self._process.pid, number)

    def wait(self) -> None:
        """Wait until the command has ended; it still holds its id then."""
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)

    def reap(self) -> int:
        """The command's status, negative for a signal; from now on nothing is sent."""
        with self._lock:
            self._gone = True
        return self._process.wait()


class Signals:
    """While it is entered, signals that would end this process go to the command; early ones as soon as it runs."""

    def __init__(self) -> None:
        self._group: Group | None = None
        self._early: list[int] = []
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in _FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup: the command ignores it too
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def to(self, group: Group) -> None:
        """Pass on what came and what will come."""
        self._group = group
        for number in self._early:
            group.send(number)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._group is None:
            self._early.append(number)
        else:
            self._group.send(number)


class Deadline:
    """Ends a group after `timeout` seconds, at first kindly. `over`: it had to."""

    def __init__(self, group: Group, timeout: float | None, patience: float) -> None:
        self.over = self.hard = False
        self._group = group
        self._timeout = timeout
        self._patience = patience
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        if self._timeout is not None:
            with contextlib.suppress(RuntimeError):  # no thread: the job runs on, and nothing ends it
                self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        if self._ended.wait(self._timeout):
            return
        self.over = True
        self._group.send(signal.SIGTERM)
        if not self._ended.wait(self._patience):
            self.hard = True
            self._group.send(signal.SIGKILL)


def execute(
    cmd: tuple[str, ...],
    signals: Signals,
    timeout: float | None = None,
    *,
    keep: int | None = None,
    patience: float = PATIENCE,
) -> Ended:
    """Run the command, for at most `timeout` seconds and a little more; it inherits the descriptor `keep`."""
    output = Tail()
    source, sink = os.pipe()
    reader = threading.Thread(target=output.read, args=(source,), daemon=True)
    try:
        reader.start()  # before the command: without a reader it would hang in a full pipe
        process = subprocess.Popen(
            cmd, stdout=sink, stderr=sink, start_new_session=True, pass_fds=() if keep is None else (keep,)
        )
    except RuntimeError as error:
        os.close(source)
        return Ended(CANNOT_START, f"cannot start {cmd[0]!r}: {error}", output)
    except OSError as error:
        return Ended(CANNOT_START, f"cannot start {cmd[0]!r}: {error.strerror}", output)
    finally:
        os.close(sink)
    group = Group(process)
    signals.to(group)
    with Deadline(group, timeout, patience) as deadline:
        group.wait()
    reader.join(_LINGER)
    if deadline.over:
        group.send(signal.SIGKILL)  # what is left of it
        reader.join(_LINGER)
    status = group.reap()
    if deadline.over:
        more = ", and did not end by itself" if deadline.hard else ""
        return Ended(TIMED_OUT, f"timed out after {timeout:g} s{more}", output)
    if status < 0:
        return Ended(128 - status, f"killed by signal {-status} ({_signal_name(-status)})", output)
    return Ended(status, f"exit code {status}" if status else "", output)


@contextlib.contextmanager
def turn(folder: str, job: str, *, wait: bool) -> Iterator[int]:
    """Hold the job's lock, so that no other run that asks for it begins; yields its descriptor.

    A command that inherits the descriptor holds the lock too, so that it counts as running when this process is
    killed; with this process' ordinary end the lock is free, whatever the command left in the background. With `wait`
    one run waits for its turn. Raises `BusyError`, and `OSError` when there can be no lock.
    """
    with _opened(folder, f"{_file_name(job)}.lock") as lock:
        if not _try(lock):
            if not wait:
                raise BusyError
            with _opened(folder, f"{_file_name(job)}.next.lock") as queue:
                if not _try(queue):
                    raise BusyError
                fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield lock
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)


@contextlib.contextmanager
def _opened(folder: str, name: str) -> Iterator[int]:
    _shared.make_folder(folder, _shared.STICKY_FOLDER)
    descriptor = _shared.open_file(os.path.join(folder, name), os.O_RDONLY)  # noqa: PTH118
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _file_name(job: str) -> str:
    """The job's name as a file's: what is unusual in one is written in hexadecimal, what is long becomes a hash."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else f"%{ord(c):x}" for c in job)
    return plain if len(plain) <= 200 else hashlib.sha256(plain.encode()).hexdigest()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
