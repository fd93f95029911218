"""Cron jobs: what the journal counted, what is in progress, and when each is due.

::

    vv_job_runs_total{job="cleanup_old_files",result="success"} 3.0
    vv_job_next_due_timestamp_seconds{job="cleanup_old_files"} 1.7e+09
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
from prometheus_client.core import Metric as Family

from vv_exporter.collectors import Context
from vv_exporter.collectors._store import stored
from vv_exporter.journal.folds.jobs import RESULTS
from vv_exporter.metrics import gauges
from vv_exporter.metrics.jobs import (
    JOB_GRACE,
    JOB_LAST_COMPLETION,
    JOB_LAST_DURATION,
    JOB_LAST_EXIT_CODE,
    JOB_LAST_START,
    JOB_LAST_SUCCESS,
    JOB_NEXT_DUE,
    JOB_RUNNING,
    JOB_RUNS,
)
from vv_exporter.runs import JOB_RUNS_OPEN
from vv_exporter.schedule import next_due
from vv_exporter.settings import JobSettings
from vv_exporter.store import Kind

STORED = (
    JOB_LAST_START,
    JOB_LAST_SUCCESS,
    JOB_LAST_COMPLETION,
    JOB_LAST_DURATION,
    JOB_LAST_EXIT_CODE,
    JOB_RUNS,
)


class ScheduledJob(msgspec.Struct, frozen=True):
    """A job that was found in the configuration: since when, and with which schedule."""

    since: float
    schedule: str
    timezone: str


SCHEDULED: Kind[ScheduledJob] = Kind("scheduled_job", ScheduledJob)


class JobsCollector:
    """Shows jobs. One that never ran is due from when it was first configured with its present schedule."""

    name = "jobs"

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._jobs = context.settings.jobs

    def start(self) -> None:
        """Note jobs that are new in the configuration, forget those that left it."""
        with self._store.transaction() as tx:
            for name in tx.docs(SCHEDULED).keys() - self._jobs.keys():
                tx.delete(SCHEDULED, name)
            for name, job in self._jobs.items():
                tx.ensure(JOB_RUNS, *((name, result) for result in RESULTS))
                known = tx.get(SCHEDULED, name)
                if known is None or (known.schedule, known.timezone) != (job.schedule, job.timezone):
                    tx.put(SCHEDULED, name, ScheduledJob(tx.now, job.schedule, job.timezone))

    def stop(self) -> None:
        """Nothing is left behind."""

    def collect(self) -> Iterable[Family]:
        """All families of the jobs."""
        for metric in STORED:
            yield stored(self._store, metric)
        running = Counter(run.name for run in self._store.docs(JOB_RUNS_OPEN).values())
        names = {labels[0] for labels, _ in self._store.series(JOB_RUNS)} | self._jobs.keys()
        yield gauges(JOB_RUNNING, (((name,), running[name]) for name in sorted(names)))
        yield gauges(JOB_NEXT_DUE, (((name,), self._due(name, job)) for name, job in self._jobs.items()))
        yield gauges(JOB_GRACE, (((name,), job.grace) for name, job in self._jobs.items()))

    def _due(self, name: str, job: JobSettings) -> float:
        known = self._store.document(SCHEDULED, name)
        reference = max(
            known.since if known else 0.0,
            self._store.value(JOB_LAST_START, (name,)) or 0.0,
            self._store.value(JOB_LAST_SUCCESS, (name,)) or 0.0,
        )
        return next_due(job.schedule, job.timezone, reference)


def build(context: Context) -> JobsCollector:
    """Make the collector."""
    return JobsCollector(context)
