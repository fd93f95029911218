"""The journal's reader, and how far it is behind.

::

    vv_event_lag_seconds 0.12
    vv_event_backlog_bytes 0.0
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.context import Context
from vv_exporter.journal import files
from vv_exporter.journal.folds import discover
from vv_exporter.journal.reader import Reader
from vv_exporter.metrics import gauges
from vv_exporter.metrics.exporter import EVENT_BACKLOG, EVENT_LAG

HANGS = 5.0  # seconds without an end of a look that a busy machine does not explain


class JournalCollector:
    """Runs the reader; fails while the reader cannot read or count."""

    name = "journal"

    def __init__(self, context: Context) -> None:
        self._directory = context.settings.journal_dir
        self._monotonic = context.monotonic
        self._reader = Reader(
            self._directory,
            context.store,
            discover(),
            context.settings,
            context.clock,
            context.monotonic,
            context.boottime,
            context.boot,
        )

    def start(self) -> None:
        """Begin to follow the journal."""
        files.ensure_directory(self._directory)
        self._reader.start()

    def stop(self) -> None:
        """End after the batch in hand."""
        self._reader.stop()

    def collect(self) -> Iterable[Family]:
        """Raises `RuntimeError` while the journal cannot be read or counted."""
        status = self._reader.status
        if status.problem:
            raise RuntimeError(status.problem)
        hanging = self._monotonic() - status.looked
        yield gauges(EVENT_LAG, [((), hanging if hanging > HANGS else status.lag)])
        if status.backlog is not None:
            yield gauges(EVENT_BACKLOG, [((), status.backlog)])


def build(context: Context) -> JournalCollector:
    """Make the collector."""
    return JournalCollector(context)
