"""Stages: runs begin, end, or are left behind by a writer that is gone."""

from __future__ import annotations

import msgspec

from vv_exporter.common.times import admitted_seconds
from vv_exporter.footage import segments
from vv_exporter.journal.events import StageFinished, StageNoted, StageStarted
from vv_exporter.journal.folds import Handler, Source, latest
from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.language.sdk import OF_ENDS, spoken, understood
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.pipeline import (
    EXCEPTIONS,
    STAGE_DURATION,
    STAGE_LAST_SUCCESS,
    STAGE_OVERRUNS,
)
from vv_exporter.settings import Settings
from vv_exporter.state.failures import MAX_ERROR, MAX_NAME, Failure, remember, shorten
from vv_exporter.state.runs import STAGE_RUNS, Run, lacks_size, limited, writer_of
from vv_exporter.state.stagelimits import RECENT_RUNS, Limit, limit_of, note_success, shortest_learned_limit
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

OUTCOMES = ("success", "failure", "crashed")
STEPS = {"scan_video": "analysed", "summarize_scene": "summarised", "summarize": "summarised"}
"""What a stage that succeeded does with footage."""
CRASH = translatable("the process died unexpectedly (killed, out of memory, or power lost)")


def started(tx: Transaction, event: StageStarted, source: Source, settings: Settings) -> None:
    """A run begins; its limit is the writer's or, failing that, the configured one."""
    given = event.limit if event.limit is not None and event.limit > 0 else None
    if tx.find(STAGE_DURATION, (event.stage, OUTCOMES[0])) is None:
        tx.ensure(STAGE_DURATION, *((event.stage, outcome) for outcome in OUTCOMES))
        tx.ensure(STAGE_OVERRUNS, (event.stage,))
    run = Run(
        name=event.stage,
        component=event.component or source.component,
        writer=source.writer,
        started=event.ts,
        mono=event.mono,
        boot=source.boot,
        process=source.process,
        video=event.video,
        video_bytes=event.video_bytes,
        video_seconds=event.video_seconds,
        given=given,
        scales=given is None or event.limit_scales,
    )
    tx.put(STAGE_RUNS, event.run, limited(run, settings.stages.get(event.stage)))


def noted(tx: Transaction, event: StageNoted, source: Source, settings: Settings) -> None:
    """More is known of a run in progress: its limit may change, and a crash can name it."""
    run = tx.get(STAGE_RUNS, event.run)
    if run is None:
        return
    more = msgspec.structs.replace(
        run,
        video=event.video or run.video,
        video_sha256=event.video_sha256 or run.video_sha256,
        video_bytes=event.video_bytes or run.video_bytes,
        video_seconds=event.video_seconds or run.video_seconds,
    )
    tx.put(STAGE_RUNS, event.run, limited(more, settings.stages.get(run.name)))


def finished(tx: Transaction, event: StageFinished, source: Source, settings: Settings) -> None:
    """A run ended; it counts even if its start was never seen."""
    run = tx.get(STAGE_RUNS, event.run)
    tx.delete(STAGE_RUNS, event.run)
    outcome = "success" if event.outcome == "success" else "failure"
    tx.observe(STAGE_DURATION, (event.stage, outcome), max(event.seconds, 0.0))
    if run is not None and (limit := _limit_overrun(tx, run, event.seconds, settings)):
        tx.inc(STAGE_OVERRUNS, (event.stage,))
        record_overrun(tx, run, limit, event.ts)
    if outcome == "success":
        latest(tx, STAGE_LAST_SUCCESS, (event.stage,), event.ts)
        note_success(tx, event.stage, event.seconds)
        if event.stage in STEPS and segments.are_there(tx):
            video, sha256 = event.video or (run.video if run else ""), event.video_sha256
            segments.done(tx, STEPS[event.stage], video, sha256 or (run.video_sha256 if run else ""))
        return
    component = event.component or source.component
    if event.exception:
        tx.inc(EXCEPTIONS, (component, event.exception))
    video = event.video or (run.video if run else "")
    sha256 = event.video_sha256 or (run.video_sha256 if run else "")
    title = sentence("Stage {stage} failed after {seconds} s", stage=event.stage, seconds=event.seconds)
    error = understood(event.error, OF_ENDS)
    add_to_timeline(tx, event.ts, Entry("stage.failed", title, "error", component, error, video, sha256))
    remember(
        tx,
        Failure(
            component=component,
            kind=f"stage_failure:{event.stage}",
            time=event.ts,
            video=shorten(video, MAX_NAME),
            video_sha256=shorten(sha256, 64),
            error=shorten(spoken(error), MAX_ERROR),
        ),
    )


def writer_gone(tx: Transaction, writer: str, last_seen: float) -> None:
    """What the writer had open has crashed."""
    for key, run in tx.having(STAGE_RUNS, writer_of, writer).items():
        tx.delete(STAGE_RUNS, key)
        tx.observe(STAGE_DURATION, (run.name, "crashed"), admitted_seconds(last_seen - run.started))
        ended = max(last_seen, run.started)
        title = sentence("Stage {stage} crashed", stage=run.name)
        add_to_timeline(
            tx,
            ended,
            Entry("stage.crashed", title, "error", run.component, sentence(CRASH), run.video, run.video_sha256),
        )
        remember(
            tx,
            Failure(
                component=run.component,
                kind=f"stage_crash:{run.name}",
                time=ended,
                video=shorten(run.video, MAX_NAME),
                video_sha256=shorten(run.video_sha256, 64),
                error=_(CRASH),
            ),
        )


def record_overrun(tx: Transaction, run: Run, limit: Limit, time: float) -> None:
    """For the timeline and for who quotes it: the run went past its limit, as was noticed at `time`."""
    title = sentence("Stage {stage} takes longer than {limit} s", stage=run.name, limit=round(limit.seconds))
    add_to_timeline(tx, time, Entry("stage.overran", title, "warning", run.component, "", run.video, run.video_sha256))
    remember(
        tx,
        Failure(
            component=run.component,
            kind=f"stage_overrun:{run.name}",
            time=time,
            video=shorten(run.video, MAX_NAME),
            video_sha256=shorten(run.video_sha256, 64),
            error=title.spoken(),
        ),
    )


def _limit_overrun(tx: Transaction, run: Run, seconds: float, settings: Settings) -> Limit | None:
    """The limit that a run which ended went past, if nobody noticed before."""
    if run.limit is None and seconds <= shortest_learned_limit(settings):
        return None
    # Nobody has had the time to look up the size: better no overrun than a false one.
    if run.overdue or lacks_size(run, settings.stages.get(run.name)):
        return None
    limit = limit_of(run, tx.get(RECENT_RUNS, run.name), settings)
    return limit if seconds > limit.seconds else None


HANDLERS: dict[type, Handler] = {StageStarted: started, StageNoted: noted, StageFinished: finished}
