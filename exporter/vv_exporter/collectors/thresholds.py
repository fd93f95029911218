"""The thresholds of this device as series, which rules compare with.

vv_threshold_filesystem_free_ratio{role="system",severity="critical"} 0.1
vv_threshold_stage_seconds{stage="scan_video"} 900.0
vv_threshold_stage_usual_seconds{stage="summarize_scene"} 300.0
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.context import Context
from vv_exporter.metrics import Labels, gauges
from vv_exporter.metrics.thresholds import (
    CPU_RATIO,
    DVR_DOWN_SECONDS,
    DVR_FAILURES,
    DVR_FROZEN_SECONDS,
    DVR_LOST,
    EVENT_LAG_SECONDS,
    FREE_RATIO,
    FULL_SECONDS,
    INODES_RATIO,
    JOB_SECONDS,
    MEMORY_RATIO,
    STAGE_DEFAULT_SECONDS,
    STAGE_SECONDS,
    STAGE_STUCK_RATIO,
    STAGE_USUAL_SECONDS,
    TEMPERATURE,
)
from vv_exporter.settings import Settings
from vv_exporter.state.stagelimits import RECENT_RUNS, USUAL, is_limited, learned_limit
from vv_exporter.state.store import Store


class Thresholds:
    """Shows what is configured; what is not configured is left out."""

    name = "thresholds"

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store

    def collect(self) -> Iterable[Family]:
        """All thresholds."""
        spaces = {"warning": self._settings.disk_warning_free, "critical": self._settings.disk_critical_free}
        free = [((role, severity), space) for role in ("video_storage", "system") for severity, space in spaces.items()]
        yield gauges(FREE_RATIO, [(labels, space.ratio) for labels, space in free if space.ratio is not None])
        cpu = {"container": self._settings.container_cpu_high, "host": self._settings.host_cpu_high}
        memory = {"container": self._settings.container_memory_high, "host": self._settings.host_memory_high}
        yield gauges(CPU_RATIO, [((scope,), share) for scope, share in cpu.items()])
        yield gauges(MEMORY_RATIO, [((scope,), share) for scope, share in memory.items()])
        yield gauges(INODES_RATIO, [((), self._settings.inodes_warning_free)])
        yield gauges(FULL_SECONDS, [((), self._settings.disk_full_within)])
        yield gauges(TEMPERATURE, [((), self._settings.host_temperature_high)])
        yield gauges(EVENT_LAG_SECONDS, [((), self._settings.event_lag_high)])
        stages = self._settings.stages.items()
        yield gauges(STAGE_SECONDS, [((name,), stage.limit) for name, stage in stages if stage.limit is not None])
        yield gauges(STAGE_USUAL_SECONDS, self._usual_limits())
        yield gauges(STAGE_DEFAULT_SECONDS, [((), self._settings.stage_overdue_default)])
        yield gauges(STAGE_STUCK_RATIO, [((), self._settings.stage_stuck_factor)])
        yield gauges(DVR_FAILURES, [((), self._settings.dvr_failures)])
        yield gauges(DVR_DOWN_SECONDS, [((), self._settings.dvr_down)])
        yield gauges(DVR_LOST, [((), self._settings.dvr_flapping)])
        yield gauges(DVR_FROZEN_SECONDS, [((), self._settings.dvr_frozen)])
        jobs = self._settings.jobs.items()
        yield gauges(JOB_SECONDS, [((name,), job.max_runtime) for name, job in jobs if job.max_runtime is not None])

    def _usual_limits(self) -> Iterable[tuple[Labels, float]]:
        for name, recent in sorted(self._store.docs(RECENT_RUNS).items()):
            limit = learned_limit(recent, self._settings)
            if limit.source == USUAL and not is_limited(self._settings.stages.get(name)):
                yield (name,), limit.seconds


def build(context: Context) -> Thresholds:
    """The thresholds of the settings, and of what is usual on this device."""
    return Thresholds(context.settings, context.store)
