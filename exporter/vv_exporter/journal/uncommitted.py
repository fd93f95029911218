"""What of the journal is counted and shown, but not committed yet: how much that may be, and which files it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack

from vv_exporter.journal.batch import BATCH_FILES
from vv_exporter.state.store import Store

MAX_BYTES = 1 << 20
MAX_FILES = BATCH_FILES  # their locks are held until the commit
MAX_SECONDS_OF_OTHERS = 90.0
"""What others let wait is mostly of each minute, as the sample is which does not wait, and is committed with that."""


class Uncommitted:
    """Of one reader. `monotonic` never goes back; nothing of the journal waits for longer than `interval` seconds, 0:
    nothing of it waits.

    Whoever commits to the store commits what waits as well; and what others let wait there is committed here, when
    nobody else does for long.
    """

    def __init__(self, store: Store, monotonic: Callable[[], float], interval: float) -> None:
        self.files: dict[str, None] = {}
        """Those that are counted to their end, and are deleted after the commit."""
        self._store = store
        self._monotonic = monotonic
        self._interval = interval
        self._since: float | None = None
        self._bytes = 0
        self._of_others = True  # alone
        self._locks = ExitStack()

    @property
    def may_grow(self) -> bool:
        """Whether more may wait."""
        return self._interval > 0 and not self.due

    @property
    def due(self) -> bool:
        """Whether it is to be committed now."""
        if self._since is None or not self._store.waiting:
            return False
        age = self._monotonic() - self._since
        longest = MAX_SECONDS_OF_OTHERS if self._of_others else self._interval
        return age >= longest or self._bytes >= MAX_BYTES or len(self.files) >= MAX_FILES

    def add(self, size: int, ended: Iterable[str], locks: ExitStack) -> None:
        """So many bytes were counted, and these files to their end. It takes over their `locks`."""
        self.files.update(dict.fromkeys(ended))
        self._locks.push(locks.pop_all())
        if self._store.waiting:
            self._bytes += size
            if self._since is None or self._of_others:
                self._since, self._of_others = self._monotonic(), False

    def settle(self, delete: Callable[[str], None]) -> None:
        """If all is committed by now, by whomever, delete the files that were counted to their end, and unlock them."""
        if self._store.waiting:
            self._since = self._monotonic() if self._since is None else self._since
            return
        try:
            for name in self.files:
                delete(name)
        finally:
            self.forget()

    def forget(self) -> None:
        """Nothing is waited for any more."""
        self.files.clear()
        self._locks.close()
        self._since, self._bytes, self._of_others = None, 0, True
