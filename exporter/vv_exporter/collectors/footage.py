"""Footage, as the ledger has it.

::

    vv_footage_seconds_total{dvr="gate",step="recorded"} 86400.0
    vv_footage_missing_seconds_total{dvr="gate",cause="dvr_down"} 90.0
    vv_footage_latest_timestamp_seconds{dvr="gate",step="recorded"} 1.7e+09
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.footage.accounts import signed_within
from vv_exporter.footage.ledger import CAMERAS, DAY, DAYS, MAX_CAMERAS, latest_of, milliseconds, spans_of
from vv_exporter.footage.report import View, names
from vv_exporter.footage.segments import JOIN
from vv_exporter.metrics import Labels, gauges
from vv_exporter.metrics.footage import (
    FOOTAGE_BYTES,
    FOOTAGE_CORRUPT,
    FOOTAGE_DAY_RATIO,
    FOOTAGE_DVR_KEEPS,
    FOOTAGE_ESSENTIAL,
    FOOTAGE_HOLE_END,
    FOOTAGE_HOLE_START,
    FOOTAGE_LATEST,
    FOOTAGE_MISSING,
    FOOTAGE_MISSING_LIMIT,
    FOOTAGE_OLDEST,
    FOOTAGE_OPEN,
    FOOTAGE_RECENT,
    FOOTAGE_REFUSED,
    FOOTAGE_RETENTION,
    FOOTAGE_RETENTION_TARGET,
    FOOTAGE_SECONDS,
    FOOTAGE_SIGNED_WITHIN,
    FOOTAGE_UNSIGNED,
    FOOTAGE_UNSIGNED_END,
    FOOTAGE_UNSIGNED_START,
)
from vv_exporter.probes.storage import VIDEO_STORAGE
from vv_exporter.services import Services
from vv_exporter.settings import FootageSettings

_STORED = (
    FOOTAGE_SECONDS,
    FOOTAGE_MISSING,
    FOOTAGE_REFUSED,
    FOOTAGE_RECENT,
    FOOTAGE_HOLE_START,
    FOOTAGE_HOLE_END,
    FOOTAGE_OPEN,
    FOOTAGE_DAY_RATIO,
    FOOTAGE_UNSIGNED,
    FOOTAGE_UNSIGNED_START,
    FOOTAGE_UNSIGNED_END,
)


class FootageCollector:
    """Shows what was noted, and what the files were found to be last; a scrape never touches the storage."""

    name = "footage"

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._settings = services.settings
        self._clock = services.clock
        self._files = services.footage_files
        self._storage = services.filesystems.get(VIDEO_STORAGE)

    def collect(self) -> Iterable[Family]:
        """All families."""
        yield from (stored(self._store, metric) for metric in _STORED)
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
        yield gauges(FOOTAGE_CORRUPT, [((dvr,), one.corrupt) for dvr, one in seen.items()])
        yield gauges(FOOTAGE_RETENTION, self._retention(oldest, math.fsum(rates.values())))
        yield from self._limits()

    def _retention(self, oldest: Mapping[str, float], rate: float) -> Iterator[tuple[Labels, float]]:
        """How far back the files reach; as long as none was deleted, they will reach further, as far as there is room.

        That the recorder deletes is known by the ledger: it has footage of just before the oldest file.
        """
        status = self._storage.status() if self._storage is not None else None
        usage = status.usage if status is not None else None
        room = usage.free / rate if usage is not None and rate else None
        view = View(self._store)
        for dvr, time in oldest.items():
            age, start = max(self._clock() - time, 0.0), milliseconds(time)
            if any(spans_of(view.day, dvr, "recorded", start - DAY, start - JOIN)):
                yield (dvr,), age
            elif room is not None:
                yield (dvr,), age + room

    def _limits(self) -> Iterable[Family]:
        """What the settings say of cameras, and what rules compare with."""
        settings, plans = self._settings, self._settings.footage
        dvrs = names(View(self._store), plans)[:MAX_CAMERAS]
        targets = {dvr: _of(plans, dvr, "retention") or settings.footage_retention for dvr in dvrs}
        within = {dvr: signed_within(plans.get(dvr), settings.footage_signed_within) for dvr in dvrs}
        keeps = {dvr: _of(plans, dvr, "dvr_keeps") for dvr in dvrs}
        yield gauges(FOOTAGE_ESSENTIAL, [((dvr,), 1) for dvr in dvrs if dvr in plans and plans[dvr].essential])
        yield gauges(FOOTAGE_MISSING_LIMIT, [((), settings.footage_missing)])
        for metric, values in (
            (FOOTAGE_DVR_KEEPS, keeps),
            (FOOTAGE_RETENTION_TARGET, targets),
            (FOOTAGE_SIGNED_WITHIN, within),
        ):
            yield gauges(metric, [((dvr,), seconds) for dvr, seconds in values.items() if seconds])


def _of(plans: Mapping[str, FootageSettings], dvr: str, key: str) -> float | None:
    """What vv.yml says of a camera, if it does."""
    found: float | None = getattr(plans.get(dvr), key, None)
    return found


def build(services: Services) -> FootageCollector:
    """Make the collector."""
    return FootageCollector(services)
