"""Cron jobs and heartbeats."""

from __future__ import annotations

from vv_exporter.common.times import is_later
from vv_exporter.journal.events import Heartbeat, JobFinished, JobSkipped, JobStarted
from vv_exporter.journal.folds import Handler, Source, latest
from vv_exporter.journal.folds.stages import CRASH
from vv_exporter.language import gettext as _
from vv_exporter.language.sdk import OF_ENDS, joined, spoken, understood
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.jobs import (
    JOB_LAST_COMPLETION,
    JOB_LAST_DURATION,
    JOB_LAST_EXIT_CODE,
    JOB_LAST_START,
    JOB_LAST_SUCCESS,
    JOB_RUNS,
    JOB_SKIPPED,
)
from vv_exporter.settings import Settings
from vv_exporter.state.failures import MAX_ERROR, Failure, remember, shorten
from vv_exporter.state.runs import JOB_RUNS_OPEN, Run, writer_of
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import MAX_DETAILS, Entry, add_to_timeline, shortened

RESULTS = ("success", "failure", "crashed")


def started(tx: Transaction, event: JobStarted, source: Source, settings: Settings) -> None:
    """A run begins."""
    tx.ensure(JOB_RUNS, *((event.job, result) for result in RESULTS))
    latest(tx, JOB_LAST_START, (event.job,), event.ts)
    tx.put(
        JOB_RUNS_OPEN,
        event.run,
        Run(
            name=event.job,
            component=event.component or source.component,
            writer=source.writer,
            started=event.ts,
            mono=event.mono,
            boot=source.boot,
            process=source.process,
        ),
    )


def finished(tx: Transaction, event: JobFinished, source: Source, settings: Settings) -> None:
    """A run ended; it counts even if its start was never seen."""
    tx.delete(JOB_RUNS_OPEN, event.run)
    job = (event.job,)
    result = "success" if event.result == "success" else "failure"
    tx.inc(JOB_RUNS, (event.job, result))
    if is_later(event.ts, tx.value(JOB_LAST_COMPLETION, job) or 0.0, tx.now):
        tx.set(JOB_LAST_COMPLETION, job, event.ts)
        tx.set(JOB_LAST_DURATION, job, max(event.seconds, 0.0))
        tx.set(JOB_LAST_EXIT_CODE, job, event.exit_code if event.exit_code is not None else int(result != "success"))
    if result == "success":
        latest(tx, JOB_LAST_SUCCESS, job, event.ts)
    else:
        output = event.output.strip().rpartition("\n")[2]
        component = event.component or source.component
        error = understood(event.error, OF_ENDS)
        said = shortened(event.output, MAX_DETAILS // 2, end=True)
        details = joined("{error}\n{output}", error=error, output=said)
        if event.exit_code is None:
            title = sentence("Job {job} failed after {seconds} s", job=event.job, seconds=event.seconds)
        else:
            title = sentence(
                "Job {job} failed with exit code {code} after {seconds} s",
                job=event.job, code=event.exit_code, seconds=event.seconds,
            )  # fmt: skip
        add_to_timeline(tx, event.ts, Entry("job.failed", title, "error", component, details))
        _remember_failure(
            tx, f"job_failure:{event.job}", component, event.ts, ": ".join(filter(None, (spoken(error), output)))
        )


def skipped(tx: Transaction, event: JobSkipped, source: Source, settings: Settings) -> None:
    """A run was due but was not begun."""
    tx.inc(JOB_SKIPPED, (event.job,))
    component = event.component or source.component
    title = sentence("Job {job} was not begun", job=event.job)
    add_to_timeline(tx, event.ts, Entry("job.skipped", title, "warning", component, event.reason))


def succeeded(tx: Transaction, job: str, time: float) -> None:
    """A run ended well, of unknown beginning."""
    tx.ensure(JOB_RUNS, *((job, result) for result in RESULTS))
    tx.inc(JOB_RUNS, (job, "success"))
    latest(tx, JOB_LAST_SUCCESS, (job,), time)
    latest(tx, JOB_LAST_COMPLETION, (job,), time)


def heartbeat(tx: Transaction, event: Heartbeat, source: Source, settings: Settings) -> None:
    """The job succeeded just now, of unknown duration."""
    succeeded(tx, event.job, event.ts)


def writer_gone(tx: Transaction, writer: str, last_seen: float) -> None:
    """What the writer had open has crashed."""
    for key, run in tx.having(JOB_RUNS_OPEN, writer_of, writer).items():
        ended = max(last_seen, run.started)
        tx.delete(JOB_RUNS_OPEN, key)
        tx.inc(JOB_RUNS, (run.name, "crashed"))
        latest(tx, JOB_LAST_COMPLETION, (run.name,), ended)
        title = sentence("Job {job} crashed", job=run.name)
        add_to_timeline(tx, ended, Entry("job.crashed", title, "error", run.component, sentence(CRASH)))
        _remember_failure(tx, f"job_crash:{run.name}", run.component, ended, _(CRASH))


def _remember_failure(tx: Transaction, kind: str, component: str, time: float, error: str) -> None:
    remember(tx, Failure(component=component, kind=kind, time=time, error=shorten(error, MAX_ERROR)))


HANDLERS: dict[type, Handler] = {
    JobStarted: started,
    JobFinished: finished,
    JobSkipped: skipped,
    Heartbeat: heartbeat,
}
