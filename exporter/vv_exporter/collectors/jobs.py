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

from vv_exporter.collectors._store import stored
from vv_exporter.common.processes import found_as, spaces_of_machine
from vv_exporter.common.schedule import next_due
from vv_exporter.common.times import EARLIEST, UnixTime, admitted
from vv_exporter.context import Context
from vv_exporter.journal.folds import latest
from vv_exporter.journal.folds.jobs import RESULTS, succeeded
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
from vv_exporter.probes import files
from vv_exporter.settings import JobSettings
from vv_exporter.state.runs import JOB_RUNS_OPEN, Run, longest_named
from vv_exporter.state.store import Kind, Store

STORED = (
    JOB_LAST_START,
    JOB_LAST_SUCCESS,
    JOB_LAST_COMPLETION,
    JOB_LAST_DURATION,
    JOB_LAST_EXIT_CODE,
    JOB_RUNS,
    JOB_SKIPPED,
)
TOUCH_INTERVAL = 2.0  # seconds between looks at a heartbeat file


class ScheduledJob(msgspec.Struct, frozen=True):
    """A job that was found in the configuration: since when, and with which schedule."""

    since: UnixTime
    schedule: str
    timezone: str


SCHEDULED: Kind[ScheduledJob] = Kind("scheduled_job", ScheduledJob)


class Touched(msgspec.Struct, frozen=True):
    """A heartbeat file and the time of its last change that is counted, in nanoseconds; 0: it was not there."""

    path: str
    mtime_ns: int


TOUCHED: Kind[Touched] = Kind("heartbeat_file", Touched)


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
        self._watchers = [_watcher(self._store, name, job) for name, job in self._jobs.items() if job.heartbeat_file]

    def start(self) -> None:
        """Note jobs that are new in the configuration, forget those that left it, watch their heartbeat files."""
        with self._store.transaction() as tx:
            for name in tx.docs(SCHEDULED).keys() - self._jobs.keys():
                tx.delete(SCHEDULED, name)
            for name, job in self._jobs.items():
                tx.ensure(JOB_RUNS, *((name, result) for result in RESULTS))
                known = tx.get(SCHEDULED, name)
                if known is None or (known.schedule, known.timezone) != (job.schedule, job.timezone):
                    tx.put(SCHEDULED, name, ScheduledJob(tx.now, job.schedule, job.timezone))
            for name in tx.docs(TOUCHED).keys() - {name for name, job in self._jobs.items() if job.heartbeat_file}:
                tx.delete(TOUCHED, name)
        for watcher in self._watchers:
            watcher.start()

    def stop(self) -> None:
        """End watching."""
        for watcher in self._watchers:
            watcher.stop()

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
        yield gauges(JOB_OVERDUE_START, longest_named(late, self._named))
        scheduled = {name: job for name, job in self._jobs.items() if job.schedule}
        yield gauges(JOB_NEXT_DUE, (((name,), self._due(name, job)) for name, job in scheduled.items()))
        yield gauges(JOB_GRACE, (((name,), job.grace) for name, job in scheduled.items()))

    def _named(self, run: Run) -> Labels:
        """What tells people which run it is."""
        return (run.name, run.component, *found_as(run.process, self._machine))

    def _due(self, name: str, job: JobSettings) -> float:
        known = self._store.document(SCHEDULED, name)
        reference = max(
            known.since if known else 0.0,
            self._store.value(JOB_LAST_START, (name,)) or 0.0,
            self._store.value(JOB_LAST_SUCCESS, (name,)) or 0.0,
        )
        # What the clock showed before it was set back must not move the next run away.
        return next_due(job.schedule, job.timezone, min(reference, self._clock()))


def note_touch(store: Store, job: str, path: str, mtime_ns: int) -> None:
    """Count a success of `job` when its heartbeat file has another time of change than before.

    The time is kept in the same transaction, so that each is counted once, whatever is restarted when. What a file
    says when it is first looked at happened before anyone watched: it is shown, but not counted.
    """
    known = store.document(TOUCHED, job)
    watched = known is not None and known.path == path
    if known == Touched(path, mtime_ns) or (watched and not mtime_ns):
        return
    with store.transaction() as tx:
        tx.put(TOUCHED, job, Touched(path, mtime_ns))
        when = admitted(mtime_ns / 1e9, tx.now)  # a time to come would hide that the job is missed until then
        if watched:
            succeeded(tx, job, when)
        elif mtime_ns >= EARLIEST * 1e9:
            latest(tx, JOB_LAST_SUCCESS, (job,), when)


def _watcher(store: Store, name: str, job: JobSettings) -> files.Repeated:
    def look() -> None:
        note_touch(store, name, job.heartbeat_file, files.touched(job.heartbeat_file))

    return files.Repeated(f"the heartbeat file of job {name}", look, TOUCH_INTERVAL)


def build(context: Context) -> JobsCollector:
    """Make the collector."""
    return JobsCollector(context)
