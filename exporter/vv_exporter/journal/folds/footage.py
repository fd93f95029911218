"""Recordings that scripts report."""

from __future__ import annotations

from vv_exporter.footage import segments
from vv_exporter.footage.ledger import milliseconds
from vv_exporter.journal.events import FootageRecorded
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.settings import Settings
from vv_exporter.state.store import Transaction


def recorded(tx: Transaction, event: FootageRecorded, source: Source, settings: Settings) -> None:
    """There is a recording of a camera."""
    start, end = milliseconds(event.start), milliseconds(event.end)
    segments.recorded(tx, event.dvr, start, end, event.video, event.video_sha256)


HANDLERS: dict[type, Handler] = {FootageRecorded: recorded}
