"""Reads the journal exactly once.

1. It looks at the folder, and plans whose turn it is (`plan`, `turns`): a share of each writer's, so that no file
   starves another.
2. When more waits than a batch, what waits is searched for alerts (`lookahead`), which are counted before their turn.
3. A batch (`batch`) is read, and its counts (`counting`) are committed together with the offsets up to which its files
   are counted. A kill before the commit repeats the batch, a kill after it goes on behind it.
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
import threading
from collections.abc import Callable
from pathlib import Path

from vv_exporter.journal import files, plan
from vv_exporter.journal.admission import Admission
from vv_exporter.journal.batch import Batch
from vv_exporter.journal.changes import Changes
from vv_exporter.journal.counting import Counting
from vv_exporter.journal.folder import Folder
from vv_exporter.journal.folds import Folds
from vv_exporter.journal.plan import Plan
from vv_exporter.journal.status import Problems, Status, Waiting
from vv_exporter.journal.uncommitted import Uncommitted
from vv_exporter.runtime.loop import Loop
from vv_exporter.settings import Settings
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store

ROUND_INTERVAL_SECONDS = 0.1  # from a round to the next, however quickly events follow each other
RESTING_SECONDS = 3.0  # between rounds when there is no file, where changes are announced
SEARCH_SECONDS = 1.0  # of a round, in which what waits is searched for alerts; then something is counted in its turn
CATCH_UP_SECONDS = 10.0  # from the start, in which scrapes wait for what was shown before it
RETRY_SECONDS = 1.0  # to wait when the database or the folder cannot be used


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
        self._store = store
        self._monotonic = monotonic
        self._folder = Folder(directory, clock)
        self._counting = Counting(folds, settings, Admission(monotonic, boottime or monotonic, boot))
        self._uncommitted = Uncommitted(store, monotonic, commit_interval)
        self._problems = Problems(self.status, monotonic)
        self._waiting = Waiting(self.status, clock, monotonic)
        self._plan = Plan(self._folder, store, self._uncommitted, self._problems, self._waiting, monotonic)
        self._begun = monotonic()
        self._caught_up = threading.Event()
        self._stopping = threading.Event()
        self._loop = Loop("journal", "the journal", self._follow_once, 0.0, stop_seconds=5.0)
        self._changes: Changes | None = None
        self._announced = True  # what waits was announced, as far as is known

    def start(self) -> None:
        """Begin to follow; makes the folder where there is none. Raises `OSError`."""
        files.ensure_directory(self._folder.directory)
        self.status.looked = self._monotonic()
        self._changes = Changes(self._folder.directory, self._monotonic)
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
        changes, before = self._changes, self._plan.unread_bytes
        if changes is None or self._stopping.is_set():
            return
        changes.begin()
        try:
            more = self.round()
            self.status.looked = self._monotonic()
            if self._plan.unread_bytes > before and not self._announced:
                changes.missed()
            if not more:
                self._caught_up.set()
                self._announced = self._pause_until_change(changes, self._announced)
        except (OSError, StoreError) as error:
            self._problems.show(str(error))
            self._caught_up.set()
            self._stopping.wait(RETRY_SECONDS)
        except Exception as error:
            self._problems.show(repr(error))
            raise

    def _pause_until_change(self, changes: Changes, announced: bool) -> bool:
        """Until there may be something to read. Gives whether what is then there was announced."""
        if announced:
            self._stopping.wait(ROUND_INTERVAL_SECONDS)
        return changes.wait(plan.LIVENESS_INTERVAL_SECONDS if self._plan.file_count else RESTING_SECONDS)

    def round(self) -> bool:
        """Search and read for a while. Gives whether more is waiting."""
        if self._uncommitted.due:
            self._store.commit()
        self._uncommitted.settle(self._delete_counted_file)
        try:
            if self._plan.is_over:
                self._plan.scan_folder()
            if self._plan.lookahead:
                self._count_ahead()
            if self._plan.turns:
                self._count_batch()
        except BaseException:
            self._plan.drop()
            raise
        if not self._plan.turns:
            self._plan.end()
        return bool(self._plan.turns)

    def _count_ahead(self) -> None:
        """Search for a while before anything is counted in its turn, and count the alerts that are found."""
        end = self._monotonic() + SEARCH_SECONDS
        while self._plan.lookahead:
            if found := self._plan.lookahead.search():
                self._counting.count_ahead(self._store, found)
            if self._monotonic() >= end or self._stopping.is_set():
                return

    def _count_batch(self) -> None:
        turns = self._plan.turns
        with contextlib.ExitStack() as locks:
            batch = Batch(self._store, self._folder, self._counting, locks)
            batch.take(turns)
            ended = batch.commit(may_wait=self._uncommitted.may_grow and not turns)
            self._uncommitted.add(batch.size, ended, locks)
        self._uncommitted.settle(self._delete_counted_file)
        self._problems.note_counted()
        if batch.pieces:
            self._folder.end_forgetting()
        self._waiting.show_counted(batch, more=bool(turns))
        if batch.problem:
            self._problems.show_of_file(batch.problem)

    def _delete_counted_file(self, name: str) -> None:
        try:
            self._folder.path(name).unlink(missing_ok=True)
        except OSError as error:
            self._problems.show_of_file(f"{name} is counted but cannot be deleted: {error.strerror}")
