"""Stages of the pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from vv_exporter.common.clock import span
from vv_exporter.language import gettext as _
from vv_exporter.metrics.pipeline import (
    STAGE_DURATION,
    STAGE_LAST_SUCCESS,
    STAGE_OVERDUE,
    STAGE_OVERDUE_START,
    STAGE_RUNNING,
)
from vv_exporter.metrics.thresholds import STAGE_SECONDS, STAGE_USUAL_SECONDS
from vv_exporter.status.series import Series
from vv_exporter.status.table import Bar, Cell, Table, when

PLOT_STEPS = 3  # steps of the past in one bar
MIN_BARS = 3
OUTCOMES = ("success", "failure", "crashed")


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """What was counted of a stage: ended runs by outcome, and the successes per bucket of duration."""

    succeeded: int
    failed: int
    buckets: tuple[int, ...]


class LateRun(msgspec.Struct, frozen=True):
    """A run that is past its limit: its script and process, its video, when it started, its limit.

    `pid` is one in the container, on the machine where none is named.
    """

    component: str
    pid: str
    container: str
    video: str
    started: float
    limit: float
    limit_from: str


class Stage(msgspec.Struct, frozen=True):
    """A stage. Times are Unix seconds, None when never. `recent_…`: within the last `recent_seconds`.

    `limit` is the configured one, or what follows from recent runs; `late` are the longest of the runs past theirs.

    `p50` and `p95` are of the recent successes, in seconds, estimated as Prometheus' histogram_quantile does.
    `plot` has the recent runs by time: how many ended, and how many of these failed.
    """

    name: str
    running: int
    overdue: int
    last_success: float | None
    succeeded: int
    failed: int
    crashed: int
    limit: float | None = None
    recent_seconds: float = 0.0
    recent: int = 0
    recent_failed: int = 0
    p50: float | None = None
    p95: float | None = None
    plot: tuple[tuple[int, int], ...] = ()
    late: tuple[LateRun, ...] = ()


Past = Sequence[tuple[float, dict[str, Tally]]]
"""What was counted at earlier times, oldest first."""


def read(series: Series, now: float, past: Past) -> Iterator[Stage]:
    """All stages."""
    counted = tallies(series)
    for name in series.names("stage", STAGE_RUNNING):
        ended = {outcome: series.sum(STAGE_DURATION, "_count", stage=name, outcome=outcome) for outcome in OUTCOMES}
        yield _with_recent(
            Stage(
                name=name,
                running=series.sum(STAGE_RUNNING, stage=name),
                overdue=series.sum(STAGE_OVERDUE, stage=name),
                last_success=series.one(STAGE_LAST_SUCCESS, stage=name),
                succeeded=ended["success"],
                failed=ended["failure"],
                crashed=ended["crashed"],
                limit=series.one(STAGE_SECONDS, stage=name) or series.one(STAGE_USUAL_SECONDS, stage=name),
                late=tuple(_late_runs(series, name)),
            ),
            counted.get(name),
            now,
            past,
        )


def _late_runs(series: Series, stage: str) -> Iterator[LateRun]:
    for labels, started in sorted(series.all(STAGE_OVERDUE_START), key=lambda one: one[1]):
        if labels["stage"] == stage:
            yield LateRun(
                component=labels["component"],
                pid=labels["pid"],
                container=labels["container"],
                video=labels["video"],
                started=started,
                limit=float(labels["limit_seconds"]),
                limit_from=labels["limit_from"],
            )


def tallies(series: Series) -> dict[str, Tally]:
    """What is counted of each stage now."""
    ended: dict[str, dict[str, int]] = {}
    for labels, value in series.all(STAGE_DURATION, "_count"):
        ended.setdefault(labels["stage"], {})[labels["outcome"]] = int(value)
    buckets: dict[str, list[tuple[float, int]]] = {}
    for labels, value in series.all(STAGE_DURATION, "_bucket"):
        if labels["outcome"] == "success":
            buckets.setdefault(labels["stage"], []).append((float(labels["le"]), int(value)))
    return {
        stage: Tally(
            counts.get("success", 0),
            counts.get("failure", 0) + counts.get("crashed", 0),
            tuple(count for _, count in sorted(buckets.get(stage, []))),
        )
        for stage, counts in ended.items()
    }


def _with_recent(stage: Stage, counted: Tally | None, now: float, past: Past) -> Stage:
    if counted is None or not past:
        return stage
    nothing = Tally(0, 0, (0,) * len(counted.buckets))
    tallied = [then.get(stage.name, nothing) for _, then in past] + [counted]
    first = tallied[0]
    if len(first.buckets) != len(counted.buckets):
        return stage
    gained = [max(more - less, 0) for more, less in zip(counted.buckets, first.buckets, strict=True)]
    steps = pairwise(tallied)
    failed = max(counted.failed - first.failed, 0)
    return msgspec.structs.replace(
        stage,
        recent_seconds=max(now - past[0][0], 0.0),
        recent=max(counted.succeeded - first.succeeded, 0) + failed,
        recent_failed=failed,
        p50=quantile(0.5, gained),
        p95=quantile(0.95, gained),
        plot=tuple(_ended_between(before, after) for before, after in steps),
    )


def _ended_between(before: Tally, after: Tally) -> tuple[int, int]:
    failed = max(after.failed - before.failed, 0)
    return max(after.succeeded - before.succeeded, 0) + failed, failed


def quantile(share: float, cumulative: Sequence[int]) -> float | None:
    """The duration below which that share of the counts lies, linear within its bucket; None without any."""
    if not cumulative or cumulative[-1] <= 0:
        return None
    rank = share * cumulative[-1]
    lower, below = 0.0, 0
    for bound, count in zip(STAGE_DURATION.buckets, cumulative, strict=False):
        if count >= rank:
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower  # longer than the last bound


def troubles(stages: Sequence[Stage]) -> Iterator[str]:
    """What is wrong with stages."""
    for stage in stages:
        if stage.overdue:
            which = "; ".join(described(run) for run in stage.late)
            said = _("stage {name} is over its time limit").format(name=stage.name)
            yield f"{said}: {which}" if which else said


def described(run: LateRun) -> str:
    """Which run it is: `scan_video.py (PID 4711) with a.mp4`."""
    process = run.component
    if run.pid and run.container:
        process = _("{component} (PID {pid} in container {container})").format(
            component=run.component, pid=run.pid, container=run.container
        )
    elif run.pid:
        process = _("{component} (PID {pid})").format(component=run.component, pid=run.pid)
    if run.video:
        return _("{process} with {video}").format(process=process, video=run.video.rpartition("/")[2])
    return process


def table(stages: Sequence[Stage], now: float) -> Table:
    """For people; those with trouble first."""
    ordered = sorted(stages, key=lambda stage: (-stage.overdue, -stage.recent_failed, stage.name))
    columns = (_("Stage"), _("Now"), _("Last success"), _("Recent runs"), _("Duration p50 / p95"), _("All runs"))
    return Table("stages", _("Stages"), columns, [_stage_row(stage, now) for stage in ordered])


def _stage_row(stage: Stage, now: float) -> tuple[Cell, ...]:
    limit = _("limit {time}").format(time=span(stage.limit)) if stage.limit else ""
    state = Cell(_("{count} running").format(count=stage.running), "" if stage.running else "muted", note=limit)
    if stage.overdue:
        which = "; ".join(
            _("{run} for {time}").format(run=described(run), time=span(now - run.started)) for run in stage.late
        )
        state = Cell(
            _("{running} running, {overdue} over the limit").format(running=stage.running, overdue=stage.overdue),
            "bad",
            note=which or limit,
        )
    counts = _("{succeeded} succeeded, {failed} failed, {crashed} crashed").format(
        succeeded=stage.succeeded, failed=stage.failed, crashed=stage.crashed
    )
    return (
        Cell(stage.name),
        state,
        when(stage.last_success, now),
        _recent_cell(stage),
        Cell("–" if stage.p50 is None or stage.p95 is None else f"{span(stage.p50)} / {span(stage.p95)}"),
        Cell(counts, "muted"),
    )


def _recent_cell(stage: Stage) -> Cell:
    if not stage.recent_seconds:
        return Cell("–", "muted")
    groups = [stage.plot[at : at + PLOT_STEPS] for at in range(0, len(stage.plot), PLOT_STEPS)]
    steps = [(sum(ended for ended, _ in group), sum(bad for _, bad in group)) for group in groups]
    highest = max((ended for ended, _ in steps), default=0)
    worth = highest > 0 and len(steps) >= MIN_BARS
    plot = tuple(Bar(ended / highest, bad / highest) for ended, bad in steps) if worth else ()
    return Cell(
        _recent_words(stage),
        "warning" if stage.recent_failed else "",
        plot=plot,
        plot_title=_("Runs of {stage} that ended, by time; failed ones darker").format(stage=stage.name),
    )


def _recent_words(stage: Stage) -> str:
    if stage.recent_failed:
        return _("{count}, {failed} failed in {time}").format(
            count=stage.recent, failed=stage.recent_failed, time=span(stage.recent_seconds)
        )
    return _("{count} in {time}").format(count=stage.recent, time=span(stage.recent_seconds))
