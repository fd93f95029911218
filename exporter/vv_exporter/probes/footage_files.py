"""Recordings of a recorder that knows nothing of the exporter: by the names, sizes and times of its files.

Looked at in the background, since a look at a dead mount may hang. Of each file its name says when it begins, and when
it was changed last how far it goes: that is where a file ends which a crash cut off. Of contents no more is read than
says whether it can be played at all.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vv_core.common.texts import path as printed_path
from vv_core.common.texts import video
from vv_exporter.common.footage_names import FootageNames
from vv_exporter.footage import corrupt, segments
from vv_exporter.footage.ledger import DAYS, add_footage, milliseconds, problem_of, spans_of
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.metrics.footage import FOOTAGE_OLDEST
from vv_exporter.probes.footage_containers import container_problem
from vv_exporter.runtime.loop import NOT_WAITED_FOR, Loop
from vv_exporter.settings import FootageSettings
from vv_exporter.state.store import Store

log = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds between looks, at least; a look that takes long is repeated the less often."""
SHARE = 20
"""A look may take this part of the time."""
TIMEOUT = 120.0
"""Seconds that a look may take before its answer counts as unknown."""
MOST = 200_000
"""Names that are looked at of a camera; beyond it footage may be overlooked, which is counted."""
RECENT = 6 * 3600.0
"""Seconds since when the files began that each look asks for: what is older does not grow any more."""
ALL_AGAIN = 86_400.0
"""Seconds after which all files are asked for, as some may have come late."""
AT_ONCE = 500  # files that are entered in one transaction, or into which a round looks
FINISHED = 120.0
"""Seconds after which a file that was not changed is finished: until then it may lack what is written last. A file
that is longer is given as long as it."""
MAX_REFUSED = 10_000
MAX_PATH = 4096  # PATH_MAX of Linux, as the SDK cuts a video's path
_LATE = 1.5
"""A file that was changed later than so many lengths after its beginning was copied: it is as long as they all are."""


class Recording(NamedTuple):
    """A file: its time in milliseconds, its path and its size, and when it was changed last (Unix seconds)."""

    start: int
    end: int
    path: str
    size: int
    modified: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What lies there of a camera: when the oldest file begins (Unix seconds), what a second of the latest takes, how
    many of the latest cannot be played."""

    oldest: float | None
    bytes_per_second: float | None
    corrupt: int = 0


class Look(NamedTuple):
    """The files of a camera: those that were asked for, when the oldest of all begins, whether all names were seen."""

    recordings: tuple[Recording, ...]
    oldest: float | None
    complete: bool


def recording_of(starts: Sequence[float], length: float, modified: float, size: int, path: str) -> Recording | None:
    """What a file is a recording of, None of nothing.

    Of two times at which it may begin, as the clock was set back, that one from which on its length ends nearest to
    when it was changed last.
    """
    if not starts or size <= 0:
        return None
    start = min(starts, key=lambda one: (abs(one + length - modified), one))
    end = modified if start < modified <= start + length * _LATE else start + length
    return Recording(milliseconds(start), milliseconds(end), path, size, modified)


def find_recordings(root: Path, names: FootageNames, length: float, since: float) -> Look:
    """The files of a camera that begin from a time on. Raises `OSError` where its folder cannot be read."""
    found: list[Recording] = []
    oldest: float | None = None
    complete = True
    for place, entry in enumerate(_latest_entries(root, names)):
        if place >= MOST:
            complete = False
            break
        starts = names.starts(os.path.relpath(entry.path, root))
        if not starts:
            continue
        oldest = starts[0] if oldest is None else min(oldest, starts[0])
        if starts[-1] >= since:
            recording = _recording_of_entry(entry, starts, length)
            found += [recording] if recording is not None else []
    return Look(tuple(found), oldest, complete)


def _latest_entries(root: Path, names: FootageNames) -> Iterator[os.DirEntry[str]]:
    """Regular files no deeper than the pattern goes, the latest names first: where there are too many, old ones go."""
    folders = [(str(root / names.folder), names.folder.count("/") + bool(names.folder))]
    first = True
    while folders:
        path, depth = folders.pop()
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda one: one.name)
        except OSError:
            if first:
                raise
            continue  # it went meanwhile, or may not be read: it costs its own files
        finally:
            first = False
        for entry in entries if depth < names.depth else ():
            if entry.is_dir(follow_symlinks=False):
                folders.append((entry.path, depth + 1))
        yield from (
            entry for entry in reversed(entries) if depth == names.depth and entry.is_file(follow_symlinks=False)
        )


def _recording_of_entry(entry: os.DirEntry[str], starts: Sequence[float], length: float) -> Recording | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # it went meanwhile
        return None
    return recording_of(starts, length, status.st_mtime, status.st_size, video(entry.path, MAX_PATH))


def _is_recent(one: Recording, now: float) -> bool:
    return one.start >= milliseconds(now - RECENT)


class FootageFiles:
    """Looks at the files of all cameras again and again, in a thread of its own; enters what it finds."""

    def __init__(
        self,
        root: Path | None,
        cameras: Mapping[str, FootageSettings],
        store: Store,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._root = root
        self._cameras = {
            dvr: (FootageNames(camera.files, dvr, camera.timezone), float(camera.length))
            for dvr, camera in cameras.items()
            if camera.files
        }
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._last: tuple[dict[str, Seen], float] = ({}, 0.0)
        self._all_at = float("-inf")
        self._refused: set[str] = set()
        self._entered: dict[str, dict[str, int]] = {}  # how far the recent files of a camera went
        self._containers: dict[str, dict[str, tuple[float, str]]] = {}  # of the recent ones: as of when, what is wrong
        self._problems: dict[str, str] = {}
        self._pause = INTERVAL
        self._loop = Loop(
            "footage-files",
            f"the files of footage in {root}",
            self.round,
            lambda: self._pause,
            at_once=True,
            stop_seconds=NOT_WAITED_FOR,
        )

    def start(self) -> None:
        """Begin to look, if there is anything to look for."""
        if self._cameras and self._root is not None:
            self._loop.start()

    def stop(self) -> None:
        """No further looks; one that hangs is left to its (daemon) thread."""
        self._loop.stop()

    def last(self) -> dict[str, Seen]:
        """What was found last, by camera; nothing of one that is not known, or too old. Never blocks."""
        found, valid_until = self._last
        return found if self._monotonic() <= valid_until else {}

    def round(self) -> None:
        """Look at all cameras once. Raises `StoreError`."""
        began, now = self._monotonic(), self._clock()
        every = began - self._all_at >= ALL_AGAIN
        found: dict[str, Seen] = {}
        for dvr, (names, length) in self._cameras.items():
            seen = self._look_for_files(dvr, names, length, 0.0 if every else now - RECENT, now)
            if seen is not None:
                found[dvr] = seen
        if every and len(found) == len(self._cameras):
            self._all_at = began
        self._pause = max(INTERVAL, (self._monotonic() - began) * SHARE)
        self._last = found, self._monotonic() + self._pause + TIMEOUT

    def _look_for_files(self, dvr: str, names: FootageNames, length: float, since: float, now: float) -> Seen | None:
        assert self._root is not None  # noqa: S101 - else there is no round
        try:
            seen = find_recordings(self._root, names, length, since)
        except OSError as error:
            self._log_problem_once(dvr, f"{printed_path(self._root, 500)}/{names.folder}: {error.strerror}")
            return None
        self._log_problem_once(dvr, "")
        self._enter_recordings(dvr, seen.recordings, now)
        if not seen.complete:
            with self._store.transaction() as tx:
                tx.inc(SERIES_LIMITED, (FOOTAGE_OLDEST.name,))
        recent = [one for one in seen.recordings if _is_recent(one, now)]
        seconds = sum(one.end - one.start for one in recent) / 1000
        rate = sum(one.size for one in recent) / seconds if seconds else None
        return Seen(seen.oldest, rate, self._look_into(dvr, recent, length, now))

    def _look_into(self, dvr: str, recent: Sequence[Recording], length: float, now: float) -> int:
        """Look into the files that are finished, each once; give how many cannot be played."""
        known, found, left = self._containers.get(dvr, {}), dict[str, tuple[float, str]](), AT_ONCE
        for one in recent:
            before = known.get(one.path)
            if before is not None and before[0] == one.modified:
                found[one.path] = before
            elif one.modified <= now - max(FINISHED, length) and left:
                left -= 1
                try:
                    problem = container_problem(one.path)
                except OSError:  # it went meanwhile, or may not be read: nobody knows
                    continue
                found[one.path] = one.modified, problem
                if problem:
                    with self._store.transaction() as tx:
                        corrupt.record_corrupt_file(tx, dvr, one.start, one.end, one.path, problem)
        self._containers[dvr] = found
        return sum(bool(problem) for _, problem in found.values())

    def _enter_recordings(self, dvr: str, recordings: Sequence[Recording], now: float) -> None:
        """Enter what the ledger does not have; a file whose time cannot be true once."""
        latest = [one for one in recordings if _is_recent(one, now)]
        entered, self._entered[dvr] = self._entered.get(dvr, {}), {one.path: one.end for one in latest}
        new = [one for one in recordings if self._is_new(dvr, one, now, entered)]
        for begin in range(0, len(new), AT_ONCE):
            with self._store.transaction() as tx:
                for one in new[begin : begin + AT_ONCE]:
                    if _is_recent(one, now):
                        segments.recorded(tx, dvr, one.start, one.end, one.path)
                    else:  # what is done with a file is done soon
                        add_footage(tx, dvr, "recorded", one.start, one.end, segments.JOIN)

    def _is_new(self, dvr: str, one: Recording, now: float, entered: Mapping[str, int]) -> bool:
        if problem_of(one.start, one.end, now):
            known = one.path in self._refused or len(self._refused) >= MAX_REFUSED
            self._refused |= set() if known else {one.path}
            return not known
        if _is_recent(one, now):
            return entered.get(one.path) != one.end
        there = spans_of(lambda key: self._store.document(DAYS, key), dvr, "recorded", one.start, one.end)
        return there != ((one.start, one.end),)

    def _log_problem_once(self, dvr: str, problem: str) -> None:
        if problem and problem != self._problems.get(dvr):
            log.error("the footage of %s cannot be looked at: %s", dvr, problem)
        self._problems[dvr] = problem
