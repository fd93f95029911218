"""Runs in progress, of stages and of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from vv_exporter.common.processes import Process
from vv_exporter.common.times import UnixTime
from vv_exporter.metrics.exceptions import SCRIPT_CRASHES
from vv_exporter.metrics.jobs import JOB_RUNNING
from vv_exporter.metrics.pipeline import STAGE_RUNNING
from vv_exporter.settings import StageSettings
from vv_exporter.state.store import Kind


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run that started and has not ended. `mono` is CLOCK_MONOTONIC of the boot `boot`.

    `limit` (seconds) follows from what its writer gave, from the configuration, and, if it `scales`, from the video.
    """

    name: str
    component: str
    writer: str
    started: UnixTime
    mono: float = 0.0
    boot: str = ""
    process: Process = Process()
    video: str = ""
    video_sha256: str = ""
    video_bytes: int = 0
    video_seconds: float = 0.0
    given: float | None = None
    scales: bool = True
    limit: float | None = None
    overdue: bool = False

    def age(self, now: float, mono: float, boot: str) -> float:
        """Seconds since the start: by the monotonic clock within one boot, so that a changed clock does not matter."""
        if self.mono and self.boot == boot:
            return max(0.0, mono - self.mono)
        return max(0.0, now - self.started)


class Written(Protocol):
    """What a writer began."""

    @property
    def writer(self) -> str: ...


def writer_of(one: Written) -> str:
    """Who began it."""
    return one.writer


def longest_named(
    late: Iterable[tuple[float, Run]], named: Callable[[Run], tuple[str, ...]]
) -> list[tuple[tuple[str, ...], float]]:
    """The start of those runs that started first, a few of each stage or job, by what names them. `late` has starts."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for started, run in sorted(late, key=lambda one: one[0]):
        of_name = found.setdefault(run.name, {})
        if len(of_name) < MAX_NAMED:
            of_name.setdefault(named(run), started)
    return [one for of_name in found.values() for one in of_name.items()]


def limited(run: Run, configured: StageSettings | None) -> Run:
    """The run with its limit: the writer's or else the configured one, and what is allowed for as much of the video as
    is known. Without any of these it has none.
    """
    limit = run.given
    if configured is not None:
        if limit is None and configured.limit is not None:
            limit = float(configured.limit)
        if run.scales:
            minutes, gigabytes = run.video_seconds / 60, run.video_bytes / 1e9
            parts = ((configured.limit_per_minute, minutes), (configured.limit_per_gb, gigabytes))
            known = [each * count for each, count in parts if each is not None and count > 0]
            limit = sum(known, limit or 0.0) if known else limit
    return msgspec.structs.replace(run, limit=limit)


def lacks_size(run: Run, configured: StageSettings | None) -> bool:
    """Whether the run's limit depends on the size of its video, which is not known."""
    return configured is not None and configured.limit_per_gb is not None and run.scales and not run.video_bytes


class Script(msgspec.Struct, frozen=True, omit_defaults=True):
    """A process that its last resort watches over, `vv_core.guard`, and what it is working on."""

    writer: str
    component: str
    video: str = ""
    video_sha256: str = ""


MAX_NAMED = 3
"""Overdue runs of a stage or job that are named: a person needs no more, and each is a series of its own."""
MAX_OPEN = 1000  # of stages, of jobs, of scripts: more are no work in progress but starts whose ends are never reported
STAGE_RUNS: Kind[Run] = Kind("stage_run", Run, MAX_OPEN, STAGE_RUNNING, lambda run: run.name)
JOB_RUNS_OPEN: Kind[Run] = Kind("job_run", Run, MAX_OPEN, JOB_RUNNING, lambda run: run.name)
OPEN_RUNS = (STAGE_RUNS, JOB_RUNS_OPEN)
SCRIPTS: Kind[Script] = Kind("script", Script, MAX_OPEN, SCRIPT_CRASHES)
