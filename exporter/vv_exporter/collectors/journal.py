"""How far the journal's reader is behind.

::

    vv_event_lag_seconds 0.12
    vv_event_backlog_bytes 0.0
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.journal.reader import Reader
from vv_exporter.metrics import gauges
from vv_exporter.metrics.exporter import EVENT_BACKLOG, EVENT_LAG
from vv_exporter.services import Services

HANGS = 5.0  # seconds without an end of a look that a busy machine does not explain


class JournalCollector:
    """Fails while the reader cannot read or count."""

    name = "journal"

    def __init__(self, reader: Reader, monotonic: Callable[[], float]) -> None:
        self._reader = reader
        self._monotonic = monotonic

    def collect(self) -> Iterable[Family]:
        """Raises `RuntimeError` while the journal cannot be read or counted."""
        status = self._reader.status
        if status.problem:
            raise RuntimeError(status.problem)
        hanging = self._monotonic() - status.looked
        yield gauges(EVENT_LAG, [((), hanging if hanging > HANGS else status.lag)])
        if status.backlog is not None:
            yield gauges(EVENT_BACKLOG, [((), status.backlog)])


def build(services: Services) -> JournalCollector:
    """Make the collector."""
    return JournalCollector(services.reader, services.monotonic)
