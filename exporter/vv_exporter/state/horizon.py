"""How far back the history is kept."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from vv_exporter.common.clock import boottime
from vv_exporter.common.times import EARLIEST
from vv_exporter.state.store import Kind, Store

PACE = 2.0
"""Seconds by which the horizon comes nearer in a second, at most."""


class Kept(msgspec.Struct, frozen=True):
    """The history begins at `since` (Unix seconds)."""

    since: float


KEPT: Kind[Kept] = Kind("history_horizon", Kept)


class Horizon:
    """Deletes what is older than `keep` seconds, but never in a rush: a clock that is years ahead for an hour costs an
    hour or two of the history. What is too much is deleted by other bounds.
    """

    def __init__(self, store: Store, keep: float, boottime: Callable[[], float] = boottime) -> None:
        self._store = store
        self._keep = keep
        self._boottime = boottime
        self._advanced = boottime()

    def advance(self, now: float) -> None:
        """Delete what is too old by now. Raises `StoreError`."""
        oldest = self._store.oldest_history(EARLIEST)
        known = self._store.document(KEPT, "")
        passed, self._advanced = self._boottime() - self._advanced, self._boottime()
        if oldest is None:
            return
        since = min(now - self._keep, (known.since if known else oldest) + PACE * passed)
        with self._store.transaction() as tx:
            tx.put(KEPT, "", Kept(since))
        self._store.forget_history(since)
