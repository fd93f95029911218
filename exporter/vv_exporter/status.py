"""The device's state in one document, made of the very series that `/metrics` shows, so that the two agree.

`GET /api/v1/status` serves it, `vv status` prints it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from prometheus_client.core import Metric as Family

from vv_exporter.metrics import Metric, containers, exporter, jobs, pipeline, storage
from vv_exporter.openalerts import SEVERITIES

Labels = Mapping[str, str]


class FiringAlert(msgspec.Struct, frozen=True):
    """An alert that Alertmanager holds as firing. `since` is RFC 3339."""

    name: str
    severity: str
    component: str
    summary: str
    description: str
    suggested_actions: str
    since: str
    runbook_url: str
    silenced: bool = False


class Stage(msgspec.Struct, frozen=True):
    """A stage. Times are Unix seconds, None when never."""

    name: str
    running: int
    overdue: int
    last_success: float | None
    succeeded: int
    failed: int
    crashed: int


class Job(msgspec.Struct, frozen=True):
    """A job. `late` is by how many seconds it is past its due time and its grace, 0 when it is not."""

    name: str
    running: int
    last_success: float | None
    next_due: float | None
    late: float
    failed: int


class Container(msgspec.Struct, frozen=True):
    """A container; `state` is Docker's, `health` is empty where it has no health check."""

    name: str
    state: str
    health: str
    expected: bool
    running: bool
    restarts: int


class Disk(msgspec.Struct, frozen=True):
    """A file system; sizes in bytes. `readable`: its last probe succeeded."""

    role: str
    path: str
    size: float
    free: float
    readable: bool


class Status(msgspec.Struct, frozen=True):
    """Everything. `alerts` is None when Alertmanager does not answer; `troubles` says in words what is wrong."""

    device: str
    time: float
    ok: bool
    troubles: tuple[str, ...]
    alerts: tuple[FiringAlert, ...] | None
    disks: tuple[Disk, ...]
    stages: tuple[Stage, ...]
    jobs: tuple[Job, ...]
    containers: tuple[Container, ...]
    failing_collectors: tuple[str, ...]


class Series:
    """The samples of a scrape, to be asked by metric and labels."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._samples: dict[str, list[tuple[Labels, float]]] = {}
        for family in families:
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append((sample.labels, sample.value))

    def all(self, metric: Metric, suffix: str = "") -> list[tuple[Labels, float]]:
        """Every sample of a family (of a histogram's part, with its suffix)."""
        return self._samples.get(metric.name + suffix, [])

    def one(self, metric: Metric, **labels: str) -> float | None:
        """The first sample with these labels."""
        return next((value for has, value in self.all(metric) if labels.items() <= has.items()), None)

    def sum(self, metric: Metric, suffix: str = "", **labels: str) -> int:
        """The sum over all samples with these labels."""
        return int(sum(value for has, value in self.all(metric, suffix) if labels.items() <= has.items()))

    def names(self, label: str, *metrics: Metric, suffix: str = "") -> list[str]:
        """The values that a label has in these families."""
        return sorted({has[label] for metric in metrics for has, _ in self.all(metric, suffix)})

    def text(self, metric: Metric, label: str, **labels: str) -> str:
        """The value of `label` in the sample of 1 that has these labels; of a state or an info."""
        found = (has[label] for has, value in self.all(metric) if value == 1 and labels.items() <= has.items())
        return next(found, "")


def status(families: Iterable[Family], alerts: Iterable[Mapping[str, Any]] | None, device: str, now: float) -> Status:
    """The state at a time, from the exporter's families and what Alertmanager's API says of alerts (None: nothing)."""
    series = Series(families)
    firing = None
    if alerts is not None:
        shown = (alert for alert in map(_alert, alerts) if alert.severity in SEVERITIES)
        firing = tuple(sorted(shown, key=_urgency))
    found = Status(
        device=device,
        time=now,
        ok=True,
        troubles=(),
        alerts=firing,
        disks=tuple(_disks(series)),
        stages=tuple(_stages(series)),
        jobs=tuple(_jobs(series, now)),
        containers=tuple(_containers(series)),
        failing_collectors=tuple(
            labels["collector"] for labels, value in series.all(exporter.COLLECTOR_SUCCESS) if value != 1
        ),
    )
    troubles = tuple(_troubles(found))
    return msgspec.structs.replace(found, ok=not troubles, troubles=troubles)


def _alert(alert: Mapping[str, Any]) -> FiringAlert:
    labels, notes = alert["labels"], alert["annotations"]
    return FiringAlert(
        name=labels.get("alertname", "?"),
        severity=labels.get("severity", "error"),
        component=labels.get("component", ""),
        summary=notes.get("summary", labels.get("alertname", "?")),
        description=notes.get("description", ""),
        suggested_actions=notes.get("suggested_actions", ""),
        since=alert["startsAt"],
        runbook_url=notes.get("runbook_url", ""),
        silenced=alert["status"]["state"] == "suppressed",
    )


def _urgency(alert: FiringAlert) -> tuple[int, str]:
    return -SEVERITIES.index(alert.severity), alert.since


def _disks(series: Series) -> Iterable[Disk]:
    for labels, success in series.all(storage.PROBE_SUCCESS):
        size, free = series.one(storage.SIZE, **labels), series.one(storage.FREE, **labels)
        yield Disk(labels["role"], labels["path"], size or 0.0, free or 0.0, success == 1)


def _stages(series: Series) -> Iterable[Stage]:
    for name in series.names("stage", pipeline.STAGE_RUNNING):
        ended = {
            outcome: series.sum(pipeline.STAGE_DURATION, "_count", stage=name, outcome=outcome)
            for outcome in ("success", "failure", "crashed")
        }
        yield Stage(
            name=name,
            running=series.sum(pipeline.STAGE_RUNNING, stage=name),
            overdue=series.sum(pipeline.STAGE_OVERDUE, stage=name),
            last_success=series.one(pipeline.STAGE_LAST_SUCCESS, stage=name),
            succeeded=ended["success"],
            failed=ended["failure"],
            crashed=ended["crashed"],
        )


def _jobs(series: Series, now: float) -> Iterable[Job]:
    for name in series.names("job", jobs.JOB_RUNNING):
        due, grace = series.one(jobs.JOB_NEXT_DUE, job=name), series.one(jobs.JOB_GRACE, job=name)
        yield Job(
            name=name,
            running=series.sum(jobs.JOB_RUNNING, job=name),
            last_success=series.one(jobs.JOB_LAST_SUCCESS, job=name),
            next_due=due,
            late=0.0 if due is None else max(now - due - (grace or 0.0), 0.0),
            failed=series.sum(jobs.JOB_RUNS, job=name, result="failure")
            + series.sum(jobs.JOB_RUNS, job=name, result="crashed"),
        )


def _containers(series: Series) -> Iterable[Container]:
    for name in series.names("name", containers.RUNNING):
        yield Container(
            name=name,
            state=series.text(containers.STATE, "state", name=name) or "gone",
            health=series.text(containers.HEALTH, "status", name=name),
            expected=series.one(containers.EXPECTED, name=name) == 1,
            running=series.one(containers.RUNNING, name=name) == 1,
            restarts=series.sum(containers.RESTARTS, name=name),
        )


def _troubles(found: Status) -> Iterable[str]:
    if found.alerts is None:
        yield "Alertmanager does not answer: what fires is not known"
    yield from (f"{alert.severity}: {alert.summary}" for alert in found.alerts or () if alert.severity != "info")
    yield from (f"{disk.path} cannot be used" for disk in found.disks if not disk.readable)
    yield from (f"stage {stage.name} is over its time limit" for stage in found.stages if stage.overdue)
    yield from (f"job {job.name} did not run on time" for job in found.jobs if job.late)
    yield from (f"container {one.name} is not running" for one in found.containers if one.expected and not one.running)
    yield from (f"container {one.name} is unhealthy" for one in found.containers if one.health == "unhealthy")
    yield from (f"collector {name} fails: see app.log" for name in found.failing_collectors)
