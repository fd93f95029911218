"""What writers say of themselves."""

from __future__ import annotations

from vv_exporter.journal.events import Dropped, WriterStarted
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.language.sentences import nsentence
from vv_exporter.metrics.exporter import EVENTS_DROPPED
from vv_exporter.settings import Settings
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline


def started(tx: Transaction, event: WriterStarted, source: Source, settings: Settings) -> None:
    """The first line of a file; the reader has taken what it needs."""


def dropped(tx: Transaction, event: Dropped, source: Source, settings: Settings) -> None:
    """Events were lost, and their writer says how many."""
    component = event.component or source.component
    tx.inc(EVENTS_DROPPED, (component,), max(event.count, 0))
    title = nsentence("{count} event lost", "{count} events lost", count=event.count)
    add_to_timeline(tx, event.ts, Entry("events.dropped", title, "warning", component))


HANDLERS: dict[type, Handler] = {WriterStarted: started, Dropped: dropped}
