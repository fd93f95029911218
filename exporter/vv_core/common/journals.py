"""The way into the journal: one file a process, one ``write`` an event. The format is ``docs/journal.md``.

Nothing here raises into the caller or waits for anybody: what cannot be written is kept for a while if it matters,
counted if it is lost, and told once on the logger ``vv_core``.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import time
from collections import deque
from threading import RLock, get_ident

from vv_core import __version__
from vv_core.common import bounds, environment, lasting, shared, texts
from vv_core.common.flatjson import encode, members
from vv_core.common.ids import uuid7_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class Sink(Protocol):
        """What takes events: the journal, or a test."""

        lost: int

        def emit(self, kind: str, component: str, fields: Mapping[str, object], worth: float) -> bool: ...
        def flush(self) -> bool: ...


# How much of the journal's bound must be used before an event is refused.
ROUTINE = 1
"""Worth of a success: refused when the journal is over its bound."""
NEEDED = 2
"""Worth of a failure, an alert, an account of losses: refused at twice the bound."""
LASTING = 2.5
"""Worth of what must outlive a power cut: refused at two and a half times the bound, on the disk when `emit` returns.
That takes a sync, and `lasting.PATIENCE` at most."""
CLOSING = float("inf")
"""Worth of the end of a run whose start was written: without it the run would look crashed."""

MAX_LINE = 64 << 10
ROLL_AT = 1 << 20

_QUEUE = 256
_MAX_LOST = 1 << 53  # what the exporter takes
_PATIENCE = 0.05
_SECOND = 1.0
_PAUSE = 10.0
_ATTEMPTS = 8
# Descriptors below are what a daemon closes and opens again; ours must never come to mean another file.
_HIGH_DESCRIPTOR = 500


class _Event:
    __slots__ = ("account", "component", "count", "line", "lost", "sent", "worth")

    def __init__(self, component: str, line: bytes, worth: float, account: int = 0) -> None:
        self.component = component
        self.line = line
        self.worth = worth
        self.account = account  # of how many lost events this one tells
        self.count = account or 1
        self.sent = 0
        self.lost = False


class Journal:
    """One process' writer. `folder` and `bound` (bytes) come from the environment when the first event does."""

    def __init__(
        self, folder: str | None = None, bound: int | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._bound = bound
        self._clock = clock
        # Reentrant: a signal handler or a log handler may report while its own thread is reporting.
        self._lock = RLock()
        self._counting = RLock()  # never held over anything that takes time
        self._draining = False
        self._queue: deque[_Event] = deque()
        self._dropped: dict[str, int] = {}  # what the next account of losses will tell
        self.lost = 0
        """Events that this process could not record."""
        self._component: str | None = None
        self._fd = -1
        self._size = 0
        self._path = ""
        self._writer = ""
        self._seq = 0
        self._disk = lasting.Disk()
        self._unsaved: dict[str, _Event] = {}  # files with what must outlive a power cut, and the latest of it
        self._saved_names: set[str] = set()  # of files: they are on the disk
        self._fullness = 0.0
        self._looked = self._checked = self._failed = self._reported = float("-inf")
        self._complaint = ""
        self._complaints: set[str] = set()

    def emit(self, kind: str, component: str, fields: Mapping[str, object], worth: float = ROUTINE) -> bool:
        """Record an event. False if it is lost; then it is counted. `fields` are safe text and finite numbers."""
        if self._component is None:
            self._component = component
        try:
            event = self._build_event(kind, component, fields, worth)
            if len(self._queue) >= _QUEUE:
                self._lose_event(event, "too many events wait for the disk")
            else:
                self._queue.append(event)
            self.flush()
        except Exception as error:
            self._lose_event(_Event(component, b"", worth), f"an event of type {kind} failed: {error!r}")
            return False
        else:
            return not event.lost
        finally:
            if self._complaint:
                self._log_complaint()

    def flush(self) -> bool:
        """Write what waits. True if all is written."""
        while self._queue and self._lock.acquire(timeout=_PATIENCE):
            try:
                if self._draining or not self._drain_queue():
                    break
            finally:
                self._lock.release()
        if self._unsaved:
            self._save_promised()
        return not self._queue

    def finish(self) -> None:
        """At the end of the process: write what waits and what was lost, without regard to pauses."""
        try:
            self._failed = self._reported = float("-inf")
            if self._dropped:
                self._report_dropped()
            self.flush()
            for event in self._queue:
                self._log_text(f"this could not be written: {event.line.decode().rstrip()}")
        except Exception:
            return

    def close(self) -> None:
        """Give up the file, and with it the sign of life."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def hold(self) -> bool:
        """Keep other threads from having a file half open; for the moment of a fork."""
        return self._lock.acquire(timeout=_PATIENCE)

    def release(self) -> None:
        """Undo `hold`."""
        self._lock.release()

    def _save_promised(self) -> None:
        """Wait until what must outlive a power cut is on the disk. Without the lock: others may go on meanwhile.

        A file stays unsaved until that is done, so that whoever finds its event written by another thread waits, too.
        """
        for path, latest in list(self._unsaved.items()):
            problem = self._disk.wait_for(lambda path=path: self._write_through(path))  # type: ignore[misc]
            if problem or self._unsaved.get(path) is latest:
                self._unsaved.pop(path, None)
            self._note_complaint(problem, "what is recorded may not outlive a power cut")

    def _write_through(self, path: str) -> None:
        lasting.sync_file(path)
        if path not in self._saved_names:
            lasting.sync_folder(os.path.dirname(path))
            self._saved_names = {path}

    # Everything below is called with the lock held, by one thread at a time.

    def _drain_queue(self) -> bool:
        self._draining = True
        try:
            while True:
                while self._queue:
                    if not self._write_event(self._queue[0]):
                        self._shed_routine()
                        return False
                    self._queue.popleft()
                if not self._dropped or time.monotonic() < self._reported + _PAUSE:
                    return True
                self._report_dropped()
        finally:
            self._draining = False

    def _write_event(self, event: _Event, *, again: bool = True) -> bool:
        """Whether `event` is dealt with: written, or refused and counted. False if it should be tried again."""
        now = time.monotonic()
        try:
            opening = self._wants_file(event, now)
            if opening if self._fullness <= 1 else now > self._looked + _PAUSE:
                self._look_at_bound(now)
            if event.worth < self._fullness and not event.sent:
                self._lose_event(event, "the journal is over its bound, VV_JOURNAL_MAX")
                return True
            if opening:
                self._open_next(event, now)
            if self._fd < 0:
                return False
            written = os.write(self._fd, event.line[event.sent :] if event.sent else event.line)
        except OSError as error:
            if error.errno == errno.EBADF and again:  # somebody closed all descriptors, as daemons do
                self._fd = -1
                return self._write_event(event, again=False)
            self._note_complaint(error.strerror or str(error))
            return False
        self._size += written
        event.sent += written
        if event.sent < len(event.line):
            self._note_complaint(os.strerror(errno.ENOSPC))
            return False
        if event.worth == LASTING:
            self._unsaved[self._path] = event
        return True

    def _wants_file(self, event: _Event, now: float) -> bool:
        """Whether there is no file, a deleted, closed or full one; not again within a second of a failure."""
        if now > self._checked + _SECOND:
            self._checked = now
            if self._fd >= 0 and not _is_linked(self._fd):
                self.close()
        full = self._size >= ROLL_AT and event.worth != CLOSING and not event.sent
        return (self._fd < 0 or full) and now > self._failed + _SECOND

    def _open_next(self, event: _Event, now: float) -> None:
        """Open the next file; a full one serves on if there can be none. Raises `OSError` without any."""
        if self._fd < 0:
            self._writer, self._seq = "", 0
            event.sent = 0
        try:
            self._next_file()
        except OSError:
            self._failed = now
            if self._fd < 0:
                raise

    def _next_file(self) -> None:
        """Open and lock a new file, begin it, then let go of the old one."""
        folder = self._journal_folder()
        for _ in range(_ATTEMPTS):
            writer = self._writer or uuid7_hex()
            path = os.path.join(folder, f"{writer}.{self._seq}.jsonl")
            fd = _create_file(path)
            if self._writer:
                self._seq += 1
            if fd >= 0:
                break
        else:
            raise OSError(errno.EAGAIN, "the reader took every new file")
        header = self._build_header()
        if os.write(fd, header) < len(header):
            os.close(fd)
            os.unlink(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.close()
        self._fd, self._size, self._path = fd, len(header), path
        if not self._writer:
            self._writer, self._seq = writer, 1
        self._reported = float("-inf")

    def _look_at_bound(self, now: float) -> None:
        """Compare the journal with its bound, and make room."""
        self._looked = now
        folder = self._journal_folder()
        bound = max(1, environment.journal_max() if self._bound is None else self._bound)
        used = bounds.usage(folder)
        if used > bound:
            gained, gone = bounds.make_room(folder, used - bound * 9 // 10)
            used -= gained
            for component, count in gone.items():
                self._count_dropped(component, count)
        self._fullness = used / bound

    def _shed_routine(self) -> None:
        """Keep what matters for the next attempt; what is half written must be ended in any case."""
        kept = []
        while self._queue:
            event = self._queue.popleft()
            if event.sent or event.worth > ROUTINE:
                kept.append(event)
            else:
                self._lose_event(event)
        self._queue.extendleft(reversed(kept))

    def _report_dropped(self) -> None:
        self._reported = time.monotonic()
        with self._counting:
            dropped, self._dropped = self._dropped, {}
        for component, count in dropped.items():
            self._queue.append(self._build_event("dropped", component, {"count": count}, NEEDED, count))

    def _lose_event(self, event: _Event, why: str = "") -> None:
        event.lost = True
        if not event.account:
            self.lost += 1
        self._count_dropped(event.component, event.count)
        self._note_complaint(why)

    def _count_dropped(self, component: str, lost: int) -> None:
        with self._counting:
            name = component if len(self._dropped) < _QUEUE else self._component or ""
            self._dropped[name] = min(self._dropped.get(name, 0) + lost, _MAX_LOST)

    def _build_event(
        self, kind: str, component: str, fields: Mapping[str, object], worth: float, account: int = 0
    ) -> _Event:
        head: dict[str, object] = {"ts": self._clock()}
        if component != self._component:
            head["component"] = component
        comma = "," if fields else ""
        line = f'{{"v":1,"type":"{kind}",{members(head)}{comma}{members(fields)}}}\n'.encode(errors="replace")
        if len(line) > MAX_LINE:
            raise ValueError(f"{len(line)} bytes are more than a line may have")
        return _Event(component, line, worth, account)

    def _build_header(self) -> bytes:
        record = {
            "v": 1,
            "type": "writer",
            "ts": self._clock(),
            "component": self._component,
            "lock": True,
            "pid": os.getpid(),
            "pid_ns": _pid_namespace(),
            "node": os.uname().nodename,
            "host": environment.device_id(),
            "boot": _boot_id(),
            "sdk": f"vv_core {__version__}",
        }
        return encode(record).encode() + b"\n"

    def _journal_folder(self) -> str:
        if self._folder is None:
            self._folder = environment.journal_dir()
        shared.make_folder(self._folder, shared.STICKY_FOLDER)
        return self._folder

    def _note_complaint(self, problem: str, what: str = "events cannot be written") -> None:
        if problem and problem not in self._complaints and len(self._complaints) < _QUEUE:
            self._complaints.add(problem)
            self._complaint = f"{what}: {problem}"

    def _log_complaint(self) -> None:
        """Without the lock: a log handler may take its time, or report an event itself."""
        complaint, self._complaint = self._complaint, ""
        self._log_text(complaint)

    def _log_text(self, text: str) -> None:
        try:
            import logging

            logging.getLogger("vv_core").warning("%s: %s", self._folder or "the journal", text)
        except Exception:
            return


def _create_file(path: str) -> int:
    """A new, locked file's descriptor; -1 if the reader was faster. Raises `OSError` if there can be none."""
    try:
        fd = shared.open_file(path, os.O_WRONLY | os.O_EXCL | os.O_APPEND, shared.READABLE_FILE)
    except FileExistsError:
        return -1
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if _is_linked(fd):
            return _raise_descriptor(fd)
    except BlockingIOError:
        pass
    except OSError:  # no locks here: a file that promises one must not stay
        os.close(fd)
        os.unlink(path)
        raise
    os.close(fd)
    return -1


def _raise_descriptor(fd: int) -> int:
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_DESCRIPTOR)
    except OSError:  # above this process' limit
        return fd
    os.close(fd)
    return high


def _is_linked(fd: int) -> bool:
    try:
        return os.fstat(fd).st_nlink > 0
    except OSError:
        return False


def _pid_namespace() -> int:
    """The number of the namespace in which the PID is one (pid_namespaces(7)); 0 where that is not known."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


_journal = Journal()
_sink: Sink = _journal
_holding: dict[int, bool] = {}


def emit(kind: str, component: str, fields: Mapping[str, object], worth: float = ROUTINE) -> bool:
    """Record an event of this process. Never raises. False if it is lost."""
    return _sink.emit(kind, component, fields, worth)


def complete() -> bool:
    """Whether every event of this process is written. Tries once more to write those that wait."""
    return _sink.flush() and not _sink.lost


def reset(sink: Sink | None = None) -> None:
    """Close this process' file, and begin anew with the environment of now; or give the events to `sink`."""
    global _journal, _sink
    _journal.finish()
    _journal.close()
    _journal = Journal()
    _sink = _journal if sink is None else sink


def component_name(component: object) -> str:
    """The component that reports: the one that is named, or else the running script."""
    return (texts.name(component) if component is not None else "") or environment.script_name()


def _before_fork() -> None:
    _holding[get_ident()] = _journal.hold()


def _after_fork_in_parent() -> None:
    if _holding.pop(get_ident(), False):
        _journal.release()


def _after_fork_in_child() -> None:
    """The inherited descriptor shares the parent's lock, and what waits is the parent's to write."""
    global _journal, _sink
    own = _sink is _journal
    _journal.close()
    _holding.clear()
    _journal = Journal()
    if own:
        _sink = _journal


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
atexit.register(lambda: _journal.finish())
