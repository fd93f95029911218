"""Jobs as they are configured: since when each is expected, and the heartbeat files that say that one succeeded."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from vv_exporter.common.times import EARLIEST, UnixTime, admitted
from vv_exporter.journal.folds import latest
from vv_exporter.journal.folds.jobs import RESULTS, succeeded
from vv_exporter.metrics.jobs import JOB_LAST_SUCCESS, JOB_RUNS
from vv_exporter.probes import files
from vv_exporter.runtime.loop import HUNG_SECONDS, Loop
from vv_exporter.settings import JobSettings
from vv_exporter.state.store import Kind, Store

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


class ConfiguredJobs:
    """The service that follows the configuration of jobs, and their heartbeat files."""

    def __init__(self, store: Store, jobs: Mapping[str, JobSettings]) -> None:
        self._store = store
        self._jobs = jobs
        self._watchers = [_heartbeat_file_watcher(store, name, job) for name, job in jobs.items() if job.heartbeat_file]

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


def _heartbeat_file_watcher(store: Store, name: str, job: JobSettings) -> Loop:
    def look() -> None:
        note_touch(store, name, job.heartbeat_file, files.touched(job.heartbeat_file))

    what = f"the heartbeat file of job {name}"
    return Loop(f"heartbeat-file-{name}", what, look, TOUCH_INTERVAL, at_once=True, stop_seconds=HUNG_SECONDS)
