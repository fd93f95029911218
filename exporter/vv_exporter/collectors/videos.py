"""Videos: what the journal counted, and what lies in `input/` and `corrupted/` of the video storage.

::

    vv_videos_exhausted_total{stage="scan_video"} 1.0
    vv_quarantine_files 3.0
    vv_backlog_videos 12.0
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.context import Context
from vv_exporter.metrics import gauges
from vv_exporter.metrics.videos import (
    BACKLOG_OLDEST,
    BACKLOG_VIDEOS,
    QUARANTINE_BYTES,
    QUARANTINE_FILES,
    STALLED_SECONDS,
    VIDEOS_EXHAUSTED,
    VIDEOS_QUARANTINED,
)
from vv_exporter.probes.videos import VideoCensus
from vv_exporter.services import Services


class VideosCollector:
    """Shows what the census found last; a scrape never touches the storage."""

    name = "videos"

    def __init__(self, context: Context, census: VideoCensus) -> None:
        self._store = context.store
        self._stalled_after = context.settings.pipeline_stalled_after
        self._census = census

    def collect(self) -> Iterable[Family]:
        """All families; of the storage, those that are known."""
        yield stored(self._store, VIDEOS_EXHAUSTED)
        yield stored(self._store, VIDEOS_QUARANTINED)
        yield gauges(STALLED_SECONDS, [((), self._stalled_after)])
        found = self._census.last()
        if found is None:
            return
        yield gauges(QUARANTINE_FILES, [((), found.quarantined)])
        yield gauges(QUARANTINE_BYTES, [((), found.quarantined_bytes)])
        yield gauges(BACKLOG_VIDEOS, [((), len(found.waiting))])
        oldest = self._census.waiting.since()
        if oldest is not None:
            yield gauges(BACKLOG_OLDEST, [((), oldest)])


def build(services: Services) -> VideosCollector:
    """Make the collector."""
    return VideosCollector(services, services.videos)
