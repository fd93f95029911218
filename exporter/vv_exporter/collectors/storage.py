"""File systems by role: `video_storage` is the one of VIDEO_STORAGE_ROOT, `system` the one of `/`
(asked at VV_HOST_ROOT).

vv_filesystem_free_bytes{role="video_storage",path="/srv/video"} 1.2e+11
vv_filesystem_probe_success{role="video_storage",path="/srv/video"} 1.0
vv_ingest_paused 0.0
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import Metric as Family

from vv_exporter.metrics import Labels, Metric, gauges
from vv_exporter.metrics.storage import (
    FREE,
    INGEST_PAUSED,
    INODES,
    INODES_FREE,
    MISSING,
    MISSING_INFO,
    PROBE_DURATION,
    PROBE_SUCCESS,
    READONLY,
    SIZE,
)
from vv_exporter.metrics.thresholds import FREE_BYTES, REDUCED_BYTES
from vv_exporter.probes.filesystem import PathProbe, Status, Usage
from vv_exporter.probes.ingest import IngestPause
from vv_exporter.probes.storage import limits_of
from vv_exporter.services import Services
from vv_exporter.settings import FreeSpace

_OF_USAGE: Mapping[Metric, Callable[[Usage], float]] = {
    SIZE: lambda usage: usage.size,
    FREE: lambda usage: usage.free,
    INODES: lambda usage: usage.inodes,
    INODES_FREE: lambda usage: usage.inodes_free,
    READONLY: lambda usage: usage.readonly,
}


class Storage:
    """Shows what the probes found last; never touches a file system itself."""

    name = "storage"

    def __init__(
        self,
        probes: Mapping[str, PathProbe],
        ingest: IngestPause | None = None,
        limits: Mapping[str, FreeSpace] | None = None,
    ) -> None:
        self._probes = probes
        self._limits = limits or {}
        self._ingest = ingest

    def collect(self) -> Iterable[Family]:
        """All families of storage."""
        seen = [((role, str(probe.path)), probe.status()) for role, probe in self._probes.items()]
        yield from families([(labels, status) for labels, status in seen if status is not None])
        counting, configured = self._limits_in_bytes()
        yield gauges(FREE_BYTES, counting.items())
        yield gauges(REDUCED_BYTES, ((of, size) for of, size in configured.items() if size > counting[of]))
        if self._ingest is not None:
            yield gauges(INGEST_PAUSED, [((), float(self._ingest.paused))])

    def _limits_in_bytes(self) -> tuple[dict[Labels, float], dict[Labels, float]]:
        """What counts, and what is configured, of file systems whose size is known: else nobody knows what is free."""
        counting: dict[Labels, float] = {}
        configured: dict[Labels, float] = {}
        for role, probe in self._probes.items():
            status = probe.status()
            for severity, limit in self._limits.items():
                least = limit.bytes_of(status.usage.size) if status is not None and status.usage is not None else None
                if least is not None and limit.bytes is not None:
                    counting[role, severity] = least
                    configured[role, severity] = limit.bytes
        return counting, configured


def families(seen: Iterable[tuple[Labels, Status]]) -> Iterable[Family]:
    """What the statuses of paths are as series; what is not known is left out."""
    seen = list(seen)
    for metric, value in _OF_USAGE.items():
        yield gauges(metric, [(labels, value(status.usage)) for labels, status in seen if status.usage])
    known = [(labels, status.missing) for labels, status in seen if status.missing is not None]
    yield gauges(MISSING, [(labels, float(bool(reason))) for labels, reason in known])
    yield gauges(MISSING_INFO, [((*labels, reason), 1.0) for labels, reason in known if reason])
    yield gauges(PROBE_SUCCESS, [(labels, float(status.success)) for labels, status in seen])
    durations = [(labels, status.duration) for labels, status in seen]
    yield gauges(PROBE_DURATION, [(labels, value) for labels, value in durations if value is not None])


def build(services: Services) -> Storage:
    """Make the collector."""
    return Storage(services.filesystems, services.ingest_pause, limits_of(services.settings))
