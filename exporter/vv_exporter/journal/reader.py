"""Reads the journal exactly once.

1. It looks at the folder, and plans whose turn it is (`turns`): a share of each writer's, so that no file starves
   another.
2. When more waits than a batch, what waits is searched for alerts (`lookahead`), which are counted before their turn.
3. A batch (`batch`) is read, and its counts are committed together with the offsets up to which its files are counted.
   A kill before the commit repeats the batch, a kill after it goes on behind it.
4. What is routine (`routine`) is shown at once and committed later, at the latest after `commit_interval` seconds or
   so many bytes (`uncommitted`): a commit costs the device's flash some pages for whatever it holds. A kill before that
   has it read again, for nothing of the journal is deleted before its commit. Where more waits than a batch nothing
   waits for its commit.
5. A file whose lock can be had has no writer any more: it is read to its end, what its writer left open has crashed,
   and, once that is committed, the file is deleted. Until then its lock is held.
6. How far it was counted is forgotten when the folder, without it, is on the disk: after a power cut it may be back.

The time for all that waits is linear: each byte is searched and read once, and the folder is looked at for a small part
of the time, however many files lie in it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from vv_core.common.lasting import sync_folder
from vv_exporter.common.clock import isoformat
from vv_exporter.common.times import admitted
from vv_exporter.journal import files
from vv_exporter.journal.admission import Admission, is_odd
from vv_exporter.journal.batch import BATCH_BYTES, BATCH_FILES, Batch
from vv_exporter.journal.changes import Changes
from vv_exporter.journal.events import TYPES, AlertRaised, Event, RejectedError
from vv_exporter.journal.folds import Folds, Source
from vv_exporter.journal.lookahead import Found, Lookahead
from vv_exporter.journal.progress import PROGRESS, Progress
from vv_exporter.journal.turns import Turns
from vv_exporter.journal.uncommitted import Uncommitted
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.exporter import EVENTS, EVENTS_MISTIMED, EVENTS_REJECTED
from vv_exporter.runtime.loop import Loop
from vv_exporter.settings import Settings
from vv_exporter.state.database import ContentError, StoreError
from vv_exporter.state.dvr_agents import AGENTS
from vv_exporter.state.runs import OPEN_RUNS, SCRIPTS
from vv_exporter.state.store import Kind, Store, Transaction
from vv_exporter.state.timeline import Entry, tell

log = logging.getLogger(__name__)

INTERVAL = 0.1  # seconds from a round to the next, however quickly events follow each other
RESTING = 3.0  # seconds between rounds when there is no file, where changes are announced
LIVENESS_INTERVAL = 1.0  # seconds between tries to get the locks of files that do not grow
SEARCH_SECONDS = 1.0  # of a round, in which what waits is searched for alerts; then something is counted in its turn
RESCAN_INTERVAL = 1.0  # seconds between looks at the folder while there is something to read
RESCAN_PAUSE = 3.0  # times as long as a look took is the least pause until the next,
MAX_RESCAN_INTERVAL = 2.0  # but what is new is found within so many seconds
REMEMBERED = 60.0  # seconds for which the lag of the latest events is told when nothing waits
FORGET_INTERVAL = 60.0  # seconds between syncs of the folder, after which files that were deleted are forgotten
FORGET_FILES = 1000  # …or when so many were deleted
CATCH_UP_SECONDS = 10.0  # from the start, in which scrapes wait for what was shown before it
RETRY = 1.0  # seconds to wait when the database or the folder cannot be used
SETTLING = 0.5
"""Seconds after which a problem is logged: a file that a writer with another umask has just made is opened to others an
instant later (vv_core.common.shared), and on a slow device the reader comes in between."""
OPEN: tuple[Kind[Any], ...] = (*OPEN_RUNS, SCRIPTS, AGENTS)  # what a writer begins and ends


@dataclass(slots=True)
class Status:
    """How the reader is doing: `lag` in seconds, `backlog` in bytes (None before the first look), `problem` why it does
    not get on.

    `counted` and `looked` are when events were counted last, and when it last ended a look (monotonic).
    """

    lag: float = 0.0
    backlog: int | None = None
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
        boottime: Callable[[], float] | None = None,
        boot: str = "",
        commit_interval: float = 0.0,
    ) -> None:
        """What is routine is committed after `commit_interval` seconds at the latest; 0: with its batch."""
        self.status = Status()
        self._admission = Admission(monotonic, boottime or monotonic, boot)
        self._directory = directory
        self._store = store
        self._folds = folds
        self._settings = settings
        self._uncommitted = Uncommitted(store, monotonic, commit_interval)
        self._caught_up = threading.Event()
        self._begun = monotonic()
        self._clock = clock
        self._monotonic = monotonic
        self._alive: dict[str, float] = {}  # file → when its lock was last refused
        self._next_liveness = 0.0
        self._files = 0
        self._turns = Turns()
        self._lookahead = Lookahead(directory, store)
        self._next_scan = float("-inf")
        self._scanned = 0  # bytes that waited at the last look
        self._gone: list[str] = []  # files that are no more, also after a power cut, but known
        self._next_forgetting = float("-inf")
        self._since: dict[str, float] = {}  # file → when the oldest of what waits in it was written
        self._tails: dict[str, int] = {}  # file → up to where it was read, the beginning of a line included
        self._checks = self._succeeded = False
        self._problem = ""
        self._problem_began = float("-inf")
        self._told = ""  # the problem that was logged
        self._complained: set[tuple[str, type[Exception]]] = set()
        self._stopping = threading.Event()
        self._loop = Loop("journal", "the journal", self._follow_once, 0.0, stop_seconds=5.0)
        self._changes: Changes | None = None
        self._announced = True  # what waits was announced, as far as is known

    def start(self) -> None:
        """Begin to follow; makes the folder where there is none. Raises `OSError`."""
        files.ensure_directory(self._directory)
        self.status.looked = self._monotonic()
        self._changes = Changes(self._directory, self._monotonic)
        self._loop.start()

    def stop(self) -> None:
        """Finish the batch in hand and end."""
        self._stopping.set()
        if self._changes is None:
            return
        self._changes.wake()
        self._loop.stop()
        if not self._loop.alive:
            self._changes.close()
            self._changes = None
            with contextlib.suppress(StoreError):  # then it is read again
                self._store.commit()
                self._uncommitted.settle(self._delete_counted_file)
            self._uncommitted.forget()

    def wait_until_caught_up(self, seconds: float) -> None:
        """Wait until all is counted that was there at the start, so long at most, and not once it is long ago.

        What was shown before a kill and was not committed is shown again then. Behind a long backlog nobody waits.
        """
        left = self._begun + CATCH_UP_SECONDS - self._monotonic()
        self._caught_up.wait(max(min(seconds, left), 0.0))

    def _follow_once(self) -> None:
        """One round, and the wait for the next. Raises what nobody expected: the reader is the only way in."""
        changes, before = self._changes, self._scanned
        if changes is None or self._stopping.is_set():
            return
        changes.begin()
        try:
            more = self.round()
            self.status.looked = self._monotonic()
            if self._scanned > before and not self._announced:
                changes.missed()
            if not more:
                self._caught_up.set()
                self._announced = self._pause_until_change(changes, self._announced)
        except (OSError, StoreError) as error:
            self._report_problem(str(error))
            self._caught_up.set()
            self._stopping.wait(RETRY)
        except Exception as error:
            self._report_problem(repr(error))
            raise

    def _pause_until_change(self, changes: Changes, announced: bool) -> bool:
        """Until there may be something to read. Gives whether what is then there was announced."""
        if announced:
            self._stopping.wait(INTERVAL)
        return changes.wait(LIVENESS_INTERVAL if self._files else RESTING)

    def _report_problem(self, problem: str) -> None:
        now = self._monotonic()
        if problem != self.status.problem:
            self._problem_began = now
        if not problem:
            self._told = ""
        elif problem != self._told and now - self._problem_began >= SETTLING:
            log.error("the journal cannot be read, will try again: %s", problem)
            self._told = problem
        self.status.problem = problem

    def round(self) -> bool:
        """Search and read for a while. Gives whether more is waiting."""
        if self._uncommitted.due:
            self._store.commit()
        self._uncommitted.settle(self._delete_counted_file)
        try:
            if not self._turns or self._monotonic() >= self._next_scan:
                self._scan_folder()
            if self._lookahead:
                self._count_ahead()
            if self._turns:
                self._count_batch()
        except BaseException:
            self._turns.clear()
            self._lookahead.forget()
            raise
        if not self._turns:
            self._lookahead.clear()
            self._end_plan()
        return bool(self._turns)

    def _scan_folder(self) -> None:
        """Look at the folder, and plan what is read in which order."""
        self._end_plan()
        self._turns.clear()  # thousands of files take some memory: not twice
        self._lookahead.clear()
        began = self._monotonic()
        found = files.scan(self._directory)
        entries = [entry for entry in found if entry.name not in self._uncommitted.files]
        progress = self._store.docs(PROGRESS)
        self._files = len(entries)
        self._gone = self._gone_for_good(progress.keys() - {entry.name for entry in found}, began)
        unread = {entry.name: size for entry in entries if (size := _unread_bytes(entry, progress.get(entry.name)))}
        self.status.backlog = self._scanned = sum(unread.values())
        self._tell_lag([entry for entry in entries if entry.name in unread])
        self._checks = began >= self._next_liveness
        if self._checks:
            self._next_liveness = began + LIVENESS_INTERVAL
            self._drop_lost_runs({entry.writer for entry in found})
        due = entries if self._checks else [entry for entry in entries if entry.name in unread]
        self._turns.plan(due, self._lookahead.preferred)
        if self._scanned > BATCH_BYTES or len(unread) > BATCH_FILES:
            self._lookahead.plan(entry for entry in entries if entry.name in unread)
        self._succeeded = not due
        # A look costs as much as there are files: it takes a small part of the time, however many there are.
        pause = max(RESCAN_INTERVAL, RESCAN_PAUSE * (self._monotonic() - began))
        self._next_scan = self._monotonic() + min(pause, MAX_RESCAN_INTERVAL)

    def _gone_for_good(self, absent: set[str], now: float) -> list[str]:
        """Those of files that are not there which a power cut does not bring back. Seldom, for it costs a sync."""
        known = [name for name in self._gone if name in absent]  # nothing was committed since
        if known or not absent or (now < self._next_forgetting and len(absent) < FORGET_FILES):
            return known
        self._next_forgetting = now + FORGET_INTERVAL
        try:
            sync_folder(str(self._directory))
        except OSError as error:  # then they stay known
            log.warning("%s cannot be written through to the disk: %s", self._directory, error)
            return []
        return list(absent)

    def _end_plan(self) -> None:
        """All files were looked at, or enough: what is wrong with any of them is told, or that nothing is."""
        if self._checks and self._succeeded:
            self._report_problem(self._problem)
            self._problem = ""
            self._checks = False

    def _tell_lag(self, waiting: Iterable[files.Entry]) -> None:
        """How old the oldest event is that waits, as far as that is known: a half-written line does not wait for us."""
        known, tails = self._since, self._tails
        self._tails = {one.name: tails[one.name] for one in waiting if one.name in tails}
        self._since = {
            one.name: known.get(one.name, one.modified) for one in waiting if self._tails.get(one.name) != one.size
        }
        oldest = min(self._since.values(), default=None)
        if oldest is not None:
            self.status.lag = max(self._clock() - oldest, 0.0)
        elif self._monotonic() - self.status.counted > REMEMBERED:
            self.status.lag = 0.0

    def _count_ahead(self) -> None:
        """Search for a while before anything is counted in its turn, and count the alerts that are found."""
        end = self._monotonic() + SEARCH_SECONDS
        while self._lookahead:
            self._count_found(self._lookahead.search())
            if self._monotonic() >= end or self._stopping.is_set():
                return

    def _count_found(self, found: Sequence[Found]) -> None:
        """Count alerts before their turn, and note where they stand: they are not counted again."""
        if not found:
            return
        try:
            with self._store.transaction() as tx:
                for one in found:
                    if not self.fold(tx, one.event, one.source):
                        known = tx.get(PROGRESS, one.name) or Progress()
                        tx.inc(EVENTS, (TYPES[AlertRaised],))
                        tx.put(PROGRESS, one.name, msgspec.structs.replace(known, ahead=(*known.ahead, one.offset)))
        except ContentError as error:
            log.error("alerts could not be counted ahead, and will be in their turn: %s", error)

    def _count_batch(self) -> None:
        with contextlib.ExitStack() as locks:
            batch = Batch(self, locks)
            batch.take(self._turns)
            ended = batch.commit(may_wait=self._uncommitted.may_grow and not self._turns)
            self._uncommitted.add(batch.size, ended, locks)
        self._uncommitted.settle(self._delete_counted_file)
        self._succeeded = True
        if batch.pieces:
            self._gone.clear()
        for piece in batch.pieces:
            done = piece.hole + (len(piece.data) if piece.more else piece.data.rfind(b"\n") + 1)
            self.status.backlog = max((self.status.backlog or 0) - done, 0)
            if piece.more:
                written = batch.written.get(piece.entry.name, self._since.get(piece.entry.name, piece.entry.modified))
                self._since[piece.entry.name] = min(written, self._clock())
            else:
                self._since.pop(piece.entry.name, None)
                self._tails[piece.entry.name] = piece.reaches
        if batch.written:
            self.status.counted = self._monotonic()
            if not self._turns:
                self.status.lag = max(self._clock() - max(batch.written.values()), 0.0)
        if batch.problem:
            self._problem = batch.problem
            self._report_problem(batch.problem)

    def _delete_counted_file(self, name: str) -> None:
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            self._problem = f"{name} is counted but cannot be deleted: {error.strerror}"
            self._report_problem(self._problem)

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

    def listing(self) -> list[str]:
        """The names that the folder holds now."""
        return files.names(self._directory)

    def forget_deleted(self, tx: Transaction) -> None:
        """Forget how far files were counted that are no more."""
        for name in self._gone:
            tx.delete(PROGRESS, name)

    def seen_alive(self, name: str) -> None:
        """The file's lock was refused just now."""
        self._alive[name] = self._clock()

    def last_alive(self, name: str) -> float:
        """When the file's lock was last refused, 0 if never; forgets it."""
        return self._alive.pop(name, 0.0)

    def fold(self, tx: Transaction, event: Event, source: Source) -> str:
        """Apply one event: all pass here, in turn or ahead. Gives why it was refused; then nothing changed."""
        try:
            tx.attempt(self._fold_admitted, event, source)
        except RejectedError as error:
            return error.reason
        except Exception as error:
            self._log_defect_once(TYPES[type(event)], error)
            return "fold"
        return ""

    def _fold_admitted(self, tx: Transaction, event: Event, source: Source) -> None:
        """Fold the event with times that can be true."""
        believed = self._admission.admit(event, tx.now, source)
        self._folds.handlers[type(event)](tx, believed, source, self._settings)
        if believed is not event and is_odd(event, believed):
            report_odd_time(tx, event, believed, source)

    def _log_defect_once(self, what: str, error: Exception) -> None:
        """Log a defect once: there may be millions of events that it strikes."""
        if (what, type(error)) not in self._complained:
            self._complained.add((what, type(error)))
            log.error("an event of type %s could not be counted, nor may others like it", what, exc_info=error)

    def writer_gone(self, tx: Transaction, writer: str, last_seen: float) -> bool:
        """What the writer had open has crashed; gives whether it had anything open."""
        last_seen = admitted(last_seen, tx.now)
        changed = False
        for handler in self._folds.writer_gone:
            try:
                changed |= tx.attempt(handler, writer, last_seen)
            except Exception as error:
                self._log_defect_once(handler.__module__, error)
                tx.inc(EVENTS_REJECTED, ("fold",))
        return changed


def report_odd_time(tx: Transaction, event: Event, believed: Event, source: Source) -> None:
    """Count an event whose time cannot be true, and tell of it."""
    tx.inc(EVENTS_MISTIMED, ("future" if event.ts > believed.ts else "past",))
    component = event.component or source.component
    if component:
        title = sentence("{component} reported with a clock that is wrong", component=component)
    else:
        title = sentence("A script reported with a clock that is wrong")
    details = sentence(
        "An event of type {type} counts as of {believed}; its time was {time}.",
        type=TYPES[type(event)], believed=isoformat(believed.ts), time=repr(event.ts),
    )  # fmt: skip
    tell(tx, tx.now, Entry("clock.odd", title, "warning", component, details))


def _unread_bytes(entry: files.Entry, progress: Progress | None) -> int:
    return max(entry.size - (progress.offset if progress else 0), 0)
