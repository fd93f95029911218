"""How long a run of a stage may take before it is overdue.

What its script or the configuration says counts first. A run for which neither says anything is measured by the stage's
own recent runs: `VV_STAGE_OVERDUE_FACTOR` times the duration that 95 of 100 of them stayed below, and at least
`VV_STAGE_OVERDUE_FLOOR`. Of a stage with too few of them it is `VV_STAGE_OVERDUE_DEFAULT`.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from typing import NamedTuple

import msgspec

from vv_exporter.metrics.pipeline import STAGE_DURATION
from vv_exporter.settings import Settings, StageSettings
from vv_exporter.state.runs import Run
from vv_exporter.state.store import Kind, Transaction

KEPT_RUNS = 50
LEAST_RUNS = 5
"""Fewer successful runs say nothing of what is usual."""
USUAL_SHARE = 0.95

GIVEN, CONFIGURED, USUAL, DEFAULT = "script", "configuration", "usual", "default"


class RecentRuns(msgspec.Struct, frozen=True):
    """The durations of a stage's latest successful runs, in seconds, oldest first."""

    stage: str
    seconds: tuple[float, ...] = ()


MAX_STAGES = 1000
RECENT_RUNS: Kind[RecentRuns] = Kind(
    "stage_recent", RecentRuns, MAX_STAGES, STAGE_DURATION, lambda recent: recent.stage
)


class Limit(NamedTuple):
    """Seconds that a run may take, and who says so: the script, the configuration, the usual duration, the default."""

    seconds: float
    source: str


def note_success(tx: Transaction, stage: str, seconds: float) -> None:
    """A run succeeded: from now on it is a part of what is usual."""
    known = tx.get(RECENT_RUNS, stage) or RecentRuns(stage)
    durations = (*known.seconds, round(max(seconds, 0.0), 3))[-KEPT_RUNS:]
    tx.put(RECENT_RUNS, stage, RecentRuns(stage, durations))


@lru_cache(MAX_STAGES)
def usual_seconds(recent: RecentRuns | None) -> float | None:
    """The duration that 95 of 100 recent runs did not exceed (nearest rank); None of too few."""
    if recent is None or len(recent.seconds) < LEAST_RUNS:
        return None
    return sorted(recent.seconds)[ceil(USUAL_SHARE * len(recent.seconds)) - 1]


def is_limited(configured: StageSettings | None) -> bool:
    """Whether the configuration says how long runs of the stage may take."""
    return configured is not None and configured != StageSettings()


def learned_limit(recent: RecentRuns | None, settings: Settings) -> Limit:
    """The limit of a stage for which nobody gave one."""
    usual = usual_seconds(recent)
    if usual is None:
        return Limit(settings.stage_overdue_default, DEFAULT)
    return Limit(max(settings.stage_overdue_factor * usual, settings.stage_overdue_floor), USUAL)


def shortest_learned_limit(settings: Settings) -> float:
    """No limit that `learned_limit` gives is shorter, whatever is usual."""
    return min(settings.stage_overdue_default, settings.stage_overdue_floor)


def limit_of(run: Run, recent: RecentRuns | None, settings: Settings) -> Limit:
    """The limit of a run in progress, given the recent runs of its stage; every run has one."""
    if run.limit is not None:
        return Limit(run.limit, GIVEN if run.given is not None else CONFIGURED)
    return learned_limit(recent, settings)
