"""What a digest is made of, read from the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vv_exporter.delivery import notifications
from vv_exporter.digest import samples
from vv_exporter.drills.state import PROOFS, Proof
from vv_exporter.state import timeline
from vv_exporter.state.store import Record, Store

MAX_NOTIFICATIONS = 20_000
MAX_MOMENTS = 20_000
# What was open at the beginning was notified in the day before: Alertmanager repeats daily.
OPEN = 1.1 * 86400.0
_CHUNK = 500
_LAST = 2**62


class History(NamedTuple):
    """All in the order of time."""

    notifications: list[Record]
    moments: list[timeline.Moment]
    samples: list[samples.Sample]
    proofs: Mapping[str, Proof]


def read(store: Store, since: float, until: float) -> History:
    """What is known of a time (Unix seconds)."""
    moments = timeline.read(store, timeline.Filter(since, until, severity="error"), MAX_MOMENTS).moments
    return History(
        _read_notifications(store, since - OPEN, until), moments[::-1], samples.read(store, since), store.docs(PROOFS)
    )


def _read_notifications(store: Store, since: float, until: float) -> list[Record]:
    found: list[Record] = []
    before = (until, _LAST)
    while len(found) < MAX_NOTIFICATIONS:  # in short steps, so that no writer waits for long
        rows = store.raw_history(notifications.HISTORY, since, before, _CHUNK)
        found += store.recorded(rows)
        if len(rows) < _CHUNK:
            break
        before = (rows[-1][1], rows[-1][0])
    return found[::-1]
