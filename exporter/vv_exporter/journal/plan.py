"""What is read next: made from a look at the folder, which costs as much as there are files.

1. Files that are counted to their end and wait for a commit are left out.
2. How far files were counted that are gone for good is forgotten with the next batch.
3. Once a second all files are due, so that those are found whose writer is gone; else those that have grown.
4. It is planned whose turn it is (`turns`), and, where more waits than a batch, what is searched for alerts before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vv_exporter.journal import files
from vv_exporter.journal.batch import BATCH_BYTES, BATCH_FILES
from vv_exporter.journal.folder import Folder
from vv_exporter.journal.lookahead import Lookahead
from vv_exporter.journal.lost_runs import drop_lost_runs
from vv_exporter.journal.progress import PROGRESS, Progress
from vv_exporter.journal.status import Problems, Waiting
from vv_exporter.journal.turns import Turns
from vv_exporter.journal.uncommitted import Uncommitted
from vv_exporter.state.store import Store

LIVENESS_INTERVAL_SECONDS = 1.0  # between tries to get the locks of files that do not grow
RESCAN_INTERVAL_SECONDS = 1.0  # between looks at the folder while there is something to read
RESCAN_PAUSE_FACTOR = 3.0  # times as long as a look took is the least pause until the next,
MAX_RESCAN_INTERVAL_SECONDS = 2.0  # but what is new is found within so many seconds


class Plan:
    """Whose `turns` it is, and the `lookahead` before. `file_count` and `unread_bytes` are of the last look."""

    def __init__(
        self,
        folder: Folder,
        store: Store,
        uncommitted: Uncommitted,
        problems: Problems,
        waiting: Waiting,
        monotonic: Callable[[], float],
    ) -> None:
        self.turns = Turns()
        self.lookahead = Lookahead(folder.directory, store)
        self.file_count = 0
        self.unread_bytes = 0
        self._folder = folder
        self._store = store
        self._uncommitted = uncommitted
        self._problems = problems
        self._waiting = waiting
        self._monotonic = monotonic
        self._next_scan = self._next_liveness_check = float("-inf")

    @property
    def is_over(self) -> bool:
        """Whether it is time for another."""
        return not self.turns or self._monotonic() >= self._next_scan

    def scan_folder(self) -> None:
        """Look at the folder, and plan what is read in which order. Raises `OSError`, `StoreError`."""
        self.end()  # thousands of files take some memory: not twice
        began = self._monotonic()
        found = files.scan(self._folder.directory)
        entries = [entry for entry in found if entry.name not in self._uncommitted.files]
        progress = self._store.docs(PROGRESS)
        self._folder.note_absent(progress.keys() - {entry.name for entry in found}, began)
        waiting = self._note_waiting(entries, progress)
        check_all = began >= self._next_liveness_check
        if check_all:
            self._next_liveness_check = began + LIVENESS_INTERVAL_SECONDS
            drop_lost_runs(self._store, {entry.writer for entry in found})
        due = entries if check_all else waiting
        self.turns.plan(due, self.lookahead.preferred)
        if self.unread_bytes > BATCH_BYTES or len(waiting) > BATCH_FILES:
            self.lookahead.plan(waiting)
        self._problems.begin_plan(of_all=check_all, done=not due)
        # A look costs as much as there are files: it takes a small part of the time, however many there are.
        pause = max(RESCAN_INTERVAL_SECONDS, RESCAN_PAUSE_FACTOR * (self._monotonic() - began))
        self._next_scan = self._monotonic() + min(pause, MAX_RESCAN_INTERVAL_SECONDS)

    def end(self) -> None:
        """It is done, or another is made."""
        self._problems.end_plan()
        self.turns.clear()
        self.lookahead.clear()

    def drop(self) -> None:
        """It broke off: all of it may have to be done again."""
        self.turns.clear()
        self.lookahead.forget()

    def _note_waiting(self, entries: Sequence[files.Entry], progress: Mapping[str, Progress]) -> list[files.Entry]:
        """Show how much waits; gives the files in which something does."""
        sizes = [_unread_bytes(entry, progress.get(entry.name)) for entry in entries]
        waiting = [entry for entry, size in zip(entries, sizes, strict=True) if size]
        self.file_count, self.unread_bytes = len(entries), sum(sizes)
        self._waiting.show_scanned(waiting, self.unread_bytes)
        return waiting


def _unread_bytes(entry: files.Entry, progress: Progress | None) -> int:
    return max(entry.size - (progress.offset if progress else 0), 0)
