"""Running a command for ``vv cron``: alone if wanted, not for ever, and otherwise as if nobody stood between.

It inherits what the wrapper has: descriptors, environment, limits, priority, folder, umask, standard input. Only its
output goes elsewhere. Its place among the processes is `vv_exporter.reporting.cron_command`'s, its output
`vv_exporter.reporting.cron_output`'s.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vv_core.common import shared
from vv_exporter.reporting.cron_command import Command, Place, Signals, find_place
from vv_exporter.reporting.cron_output import Output, Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["BusyError", "Ended", "Output", "Signals", "Tail", "execute", "turn"]

PATIENCE = 10.0
"""Seconds between SIGTERM and SIGKILL when the time is over."""
TIMED_OUT = 124
"""Exit code when the time was over, as of timeout(1)."""
CANNOT_START = 127
"""Exit code when there is no such command, as of a shell."""
CANNOT_EXECUTE = 126
"""Exit code when it is there and cannot be executed, as of a shell."""

# How long to wait for output of what the command left behind in the background.
_LINGER = 0.5


class BusyError(Exception):
    """Another run of the job is in progress."""


class Ended(NamedTuple):
    """How a command ended: its exit code, what went wrong ("" if nothing did), and what it printed."""

    code: int
    problem: str
    output: Tail


class Deadline:
    """Ends a command and its group after `timeout` seconds, at first kindly. `over`: it had to."""

    def __init__(self, command: Command, timeout: float | None, patience: float) -> None:
        self.over = self.hard = False
        self._command = command
        self._timeout = timeout
        self._patience = patience
        self._ended = threading.Event()
        # No loop: one wait for a deadline; scripts load neither the store nor the loop.
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
        self._command.end(signal.SIGTERM)
        if not self._ended.wait(self._patience):
            self.hard = True
            self._command.end(signal.SIGKILL)


def execute(
    cmd: tuple[str, ...],
    signals: Signals,
    timeout: float | None = None,
    *,
    output: Output | None = None,
    keep: int | None = None,
    patience: float = PATIENCE,
) -> Ended:
    """Run the command, for at most `timeout` seconds and a little more; it inherits the descriptor `keep`."""
    with Output() if output is None else contextlib.nullcontext(output) as output:
        return _run(cmd, signals, timeout, output, keep, patience)


def _run(
    cmd: tuple[str, ...], signals: Signals, timeout: float | None, output: Output, keep: int | None, patience: float
) -> Ended:
    place = find_place(limited=timeout is not None)
    try:
        output.follow()  # before the command: without a reader it would hang in a full pipe
        process = _start_command(cmd, output.sink, place, keep)
    except RuntimeError as error:
        return Ended(CANNOT_START, f"cannot start {cmd[0]!r}: {error}", output.tail)
    except OSError as error:
        code = CANNOT_START if error.errno in (errno.ENOENT, errno.ENOTDIR) else CANNOT_EXECUTE
        return Ended(code, f"cannot start {cmd[0]!r}: {error.strerror}", output.tail)
    finally:
        os.close(output.sink)
    command = Command(process, place)
    signals.to(command)
    with Deadline(command, timeout, patience) as deadline:
        signals.wait_for(command)
    output.wait(_LINGER)
    if deadline.over:
        command.end(signal.SIGKILL)  # what is left of it
        output.wait(_LINGER)
    status = command.reap()
    if deadline.over:
        more = ", and did not end by itself" if deadline.hard else ""
        return Ended(TIMED_OUT, f"timed out after {timeout:g} s{more}", output.tail)
    if status < 0:
        return Ended(128 - status, f"killed by signal {-status} ({_signal_name(-status)})", output.tail)
    return Ended(status, f"exit code {status}" if status else "", output.tail)


def _start_command(cmd: tuple[str, ...], sink: int, place: Place, keep: int | None) -> subprocess.Popen[bytes]:
    """Start the command. Raises `OSError`."""
    if keep is not None:
        os.set_inheritable(keep, True)
    try:
        return _spawn_process(cmd, sink, place)
    except OSError as error:
        import shutil  # takes longer than a short job

        script = shutil.which(cmd[0])
        if error.errno != errno.ENOEXEC or script is None or not _is_text(script):
            raise
        # It does not say what runs it: a shell does, as for one that is called by a shell or by execvp(3).
        return _spawn_process(("/bin/sh", script, *cmd[1:]), sink, place)


def _spawn_process(cmd: tuple[str, ...], sink: int, place: Place) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        cmd,
        stdout=sink,
        stderr=sink,
        close_fds=False,  # what this process was given; its own are closed at an exec by themselves
        start_new_session=place is Place.SESSION,
        process_group=0 if place is Place.GROUP else None,
        env=_given_environment(),
    )


def _is_text(path: str) -> bool:
    with open(path, "rb") as file:  # noqa: PTH123 - pathlib costs 4 ms
        return b"\0" not in file.read(256)


def _given_environment() -> Mapping[bytes, bytes]:
    """This process' environment as it was given. Python itself sets LC_CTYPE where there is no locale (PEP 538)."""
    own = {name: value for name, value in os.environb.items() if name != b"LC_CTYPE"}
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - pathlib costs 4 ms
            given = file.read().split(b"\0")
    except OSError:
        return os.environb
    values = [entry.partition(b"=")[2] for entry in given if entry.startswith(b"LC_CTYPE=")]
    return {**own, b"LC_CTYPE": values[0]} if values else own


@contextlib.contextmanager
def turn(folder: str, job: str, *, wait: bool) -> Iterator[int]:
    """Hold the job's lock, so that no other run that asks for it begins; yields its descriptor.

    A command that inherits the descriptor holds the lock too, so that it counts as running when this process is
    killed; with this process' ordinary end the lock is free, whatever the command left in the background. With `wait`
    one run waits for its turn. Raises `BusyError`, and `OSError` when there can be no lock.
    """
    with _open_lock_file(folder, f"{_file_name(job)}.lock") as lock:
        if not _try_lock(lock):
            if not wait:
                raise BusyError
            with _open_lock_file(folder, f"{_file_name(job)}.next.lock") as queue:
                if not _try_lock(queue):
                    raise BusyError
                fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield lock
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)


@contextlib.contextmanager
def _open_lock_file(folder: str, name: str) -> Iterator[int]:
    shared.make_folder(folder, shared.STICKY_FOLDER)
    descriptor = shared.open_file(os.path.join(folder, name), os.O_RDONLY)  # noqa: PTH118
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
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
