"""What writers say of themselves."""

from __future__ import annotations

from vv_exporter.journal.events import Dropped, WriterStarted
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.metrics.exporter import EVENTS_DROPPED
from vv_exporter.settings import Settings
from vv_exporter.store import Transaction


def started(tx: Transaction, event: WriterStarted, source: Source, settings: Settings) -> None:
    """The first line of a file; the reader has taken what it needs."""


def dropped(tx: Transaction, event: Dropped, source: Source, settings: Settings) -> None:
    """Events were lost, and their writer says how many."""
    tx.inc(EVENTS_DROPPED, (event.component or source.component,), max(event.count, 0))


HANDLERS: dict[type, Handler] = {WriterStarted: started, Dropped: dropped}
