"""Footage, as the ledger has it.

::

    vv_footage_seconds_total{dvr="gate",step="recorded"} 86400.0
    vv_footage_missing_seconds_total{dvr="gate",cause="dvr_down"} 90.0
    vv_footage_latest_timestamp_seconds{dvr="gate",step="recorded"} 1.7e+09
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.footage.ledger import CAMERAS, DAYS, latest_of
from vv_exporter.metrics import gauges
from vv_exporter.metrics.footage import FOOTAGE_LATEST, FOOTAGE_MISSING, FOOTAGE_REFUSED, FOOTAGE_SECONDS
from vv_exporter.services import Services
from vv_exporter.state.store import Store


class FootageCollector:
    """Shows what was noted; a scrape never touches the storage."""

    name = "footage"

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterable[Family]:
        """All families."""
        for metric in (FOOTAGE_SECONDS, FOOTAGE_MISSING, FOOTAGE_REFUSED):
            yield stored(self._store, metric)
        cameras = self._store.docs(CAMERAS)
        ends = [
            ((dvr, step), latest_of(lambda key: self._store.document(DAYS, key), camera, step))
            for dvr, camera in cameras.items()
            for step in camera.latest
        ]
        yield gauges(FOOTAGE_LATEST, [(labels, end / 1000) for labels, end in ends if end is not None])


def build(services: Services) -> FootageCollector:
    """Make the collector."""
    return FootageCollector(services.store)
