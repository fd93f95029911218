"""Stages: what the journal counted, and what is in progress now.

::

    vv_stage_duration_seconds_count{stage="scan_video",outcome="success"} 12.0
    vv_stage_running{stage="scan_video"} 1.0
    vv_stage_overdue{stage="scan_video"} 1.0
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import msgspec
from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.common.processes import found_as, spaces_of_machine
from vv_exporter.context import Context
from vv_exporter.journal.folds.stages import tell_overrun
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
from vv_exporter.probes import files
from vv_exporter.runtime.loop import Loop
from vv_exporter.settings import StageSettings
from vv_exporter.state.database import StoreError
from vv_exporter.state.failures import FAILURES, MAX_NAME, shorten
from vv_exporter.state.runs import STAGE_RUNS, Run, lacks_size, limited, longest_named
from vv_exporter.state.stagelimits import RECENT_RUNS, Limit, limit_of
from vv_exporter.state.store import Store

CHECK_INTERVAL = 1.0  # seconds between looks for runs that went past their limit


class PipelineCollector:
    """Shows stages, and notices runs that go past their limit while they run."""

    name = "pipeline"

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._settings = context.settings
        self._clock = context.clock
        self._monotonic = context.monotonic
        self._boot = context.boot
        self._machine = spaces_of_machine()
        self._sizes = Sizes(context.store, context.settings.stages)
        self._limits = Loop("stage-limits", "limits of stages", self._look, CHECK_INTERVAL)
        context.store.when_changed(STAGE_RUNS, self._limits.wake)

    def start(self) -> None:
        """Begin to look for overruns."""
        self._sizes.start()
        self._limits.start()

    def stop(self) -> None:
        """End."""
        self._sizes.stop()
        self._limits.stop()

    def collect(self) -> Iterable[Family]:
        """All families of the stages."""
        for metric in (STAGE_DURATION, STAGE_OVERRUNS, STAGE_LAST_SUCCESS, EXCEPTIONS):
            yield stored(self._store, metric)
        yield from self._in_progress()
        yield from self._failures()

    def _in_progress(self) -> Iterable[Family]:
        runs = list(self._store.docs(STAGE_RUNS).values())
        stages = {labels[0] for labels, _ in self._store.series(STAGE_DURATION)} | {run.name for run in runs}
        running = Counter(run.name for run in runs)
        late: list[tuple[float, Run]] = []
        used = dict.fromkeys(stages, 0.0)
        oldest: dict[str, float] = {}
        for run in runs:
            started = self._started(run)
            oldest[run.name] = min(oldest.get(run.name, started), started)
            used[run.name] = max(used[run.name], self._used(run))
            if self._overdue(run):
                late.append((started, run))
        overdue = Counter(run.name for _, run in late)
        yield gauges(STAGE_RUNNING, (((stage,), running[stage]) for stage in sorted(stages)))
        yield gauges(STAGE_OVERDUE, (((stage,), overdue[stage]) for stage in sorted(stages)))
        yield gauges(STAGE_OVERDUE_START, longest_named(late, self._named))
        yield gauges(STAGE_LIMIT_USED, (((stage,), ratio) for stage, ratio in sorted(used.items())))
        yield gauges(STAGE_OLDEST_START, (((stage,), started) for stage, started in sorted(oldest.items())))

    def _failures(self) -> Iterable[Family]:
        failures = list(self._store.docs(FAILURES).values())
        yield gauges(LAST_FAILURE, (((one.component, one.kind), one.time) for one in failures))
        yield gauges(
            LAST_FAILURE_INFO,
            (
                ((one.component, one.kind, one.video, one.video_sha256, one.error, one.alert_id), 1.0)
                for one in failures
            ),
        )

    def _named(self, run: Run) -> Labels:
        """What tells people which run it is."""
        limit = self._limit(run)
        video, sha256 = shorten(run.video, MAX_NAME), shorten(run.video_sha256, 64)
        process = found_as(run.process, self._machine)
        return (run.name, run.component, *process, video, sha256, f"{limit.seconds:g}", limit.source)

    def _limit(self, run: Run) -> Limit:
        return limit_of(run, self._store.document(RECENT_RUNS, run.name), self._settings)

    def _overdue(self, run: Run) -> bool:
        return self._used(run) > 1

    def _age(self, run: Run) -> float:
        return run.age(self._clock(), self._monotonic(), self._boot)

    def _started(self, run: Run) -> float:
        """When it started, by the clock as it is set now: rules measure how long ago that is."""
        return self._clock() - self._age(run)

    def _used(self, run: Run) -> float:
        """The share of its limit that a run has used."""
        return self._age(run) / (self._limit(run).seconds or 1.0)

    def _look(self) -> bool:
        note_overruns(self._store, self._overdue, self._limit)
        return self._store.count(STAGE_RUNS) > 0


class Sizes:
    """Looks up the sizes of videos on which the limits of runs in progress depend, in a thread that may hang."""

    def __init__(self, store: Store, stages: Mapping[str, StageSettings]) -> None:
        self._store = store
        self._stages = stages
        self._tried: set[str] = set()
        self._needed = any(stage.limit_per_gb is not None for stage in stages.values())
        self._worker = files.Repeated("the sizes of videos", self.look, CHECK_INTERVAL)

    def start(self) -> None:
        """Begin, if any limit depends on a size."""
        if self._needed:
            self._worker.start()

    def stop(self) -> None:
        """End."""
        self._worker.stop()

    def look(self) -> None:
        """Look once for each run that lacks its size."""
        runs = self._store.docs(STAGE_RUNS)
        self._tried &= runs.keys()
        for key, run in runs.items():
            if key in self._tried or not run.video.startswith("/") or not lacks_size(run, self._stages.get(run.name)):
                continue
            self._tried.add(key)
            size = files.size(run.video)
            if size:
                self._keep(key, size)

    def _keep(self, key: str, size: int) -> None:
        with self._store.transaction() as tx:
            run = tx.get(STAGE_RUNS, key)
            if run is not None:  # else it has ended meanwhile
                known = msgspec.structs.replace(run, video_bytes=size)
                tx.put(STAGE_RUNS, key, limited(known, self._stages.get(run.name)))


def note_overruns(store: Store, overdue: Callable[[Run], bool], limit: Callable[[Run], Limit]) -> None:
    """Count each run once when it goes past its limit."""
    late = [key for key, run in store.docs(STAGE_RUNS).items() if not run.overdue and overdue(run)]
    if not late:
        return
    try:
        with store.transaction() as tx:
            for key in late:
                run = tx.get(STAGE_RUNS, key)
                if run is not None and not run.overdue:  # it may have ended meanwhile, and was counted then
                    tx.put(STAGE_RUNS, key, msgspec.structs.replace(run, overdue=True))
                    tx.inc(STAGE_OVERRUNS, (run.name,))
                    tell_overrun(tx, run, limit(run), tx.now)
    except StoreError:
        return  # said by the journal's reader, which meets the same; the next look tries again


def build(context: Context) -> PipelineCollector:
    """Make the collector."""
    return PipelineCollector(context)
