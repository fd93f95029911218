"""Runs in progress and their limits: how much of it each has used, and those that go past it while they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from vv_exporter.context import Context
from vv_exporter.journal.folds.stages import record_overrun
from vv_exporter.metrics.pipeline import STAGE_OVERRUNS
from vv_exporter.probes import files
from vv_exporter.runtime.loop import HUNG_SECONDS, Loop
from vv_exporter.settings import StageSettings
from vv_exporter.state.database import StoreError
from vv_exporter.state.runs import STAGE_RUNS, Run, lacks_size, limited
from vv_exporter.state.stagelimits import RECENT_RUNS, Limit, limit_of
from vv_exporter.state.store import Store

CHECK_INTERVAL = 1.0  # seconds between looks for runs that went past their limit


class RunsInProgress:
    """How old runs are, and what their limits are, by the clocks and settings of the exporter."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def limit(self, run: Run) -> Limit:
        """The limit that counts for it now."""
        recent = self._context.store.document(RECENT_RUNS, run.name)
        return limit_of(run, recent, self._context.settings)

    def started(self, run: Run) -> float:
        """When it started, by the clock as it is set now: rules measure how long ago that is."""
        return self._context.clock() - self._age_of(run)

    def share_used(self, run: Run) -> float:
        """The share of its limit that it has used."""
        return self._age_of(run) / (self.limit(run).seconds or 1.0)

    def is_overdue(self, run: Run) -> bool:
        """Whether it is past its limit."""
        return self.share_used(run) > 1

    def _age_of(self, run: Run) -> float:
        context = self._context
        return run.age(context.clock(), context.monotonic(), context.boot)


class Overruns:
    """The service that counts each run that goes past its limit, while it runs."""

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._runs = RunsInProgress(context)
        self._sizes = Sizes(context.store, context.settings.stages)
        self._loop = Loop("stage-limits", "limits of stages", self._look_for_overruns, CHECK_INTERVAL)
        context.store.when_changed(STAGE_RUNS, self._loop.wake)

    def start(self) -> None:
        """Begin to look for overruns."""
        self._sizes.start()
        self._loop.start()

    def stop(self) -> None:
        """End."""
        self._loop.stop()
        self._sizes.stop()

    def _look_for_overruns(self) -> bool:
        note_overruns(self._store, self._runs.is_overdue, self._runs.limit)
        return self._store.count(STAGE_RUNS) > 0


class Sizes:
    """Looks up the sizes of videos on which the limits of runs in progress depend, in a thread that may hang."""

    def __init__(self, store: Store, stages: Mapping[str, StageSettings]) -> None:
        self._store = store
        self._stages = stages
        self._tried: set[str] = set()
        self._needed = any(stage.limit_per_gb is not None for stage in stages.values())
        self._worker = Loop(
            "video-sizes", "the sizes of videos", self.look, CHECK_INTERVAL, at_once=True, stop_seconds=HUNG_SECONDS
        )

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
                self._keep_size(key, size)

    def _keep_size(self, key: str, size: int) -> None:
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
                    record_overrun(tx, run, limit(run), tx.now)
    except StoreError:
        return  # said by the journal's reader, which meets the same; the next look tries again
