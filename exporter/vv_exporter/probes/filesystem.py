"""Whether a path can be read and written, and how much is free, asked by a thread that may hang for ever.

A system call on a dead network mount does not return. So every path has one thread, the only one that touches it;
whoever wants to know reads its last answer, and an answer that is overdue counts as failed.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

from vv_exporter.runtime import threads
from vv_exporter.runtime.loop import NOT_WAITED_FOR, Loop

log = logging.getLogger(__name__)

INTERVAL = 10.0
"""Seconds from one probe's end to the next one's beginning; free space is shown with at most this delay."""
TIMEOUT = 10.0
"""Seconds that a probe may take before the path counts as failed."""

FOLDER = ".vv-probe"
"""Folder below the path in which the probe writes; it may be made beforehand for a user who may write nowhere else."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A file system as `statvfs` describes it, sizes in bytes; `free` is what a normal user can still write."""

    size: int
    free: int
    inodes: int
    inodes_free: int
    readonly: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe found out, and, when it failed, why; a full file system has both.

    `missing` says what is not there that should be; empty where that is not so.
    """

    usage: Usage | None
    error: str | None
    duration: float = 0.0
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """A path as it counts now. `usage`, `duration` and `missing` (why) are None when they are not known."""

    success: bool
    usage: Usage | None
    duration: float | None
    missing: str | None = None


def evaluate_answer(answer: Answer | None, since: float, now: float, allowed: float) -> Status | None:
    """What the last answer, or none at all, is worth now; None when it is too early to say.

    `since` is when the answer came (without one: when the first probe began), on the clock of `now`; an answer counts
    for `allowed` seconds.
    """
    if now - since > allowed:
        return Status(False, None, None)
    if answer is None:
        return None
    return Status(answer.error is None, answer.usage, answer.duration, answer.missing)


def read_usage(path: Path) -> Answer:
    """Ask for the usage, and write nothing: for a system disk, where a write every few seconds only wears it."""
    try:
        with _opened(path, os.O_PATH) as place:
            return Answer(_usage_of(place), None)
    except OSError as error:
        return Answer(None, str(error))


def usage_within(path: Path, seconds: float) -> Usage | None:
    """The usage of a file system that answers within so many seconds, else None; its thread is left to a hung one."""
    answers: list[Answer] = []
    # No loop: one question, whose thread is left to a file system that hangs.
    thread = Thread(target=lambda: answers.append(read_usage(path)), name=f"usage-{path}", daemon=True)
    threads.start(thread)
    thread.join(seconds)
    return answers[0].usage if answers else None


def read_usage_through(mount: Path) -> Callable[[Path], Answer]:
    """Ask for the usage at `mount`, where a container has the machine's path."""
    return lambda _: read_usage(mount)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_never_missing(_: int | None) -> str:
    return ""


def read_usage_and_write(path: Path, why_missing: Callable[[int | None], str] = _is_never_missing) -> Answer:
    """Ask for the usage, then write a few bytes through to the disk, read them and delete them.

    Nothing is written where `why_missing`, asked of the open folder (None: there is none), says that something else
    should be mounted. It is one open folder throughout: a disk that goes away meanwhile does not lead elsewhere.
    """
    usage = None
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        missing = why_missing(None)
        return Answer(None, missing or str(error), missing=missing)
    try:
        if missing := why_missing(folder):
            return Answer(None, missing, missing=missing)
        usage = _usage_of(folder)
        _try_to_write(path, folder)
    except OSError as error:
        return Answer(usage, str(error))
    finally:
        os.close(folder)
    return Answer(usage, None)


class PathProbe:
    """The thread of one path: calls `probe` again and again, and keeps its last answer."""

    def __init__(
        self,
        path: Path,
        probe: Callable[[Path], Answer],
        *,
        interval: float = INTERVAL,
        timeout: float = TIMEOUT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._probe = probe
        self._interval = interval
        self._timeout = timeout
        self._monotonic = monotonic
        self._last: tuple[Answer | None, float] | None = None
        self._failing = False
        self._loop = Loop(
            f"probe-{path}",
            f"the probe of {path}",
            self._probe_round,
            interval,
            at_once=True,
            stop_seconds=NOT_WAITED_FOR,
        )

    def start(self) -> None:
        """Begin to probe; returns at once."""
        self._last = (None, self._monotonic())
        self._loop.start()

    def stop(self) -> None:
        """No further probes; one that hangs is left to its (daemon) thread."""
        self._loop.stop()

    def status(self) -> Status | None:
        """The path as it counts now, None as long as it is too early to say. Never blocks."""
        if self._last is None:
            return None
        answer, since = self._last
        allowed = self._timeout if answer is None else self._interval + self._timeout
        return evaluate_answer(answer, since, self._monotonic(), allowed)

    def _probe_round(self) -> None:
        answer = self._ask_path()
        self._last = (answer, self._monotonic())
        failing = answer.error is not None
        if failing != self._failing:
            log.log(logging.ERROR if failing else logging.INFO, "%s: %s", self.path, answer.error or "works again")
        self._failing = failing

    def _ask_path(self) -> Answer:
        began = self._monotonic()
        try:
            answer = self._probe(self.path)
        except Exception as error:
            answer = Answer(None, f"{type(error).__name__}: {error}")
        return replace(answer, duration=self._monotonic() - began)


def _usage_of(place: int) -> Usage:
    found = os.fstatvfs(place)
    return Usage(
        size=found.f_blocks * found.f_frsize,
        free=found.f_bavail * found.f_frsize,
        inodes=found.f_files,
        inodes_free=found.f_favail,
        readonly=bool(found.f_flag & os.ST_RDONLY) and _is_readonly(place),
    )


def _is_readonly(place: int) -> bool:
    """Whether the file system is read-only, and not just its mount here: a container has the machine's disks read-only,
    as has a service of systemd (ProtectSystem). Its own options say so (proc_pid_fdinfo(5), proc_pid_mountinfo(5));
    where nobody does, the mount's have to do."""
    try:
        about = Path(f"/proc/self/fdinfo/{place}").read_text(encoding="ascii")
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return True
    found = re.search(r"^mnt_id:\s*(\d+)$", about, re.MULTILINE)
    for line in mounts.splitlines() if found else ():
        mount, _, filesystem = line.partition(" - ")
        if found and mount.partition(" ")[0] == found[1]:
            return "ro" in filesystem.split()[-1].split(",")
    return True


def _try_to_write(path: Path, root: int) -> None:
    content = os.urandom(16)
    with suppress(FileExistsError):
        os.mkdir(FOLDER, mode=0o700, dir_fd=root)
    # Others may write below `path`: no link of theirs leads the probe elsewhere.
    folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
    try:
        name = f"probe-{os.uname().nodename}"  # devices that share a storage do not meet
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            if os.write(file, content) != len(content):
                raise OSError(f"{path} took only a part of {len(content)} bytes")
            os.fsync(file)  # without it a dead disk goes unnoticed: the page cache takes the bytes
            if os.pread(file, len(content), 0) != content:
                raise OSError(f"{path} gives back other bytes than were written")
        finally:
            os.close(file)
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
    finally:
        os.close(folder)
