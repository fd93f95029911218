"""Footage, as the ledger has it.

::

    vv_footage_seconds_total{dvr="gate",step="recorded"} 86400.0
    vv_footage_missing_seconds_total{dvr="gate",cause="dvr_down"} 90.0
    vv_footage_latest_timestamp_seconds{dvr="gate",step="recorded"} 1.7e+09
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.footage.ledger import CAMERAS, DAYS, latest_of
from vv_exporter.metrics import gauges
from vv_exporter.metrics.footage import (
    FOOTAGE_BYTES,
    FOOTAGE_LATEST,
    FOOTAGE_MISSING,
    FOOTAGE_OLDEST,
    FOOTAGE_REFUSED,
    FOOTAGE_RETENTION,
    FOOTAGE_SECONDS,
)
from vv_exporter.probes.storage import VIDEO_STORAGE
from vv_exporter.services import Services


class FootageCollector:
    """Shows what was noted, and what the files were found to be last; a scrape never touches the storage."""

    name = "footage"

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._clock = services.clock
        self._files = services.footage_files
        self._storage = services.filesystems.get(VIDEO_STORAGE)

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
        seen = self._files.last()
        oldest = {dvr: one.oldest for dvr, one in seen.items() if one.oldest is not None}
        rates = {dvr: one.bytes_per_second for dvr, one in seen.items() if one.bytes_per_second is not None}
        yield gauges(FOOTAGE_OLDEST, [((dvr,), time) for dvr, time in oldest.items()])
        yield gauges(FOOTAGE_BYTES, [((dvr,), rate) for dvr, rate in rates.items()])
        status = self._storage.status() if self._storage is not None else None
        usage = status.usage if status is not None else None
        rate = math.fsum(rates.values())
        room = usage.free / rate if usage is not None and rate else None
        kept = {dvr: max(self._clock() - time, 0.0) for dvr, time in oldest.items()}
        yield gauges(FOOTAGE_RETENTION, [((dvr,), age + room) for dvr, age in kept.items() if room is not None])


def build(services: Services) -> FootageCollector:
    """Make the collector."""
    return FootageCollector(services)
