"""What waits in `input/` and what lies in `corrupted/`, counted in the background: a look at a dead mount may hang."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vv_core.common.files import TEMPORARY
from vv_core.common.texts import path as printed_path
from vv_core.quarantine import FOLDER, SIDECAR
from vv_exporter.common.times import UnixTime
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.metrics.videos import BACKLOG_VIDEOS
from vv_exporter.runtime.loop import NOT_WAITED_FOR, Loop
from vv_exporter.state.store import Kind, Store

log = logging.getLogger(__name__)

INTERVAL = 15.0
"""Seconds between looks, at least; a look that takes long is repeated the less often."""
SHARE = 20
"""A look may take this part of the time."""
TIMEOUT = 60.0
"""Seconds that a look may take before its answer counts as unknown."""
MOST = 100_000
_BEYOND = f" (beyond its first {MOST:,} entries)"
"""Files that are looked at in each of the two folders; where there are more, so many are shown."""
SETTLED_SECONDS = 120.0
"""How long a video waits before that is written down: most are gone by then."""
MOST_REMEMBERED = 1000

_OWN_FAULT = (errno.EACCES, errno.ENAMETOOLONG, errno.ELOOP)  # of one folder, not of the disk
_UNFINISHED = (".part", ".partial", ".tmp", ".json")


@dataclass(frozen=True, slots=True)
class Census:
    """What lies there: files and bytes in `corrupted/`, and which files wait in `input/`."""

    quarantined: int
    quarantined_bytes: int
    waiting: frozenset[str]
    unread: str = ""
    """The first folder whose files are missing here, and why; "" if there is none."""
    complete: bool = True
    """Whether all entries were looked at, not only the first `MOST`."""


def census(root: Path) -> Census | None:
    """What lies in the storage now; None if neither folder is there, as when it is not mounted. Raises `OSError`."""
    waiting, corrupted = root / "input", root / FOLDER
    if not waiting.is_dir() and not corrupted.is_dir():
        return None
    unread: list[str] = []
    sizes = [status.st_size for _, status in _files_below(corrupted, _is_quarantined, unread)]
    here = frozenset(_file_identity(path, status) for path, status in _files_below(waiting, _is_waiting, unread))
    complete = not any(one.endswith(_BEYOND) for one in unread)
    return Census(len(sizes), sum(sizes), here, next(iter(unread), ""), complete)


def _file_identity(path: str, status: os.stat_result) -> str:
    """What separates this file from another that has its name later."""
    return hashlib.blake2b(b"%d/" % status.st_ino + os.fsencode(path), digest_size=8).hexdigest()


def _is_quarantined(name: str) -> bool:
    return not name.startswith(TEMPORARY) and not name.endswith(SIDECAR)


def _is_waiting(name: str) -> bool:
    return not name.startswith(".") and not name.lower().endswith(_UNFINISHED)


def _files_below(
    folder: Path, wanted: Callable[[str], bool], unread: list[str]
) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files in the folder and those below it; what vanishes meanwhile is left out.

    A folder below it that may not be read, or whose path is too long, costs its own files only; `unread` names it.
    """
    folders, looked = [str(folder)], 0
    while folders:
        path = folders.pop()
        try:
            found = os.scandir(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if path == str(folder) or error.errno not in _OWN_FAULT:
                raise
            unread.append(f"{printed_path(path, 500)} ({error.strerror})")
            continue
        with found:
            for entry in found:
                looked += 1
                if looked > MOST:
                    unread.append(printed_path(folder, 500) + _BEYOND)
                    return
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file(follow_symlinks=False) and wanted(entry.name):
                        yield entry.path, entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue


class WaitingVideo(msgspec.Struct, frozen=True):
    """When a file in `input/` was first seen there."""

    since: UnixTime


WAITING: Kind[WaitingVideo] = Kind("waiting_video", WaitingVideo)


class Waiting:
    """Since when videos wait: since they were seen, not since they were changed, which their writer says.

    What waits for longer than `SETTLED_SECONDS` is written down, so that it goes on waiting across restarts. Where very
    many wait, those seen first are remembered.
    """

    def __init__(self, store: Store, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._young: dict[str, float] = {}

    def see(self, here: frozenset[str]) -> None:
        """These wait now. Raises `StoreError`."""
        now, known = self._monotonic(), self._store.docs(WAITING)
        self._young = {one: self._young.get(one, now) for one in here if one not in known}
        gone = known.keys() - here
        room = max(MOST_REMEMBERED - len(known) + len(gone), 0)
        settled = [one for one, seen in self._young.items() if now - seen >= SETTLED_SECONDS]
        settled = sorted(settled, key=self._young.__getitem__)[:room]
        if not gone and not settled:
            return
        with self._store.transaction() as tx:
            for one in gone:
                tx.delete(WAITING, one)
            for one in settled:
                tx.put(WAITING, one, WaitingVideo(tx.now - (now - self._young[one])))

    def since(self) -> float | None:
        """When the one that waits for longest was seen first; None if none waits."""
        seen, now = list(self._young.values()), self._monotonic()
        times = [one.since for one in self._store.docs(WAITING).values()]
        times += [self._clock() - (now - min(seen))] if seen else []
        return min(times, default=None)


class VideoCensus:
    """Looks at the storage `root` (None: there is none) again and again, in a thread of its own."""

    def __init__(
        self,
        root: Path | None,
        store: Store,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        take_census: Callable[[Path], Census | None] = census,
    ) -> None:
        self.waiting = Waiting(store, clock, monotonic)
        self._root = root
        self._store = store
        self._monotonic = monotonic
        self._take_census = take_census
        self._last: tuple[Census | None, float] = (None, 0.0)
        self._problem = ""
        self._pause = INTERVAL
        self._loop = Loop(
            "videos",
            f"the videos in {root}",
            self._count_round,
            lambda: self._pause,
            at_once=True,
            stop_seconds=NOT_WAITED_FOR,
        )

    def start(self) -> None:
        """Begin to look, if there is a storage."""
        if self._root is not None:
            self._loop.start()

    def stop(self) -> None:
        """No further looks; one that hangs is left to its (daemon) thread."""
        self._loop.stop()

    def last(self) -> Census | None:
        """What was found last; None while that is not known, or too old. Never blocks."""
        found, valid_until = self._last
        return found if self._monotonic() <= valid_until else None

    def _count_round(self) -> None:
        began, before = self._monotonic(), self._problem
        found = None
        try:
            found = self._take_census(self._root) if self._root is not None else None
            if found is not None:
                self.waiting.see(found.waiting)
                if not found.complete:
                    self._count_limited()
            unread = found.unread if found is not None else ""
            self._problem = f"those in {unread} are left out" if unread else ""
        except Exception as error:
            self._problem = str(error)
        if self._problem and self._problem != before:
            log.error("the videos in %s cannot be counted: %s", self._root, self._problem)
        self._pause = max(INTERVAL, (self._monotonic() - began) * SHARE)
        self._last = (found, self._monotonic() + self._pause + TIMEOUT)

    def _count_limited(self) -> None:
        """Once a look, as long as there are more files than are looked at."""
        with self._store.transaction() as tx:
            tx.inc(SERIES_LIMITED, (BACKLOG_VIDEOS.name,))
