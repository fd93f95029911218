"""Cron jobs: what the journal counted, what is in progress, and when each is due.

::

    vv_job_runs_total{job="cleanup_old_files",result="success"} 3.0
    vv_job_next_due_timestamp_seconds{job="cleanup_old_files"} 1.7e+09
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.common.processes import found_as, spaces_of_machine
from vv_exporter.common.schedule import next_due
from vv_exporter.context import Context
from vv_exporter.journal.configured_jobs import SCHEDULED
from vv_exporter.metrics import Labels, gauges
from vv_exporter.metrics.jobs import (
    JOB_GRACE,
    JOB_LAST_COMPLETION,
    JOB_LAST_DURATION,
    JOB_LAST_EXIT_CODE,
    JOB_LAST_START,
    JOB_LAST_SUCCESS,
    JOB_NEXT_DUE,
    JOB_OLDEST_START,
    JOB_OVERDUE_START,
    JOB_RUNNING,
    JOB_RUNS,
    JOB_SKIPPED,
)
from vv_exporter.settings import JobSettings
from vv_exporter.state.runs import JOB_RUNS_OPEN, Run, longest_named

STORED = (
    JOB_LAST_START,
    JOB_LAST_SUCCESS,
    JOB_LAST_COMPLETION,
    JOB_LAST_DURATION,
    JOB_LAST_EXIT_CODE,
    JOB_RUNS,
    JOB_SKIPPED,
)


class JobsCollector:
    """Shows jobs. One that never ran is due from when it was first configured with its present schedule."""

    name = "jobs"

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._jobs = context.settings.jobs
        self._clock = context.clock
        self._monotonic = context.monotonic
        self._boot = context.boot
        self._machine = spaces_of_machine()

    def collect(self) -> Iterable[Family]:
        """All families of the jobs."""
        for metric in STORED:
            yield stored(self._store, metric)
        now, monotonic = self._clock(), self._monotonic()
        runs = list(self._store.docs(JOB_RUNS_OPEN).values())
        running = Counter(run.name for run in runs)
        oldest: dict[str, float] = {}
        late: list[tuple[float, Run]] = []
        for run in runs:
            started = now - run.age(now, monotonic, self._boot)
            oldest[run.name] = min(oldest.get(run.name, started), started)
            job = self._jobs.get(run.name)
            if job is not None and job.max_runtime is not None and now - started > job.max_runtime:
                late.append((started, run))
        names = {labels[0] for labels, _ in self._store.series(JOB_RUNS)} | self._jobs.keys()
        yield gauges(JOB_RUNNING, (((name,), running[name]) for name in sorted(names)))
        yield gauges(JOB_OLDEST_START, (((name,), started) for name, started in sorted(oldest.items())))
        yield gauges(JOB_OVERDUE_START, longest_named(late, self._run_labels))
        scheduled = {name: job for name, job in self._jobs.items() if job.schedule}
        yield gauges(JOB_NEXT_DUE, (((name,), self._due_time(name, job)) for name, job in scheduled.items()))
        yield gauges(JOB_GRACE, (((name,), job.grace) for name, job in scheduled.items()))

    def _run_labels(self, run: Run) -> Labels:
        """What shows people which run it is."""
        return (run.name, run.component, *found_as(run.process, self._machine))

    def _due_time(self, name: str, job: JobSettings) -> float:
        known = self._store.document(SCHEDULED, name)
        reference = max(
            known.since if known else 0.0,
            self._store.value(JOB_LAST_START, (name,)) or 0.0,
            self._store.value(JOB_LAST_SUCCESS, (name,)) or 0.0,
        )
        # What the clock showed before it was set back must not move the next run away.
        return next_due(job.schedule, job.timezone, min(reference, self._clock()))


def build(context: Context) -> JobsCollector:
    """Make the collector."""
    return JobsCollector(context)
