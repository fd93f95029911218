"""Stages: what the journal counted, and what is in progress now.

::

    vv_stage_duration_seconds_count{stage="scan_video",outcome="success"} 12.0
    vv_stage_running{stage="scan_video"} 1.0
    vv_stage_overdue{stage="scan_video"} 1.0
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.common.processes import found_as, spaces_of_machine
from vv_exporter.context import Context
from vv_exporter.journal.overruns import RunsInProgress
from vv_exporter.metrics import Labels, gauges
from vv_exporter.metrics.pipeline import (
    EXCEPTIONS,
    LAST_FAILURE,
    LAST_FAILURE_INFO,
    STAGE_DURATION,
    STAGE_LAST_SUCCESS,
    STAGE_LIMIT_USED,
    STAGE_OLDEST_START,
    STAGE_OVERDUE,
    STAGE_OVERDUE_START,
    STAGE_OVERRUNS,
    STAGE_RUNNING,
)
from vv_exporter.state.failures import FAILURES, MAX_NAME, shorten
from vv_exporter.state.runs import STAGE_RUNS, Run, longest_named


class PipelineCollector:
    """Shows stages."""

    name = "pipeline"

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._machine = spaces_of_machine()
        self._runs = RunsInProgress(context)

    def collect(self) -> Iterable[Family]:
        """All families of the stages."""
        for metric in (STAGE_DURATION, STAGE_OVERRUNS, STAGE_LAST_SUCCESS, EXCEPTIONS):
            yield stored(self._store, metric)
        yield from self._in_progress()
        yield from self._failure_families()

    def _in_progress(self) -> Iterable[Family]:
        runs = list(self._store.docs(STAGE_RUNS).values())
        stages = {labels[0] for labels, _ in self._store.series(STAGE_DURATION)} | {run.name for run in runs}
        running = Counter(run.name for run in runs)
        late: list[tuple[float, Run]] = []
        used = dict.fromkeys(stages, 0.0)
        oldest: dict[str, float] = {}
        for run in runs:
            started = self._runs.started(run)
            oldest[run.name] = min(oldest.get(run.name, started), started)
            used[run.name] = max(used[run.name], self._runs.share_used(run))
            if self._runs.is_overdue(run):
                late.append((started, run))
        overdue = Counter(run.name for _, run in late)
        yield gauges(STAGE_RUNNING, (((stage,), running[stage]) for stage in sorted(stages)))
        yield gauges(STAGE_OVERDUE, (((stage,), overdue[stage]) for stage in sorted(stages)))
        yield gauges(STAGE_OVERDUE_START, longest_named(late, self._run_labels))
        yield gauges(STAGE_LIMIT_USED, (((stage,), ratio) for stage, ratio in sorted(used.items())))
        yield gauges(STAGE_OLDEST_START, (((stage,), started) for stage, started in sorted(oldest.items())))

    def _failure_families(self) -> Iterable[Family]:
        failures = list(self._store.docs(FAILURES).values())
        yield gauges(LAST_FAILURE, (((one.component, one.kind), one.time) for one in failures))
        yield gauges(
            LAST_FAILURE_INFO,
            (
                ((one.component, one.kind, one.video, one.video_sha256, one.error, one.alert_id), 1.0)
                for one in failures
            ),
        )

    def _run_labels(self, run: Run) -> Labels:
        """What shows people which run it is."""
        limit = self._runs.limit(run)
        video, sha256 = shorten(run.video, MAX_NAME), shorten(run.video_sha256, 64)
        process = found_as(run.process, self._machine)
        return (run.name, run.component, *process, video, sha256, f"{limit.seconds:g}", limit.source)


def build(context: Context) -> PipelineCollector:
    """Make the collector."""
    return PipelineCollector(context)
