"""Reads the journal exactly once.

A round looks at the folder, reads what is new in batches, and commits each batch's counts together with the offsets up
to which its files are counted. A kill before the commit repeats the batch, a kill after it goes on behind it. A file
whose lock can be had has no writer any more: it is read to its end, what its writer left open has crashed, and, once
that is committed, the file is deleted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from vv_exporter import threads
from vv_exporter.dvr_agents import AGENTS
from vv_exporter.journal import files
from vv_exporter.journal.changes import Changes
from vv_exporter.journal.events import MAX_LINE, TYPES, Event, RejectedError, WriterStarted, decode
from vv_exporter.journal.folds import Folds, Source
from vv_exporter.metrics.exporter import EVENTS, EVENTS_REJECTED
from vv_exporter.runs import OPEN_RUNS, SCRIPTS
from vv_exporter.settings import Settings
from vv_exporter.store import Kind, Store, StoreError, Transaction

log = logging.getLogger(__name__)

INTERVAL = 0.1  # seconds from a round to the next, however quickly events follow each other
RESTING = 3.0  # seconds between rounds when there is no file, where changes are announced
LIVENESS_INTERVAL = 1.0  # seconds between tries to get the locks of files that do not grow
SETTLED = 5.0  # seconds without a change after which an unlocked file is taken for complete
BATCH_BYTES = 4 * 1024 * 1024
BATCH_FILES = 200  # open at once, each with its lock held until the commit
REMEMBERED = 60.0  # seconds for which the lag of the latest events is told when nothing waits
RETRY = 1.0  # seconds to wait when the database or the folder cannot be used


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a file is counted, and what its first line said. `skipping`: inside a line that is too long."""

    offset: int = 0
    component: str = ""
    boot: str = ""
    locks: bool = False
    skipping: bool = False
    done: bool = False


PROGRESS: Kind[Progress] = Kind("journal_file", Progress)
OPEN: tuple[Kind[Any], ...] = (*OPEN_RUNS, SCRIPTS, AGENTS)  # what a writer begins and ends


@dataclass(slots=True)
class Status:
    """How the reader is doing: `lag` in seconds, `backlog` in bytes, `problem` why it does not get on.

    `counted` and `looked` are when events were counted last, and when it last ended a look (monotonic).
    """

    lag: float = 0.0
    backlog: int = 0
    problem: str = ""
    counted: float = float("-inf")
    looked: float = float("inf")


class Reader:
    """Follows the journal in a thread of its own. `clock` gives Unix seconds, `monotonic` never goes back."""

    def __init__(
        self,
        directory: Path,
        store: Store,
        folds: Folds,
        settings: Settings,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.status = Status()
        self._directory = directory
        self._store = store
        self._folds = folds
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._alive: dict[str, float] = {}  # file → when its lock was last refused
        self._next_liveness = 0.0
        self._files = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._changes: Changes | None = None

    def start(self) -> None:
        """Begin to follow."""
        self.status.looked = self._monotonic()
        self._changes = Changes(self._directory, self._monotonic)
        self._thread = threading.Thread(target=self._run, args=(self._changes,), name="journal", daemon=True)
        threads.start(self._thread)

    def stop(self) -> None:
        """Finish the batch in hand and end."""
        self._stopping.set()
        if self._changes is None or self._thread is None:
            return
        self._changes.wake()
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._changes.close()
            self._changes = None

    def _run(self, changes: Changes) -> None:
        changes.begin()
        announced = True
        while not self._stopping.is_set():
            before = self.status.backlog
            try:
                more = self.round()
                self.status.looked = self._monotonic()
                if self.status.backlog > before and not announced:
                    changes.missed()
                if not more:
                    announced = self._pause(changes, announced)
            except (OSError, StoreError) as error:
                self._report(str(error))
                self._stopping.wait(RETRY)
            except Exception as error:  # the reader must outlive its own defects: it is the only way in
                log.exception("reading the journal failed")
                self._report(repr(error))
                self._stopping.wait(RETRY)

    def _pause(self, changes: Changes, announced: bool) -> bool:
        """Until there may be something to read. Gives whether what is then there was announced."""
        if announced:
            self._stopping.wait(INTERVAL)
        return changes.wait(LIVENESS_INTERVAL if self._files else RESTING)

    def _report(self, problem: str) -> None:
        if problem and problem != self.status.problem:
            log.error("the journal cannot be read, will try again: %s", problem)
        self.status.problem = problem

    def round(self) -> bool:
        """Look once, read at most one batch. Gives whether more is waiting."""
        entries = files.scan(self._directory)
        progress = self._store.docs(PROGRESS)
        self._files = len(entries)
        self.status.backlog = sum(_unread(entry, progress) for entry in entries)
        check = self._monotonic() >= self._next_liveness
        if check:
            self._next_liveness = self._monotonic() + LIVENESS_INTERVAL
            self._drop_lost_runs({entry.writer for entry in entries})
        if not self.status.backlog and self._monotonic() - self.status.counted > REMEMBERED:
            self.status.lag = 0.0
        due = [entry for entry in entries if check or _unread(entry, progress)]
        if not due:
            if check:
                self._report("")
            return False
        names = {entry.name for entry in entries}
        with contextlib.ExitStack() as stack:
            batch = Batch(self, stack, names, progress)
            complete = batch.take(due)
            if batch.has_work:
                batch.commit()
        if check or batch.problem:
            self._report(batch.problem)
        return not complete

    def _drop_lost_runs(self, writers: set[str]) -> None:
        """Runs whose writer's files are gone though they were not counted to their end.

        Writers delete only files of nothing but successes (the journal's bound): such a run did not crash.
        """
        lost = [
            (kind, key) for kind in OPEN for key, run in self._store.docs(kind).items() if run.writer not in writers
        ]
        if lost:
            with self._store.transaction() as tx:
                for kind, key in lost:
                    tx.delete(kind, key)

    @property
    def store(self) -> Store:
        """Where everything is counted."""
        return self._store

    def now(self) -> float:
        """Unix seconds."""
        return self._clock()

    def path(self, name: str) -> Path:
        """A file's path."""
        return self._directory / name

    def listing(self) -> set[str]:
        """The names that the folder holds now."""
        return {entry.name for entry in files.scan(self._directory)}

    def counted_now(self, written: float) -> None:
        """Events were counted, the newest of which was written then."""
        self.status.lag = max(self._clock() - written, 0.0)
        self.status.counted = self._monotonic()

    def seen_alive(self, name: str) -> None:
        """The file's lock was refused just now."""
        self._alive[name] = self._clock()

    def last_alive(self, name: str) -> float:
        """When the file's lock was last refused, 0 if never; forgets it."""
        return self._alive.pop(name, 0.0)

    def fold(self, tx: Transaction, event: Event, source: Source) -> None:
        """Apply one event. One that its handler cannot take is refused, and harms no other."""
        try:
            self._folds.handlers[type(event)](tx, event, source, self._settings)
        except Exception:
            log.exception("an event of type %s could not be counted", TYPES[type(event)])
            tx.inc(EVENTS_REJECTED, ("fold",))

    def writer_gone(self, tx: Transaction, writer: str, last_seen: float) -> None:
        """What the writer had open has crashed."""
        for handler in self._folds.writer_gone:
            handler(tx, writer, last_seen)


@dataclass(slots=True)
class _Piece:
    """What a batch takes of one file. `ended`: its lock is held, and `data` reaches to its end."""

    entry: files.Entry
    before: Progress
    data: bytes
    ended: bool


class Batch:
    """Files read in one round and counted in one transaction."""

    def __init__(
        self, reader: Reader, stack: contextlib.ExitStack, names: set[str], progress: dict[str, Progress]
    ) -> None:
        self._reader = reader
        self._stack = stack
        self._names = names
        self._progress = progress
        self._pieces: list[_Piece] = []
        self._budget = BATCH_BYTES
        self.problem = ""

    @property
    def has_work(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._pieces)

    def take(self, due: Iterable[files.Entry]) -> bool:
        """Read from the files until the batch is full; gives whether everything was taken."""
        for entry in due:
            if self._budget <= 0 or len(self._pieces) >= BATCH_FILES:
                return False
            try:
                self._take_one(entry)
            except FileNotFoundError:
                continue
            except OSError as error:  # one file that cannot be read must not keep the others from being read
                self.problem = f"{entry.name} cannot be read: {error.strerror}"
        return self._budget > 0

    def _take_one(self, entry: files.Entry) -> None:
        before = self._progress.get(entry.name, Progress())
        descriptor = self._stack.enter_context(files.opened(self._reader.path(entry.name)))
        locked = files.try_lock(descriptor)
        if not locked:
            self._reader.seen_alive(entry.name)
        data = b"" if before.done else os.pread(descriptor, max(self._budget, MAX_LINE), before.offset)
        size = os.fstat(descriptor).st_size
        at_end = before.done or before.offset + len(data) >= size
        ended = locked and at_end and (self._locks(before, data) or self._settled(entry))
        if data or ended:
            self._pieces.append(_Piece(entry, before, data, ended))
            self._budget -= len(data)

    def _locks(self, before: Progress, data: bytes) -> bool:
        """Whether the file's writer said that it locks; then a lock that can be had means that it is gone."""
        if before.offset or before.locks or before.done:
            return before.locks or before.done
        with contextlib.suppress(RejectedError):
            event = decode(data.partition(b"\n")[0])
            return isinstance(event, WriterStarted) and event.lock
        return False

    def _settled(self, entry: files.Entry) -> bool:
        return self._reader.now() - entry.modified >= SETTLED

    def commit(self) -> None:
        """Count everything together, then delete what is finished."""
        with self._reader.store.transaction() as tx:
            counted: Counter[str] = Counter()
            rejected: Counter[str] = Counter()
            newest = 0.0
            for piece in self._pieces:
                newest = max(newest, self._count(tx, piece, counted, rejected))
            for type_, count in counted.items():
                tx.inc(EVENTS, (type_,), count)
            for reason, count in rejected.items():
                tx.inc(EVENTS_REJECTED, (reason,), count)
            self._end_writers(tx)
            self._forget_deleted(tx)
        if newest:
            self._reader.counted_now(newest)
        for piece in self._pieces:
            if piece.ended:
                self._reader.path(piece.entry.name).unlink(missing_ok=True)

    def _count(self, tx: Transaction, piece: _Piece, counted: Counter[str], rejected: Counter[str]) -> float:
        before = piece.before
        component, boot, locks = before.component, before.boot, before.locks
        source = Source(piece.entry.writer, component, boot, locks)
        newest = 0.0
        whole, lines, skipping = _split(piece.data, before.skipping)
        if skipping and not before.skipping:
            rejected["oversize"] += 1
        for line in lines:
            if len(line) >= MAX_LINE:
                rejected["oversize"] += 1
                continue
            try:
                event = decode(line)
            except RejectedError as error:
                rejected[error.reason] += 1
                continue
            if isinstance(event, WriterStarted):
                component, boot, locks = event.component, event.boot, event.lock
                source = Source(piece.entry.writer, component, boot, locks)
            self._reader.fold(tx, event, source)
            counted[TYPES[type(event)]] += 1
            newest = event.ts if event.ts > newest else newest
        if piece.ended and whole < len(piece.data):
            rejected["torn"] += 1
            whole = len(piece.data)
        after = Progress(before.offset + whole, component, boot, locks, skipping, piece.ended)
        if after != before:
            tx.put(PROGRESS, piece.entry.name, after)
        return newest

    def _end_writers(self, tx: Transaction) -> None:
        """A writer is gone when all its files have ended: whoever moved on to a next file still holds that one."""
        ended = {piece.entry.name: piece for piece in self._pieces if piece.ended}
        if not ended:
            return
        last_seen: dict[str, float] = {}
        for name, piece in ended.items():
            seen = max(piece.entry.modified, self._reader.last_alive(name))
            last_seen[piece.entry.writer] = max(last_seen.get(piece.entry.writer, 0.0), seen)
        # Listed anew, now that the locks are held: a next file was locked before its predecessor was let go.
        held = {files.writer_of(name) for name in self._reader.listing() if name not in ended}
        for writer, seen in last_seen.items():
            if writer not in held:
                self._reader.writer_gone(tx, writer, seen)

    def _forget_deleted(self, tx: Transaction) -> None:
        for name in self._progress.keys() - self._names:
            tx.delete(PROGRESS, name)


def _unread(entry: files.Entry, progress: dict[str, Progress]) -> int:
    before = progress.get(entry.name)
    return entry.size if before is None else max(entry.size - before.offset, 0)


def _split(data: bytes, skipping: bool) -> tuple[int, list[bytes], bool]:
    """How many bytes are done with, the complete lines, and whether `data` ends inside a line that is too long."""
    start = 0
    if skipping:
        start = data.find(b"\n") + 1
        if not start:
            return len(data), [], True
    whole = data.rfind(b"\n") + 1
    if whole <= start:
        whole = start
        lines = []
    else:
        lines = data[start : whole - 1].split(b"\n")
    if len(data) - whole >= MAX_LINE:
        return len(data), lines, True
    return whole, lines, False
