"""Stages: runs begin, end, or are left behind by a writer that is gone."""

from __future__ import annotations

from vv_exporter.failures import MAX_ERROR, MAX_NAME, Failure, remember, shorten
from vv_exporter.journal.events import StageFinished, StageStarted
from vv_exporter.journal.folds import Handler, Source, latest
from vv_exporter.metrics.pipeline import (
    EXCEPTIONS,
    STAGE_DURATION,
    STAGE_LAST_SUCCESS,
    STAGE_OVERRUNS,
)
from vv_exporter.runs import STAGE_RUNS, Run
from vv_exporter.settings import Settings
from vv_exporter.store import Transaction

OUTCOMES = ("success", "failure", "crashed")
CRASH = "the process ended without a word (killed, out of memory, or power lost)"


def started(tx: Transaction, event: StageStarted, source: Source, settings: Settings) -> None:
    """A run begins; its limit is the writer's or, failing that, the configured one."""
    configured = settings.stages.get(event.stage)
    limit = event.limit
    if limit is None and configured is not None and configured.limit is not None:
        limit = float(configured.limit)
    if tx.find(STAGE_OVERRUNS, (event.stage,)) is None:
        tx.ensure(STAGE_DURATION, *((event.stage, outcome) for outcome in OUTCOMES))
        tx.ensure(STAGE_OVERRUNS, (event.stage,))
    tx.put(
        STAGE_RUNS,
        event.run,
        Run(
            name=event.stage,
            component=event.component or source.component,
            writer=source.writer,
            started=event.ts,
            mono=event.mono,
            boot=source.boot,
            video=event.video,
            limit=limit,
        ),
    )


def finished(tx: Transaction, event: StageFinished, source: Source, settings: Settings) -> None:
    """A run ended; it counts even if its start was never seen."""
    run = tx.get(STAGE_RUNS, event.run)
    tx.delete(STAGE_RUNS, event.run)
    outcome = "success" if event.outcome == "success" else "failure"
    tx.observe(STAGE_DURATION, (event.stage, outcome), max(event.seconds, 0.0))
    if run is not None and run.limit is not None and not run.overdue and event.seconds > run.limit:
        tx.inc(STAGE_OVERRUNS, (event.stage,))
    if outcome == "success":
        latest(tx, STAGE_LAST_SUCCESS, (event.stage,), event.ts)
        return
    component = event.component or source.component
    if event.exception:
        tx.inc(EXCEPTIONS, (component, event.exception))
    remember(
        tx,
        Failure(
            component=component,
            kind=f"stage_failure:{event.stage}",
            time=event.ts,
            video=shorten(event.video or (run.video if run else ""), MAX_NAME),
            video_sha256=shorten(event.video_sha256, 64),
            error=shorten(event.error, MAX_ERROR),
        ),
    )


def writer_gone(tx: Transaction, writer: str, last_seen: float) -> None:
    """What the writer had open has crashed."""
    for key, run in tx.docs(STAGE_RUNS).items():
        if run.writer != writer:
            continue
        tx.delete(STAGE_RUNS, key)
        tx.observe(STAGE_DURATION, (run.name, "crashed"), max(last_seen - run.started, 0.0))
        remember(
            tx,
            Failure(
                component=run.component,
                kind=f"stage_crash:{run.name}",
                time=max(last_seen, run.started),
                video=shorten(run.video, MAX_NAME),
                error=CRASH,
            ),
        )


HANDLERS: dict[type, Handler] = {StageStarted: started, StageFinished: finished}
