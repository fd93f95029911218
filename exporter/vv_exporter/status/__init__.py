"""The device's state in one document, made of the very series that `/metrics` shows, so that the two agree.

`GET /api/v1/status` serves it, `GET /` shows it, `vv status` prints it; the latter two through the same tables. Each
module of this folder is a section: what is read of the series, what is wrong with it, and its table.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from prometheus_client.core import Metric as Family

from vv_exporter.alert_path.state import PathState
from vv_exporter.delivery.accounts import Account
from vv_exporter.drills.state import DRILL
from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.status import (
    alert_path,
    checks,
    containers,
    delivery,
    dvrs,
    failures,
    fleet,
    footage,
    itself,
    jobs,
    stages,
    storage,
)
from vv_exporter.status import alerts as _alerts
from vv_exporter.status.alert_path import AlertPath
from vv_exporter.status.alerts import FiringAlert
from vv_exporter.status.checks import Check
from vv_exporter.status.containers import Container
from vv_exporter.status.delivery import Delivery
from vv_exporter.status.dvrs import Dvr
from vv_exporter.status.failures import LastFailure
from vv_exporter.status.fleet import FleetConfig
from vv_exporter.status.footage import CameraInShort
from vv_exporter.status.itself import Itself
from vv_exporter.status.jobs import Job
from vv_exporter.status.series import Series
from vv_exporter.status.stages import Stage
from vv_exporter.status.storage import Disk, Videos
from vv_exporter.status.table import Table, ago

__all__ = [
    "AlertPath", "CameraInShort", "Check", "Container", "Delivery", "Disk", "Dvr", "FiringAlert", "FleetConfig",
    "Itself", "Job", "Known", "LastFailure", "Past", "Series", "Stage", "Status", "Table", "Videos", "sections",
    "status",
]  # fmt: skip

SILENCED = translatable("silenced")
STALE = 30.0  # seconds after which what Alertmanager said last counts as old


class Status(msgspec.Struct, frozen=True):
    """Everything. `troubles` says in words what is wrong.

    `alerts` are as Alertmanager showed them at `alerts_time` (Unix seconds); None when it never did.
    """

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
    alerts_time: float | None = None
    docker_up: bool | None = None
    docker_is_podman: bool = False
    dvrs: tuple[Dvr, ...] = ()
    footage: tuple[CameraInShort, ...] = ()
    checks: tuple[Check, ...] = ()
    failures: tuple[LastFailure, ...] = ()
    videos: Videos | None = None
    delivery: Delivery | None = None
    exporter: Itself | None = None
    alert_path: AlertPath | None = None
    unwritable: str = ""
    """Why the exporter can write nothing down, "" while it can."""
    fleet: FleetConfig | None = None


class Known(NamedTuple):
    """What is known besides the series: what Alertmanager's API said of alerts and when, the configured channels,
    when the last notification came, the accounts of alerts, what was found of the alert path, whether there is a
    dead man's switch, and why the exporter can write nothing down."""

    alerts: Iterable[Mapping[str, Any]] | None = None
    alerts_time: float | None = None
    channels: Sequence[str] = ()
    last_notification: float | None = None
    accounts: Iterable[Account] = ()
    alert_path: PathState | None = None
    deadman: bool = True
    unwritable: str = ""


class Past:
    """A few numbers of the last hour, from which the status knows what is recent. Any thread may use it."""

    INTERVAL = 60.0
    KEPT = 60
    MAX_STAGES = 50

    def __init__(self) -> None:
        self._kept: deque[tuple[float, dict[str, stages.Tally], dict[str, float]]] = deque(maxlen=self.KEPT)
        self._worked: deque[tuple[float, dict[str, float]]] = deque(maxlen=3)

    def record_sample(self, families: Iterable[Family], now: float) -> None:
        """Keep what counts now."""
        series = Series(families)
        if self._kept and self._kept[-1][0] > now:  # the clock was set back: nothing is known of the last hour
            self._kept.clear()
            self._worked.clear()
        tallies = dict(list(stages.tallies(series).items())[: self.MAX_STAGES])
        self._kept.append((now, tallies, storage.free(series)))
        self._worked.append((now, containers.worked(series)))

    def stages(self) -> stages.Past:
        """What was counted of stages."""
        return [(time, tallies) for time, tallies, _ in list(self._kept)]

    def free(self) -> storage.Past:
        """What was free on disks."""
        return [(time, free) for time, _, free in list(self._kept)]

    def worked(self) -> containers.Past:
        """What processor time containers had used, in the last minutes."""
        return list(self._worked)


def status(families: Iterable[Family], known: Known, device: str, now: float, past: Past | None = None) -> Status:
    """The state at a time, from the exporter's families, what is known besides, and the last hour."""
    series = Series(families)
    past = past or Past()
    found = Status(
        device=device,
        time=now,
        ok=True,
        troubles=(),
        alerts=None if known.alerts is None else _alerts.firing(known.alerts),
        alerts_time=known.alerts_time,
        disks=tuple(storage.read(series, now, past.free())),
        stages=tuple(stages.read(series, now, past.stages())),
        jobs=tuple(jobs.read(series, now)),
        containers=tuple(containers.read(series, now, past.worked())),
        failing_collectors=tuple(itself.failing(series)),
        docker_up=containers.engine_up(series),
        docker_is_podman=containers.engine_is_podman(series),
        dvrs=tuple(dvrs.read(series)),
        footage=tuple(footage.read(series)),
        checks=tuple(checks.read(series)),
        failures=tuple(failures.read(series)),
        videos=storage.read_videos(series),
        delivery=delivery.read(series, known.channels, known.last_notification, known.accounts),
        exporter=itself.read(series),
        alert_path=alert_path.read(series, known.alert_path, known.deadman),
        unwritable=known.unwritable,
        fleet=fleet.read(series),
    )
    troubles = tuple(_find_troubles(found))
    return msgspec.structs.replace(found, ok=not troubles, troubles=troubles)


def sections(found: Status) -> list[Table]:
    """The sections as tables, in the order in which an operator wants them; those without rows are left out."""
    every = [
        containers.table(found.containers, found.docker_up),
        stages.table(found.stages, found.time),
        dvrs.table(found.dvrs, found.time),
        footage.table(found.footage, found.time),
        jobs.table(found.jobs, found.time),
        storage.table(found.disks),
        storage.videos_table(found.videos, found.time),
        checks.table(found.checks, found.time),
        failures.table(found.failures, found.time),
    ]
    if found.delivery is not None:
        every.append(delivery.table(found.delivery, found.time))
    if found.exporter is not None:
        every.append(itself.table(found.exporter, found.failing_collectors, found.time))
    if found.fleet is not None:
        every.append(fleet.table(found.fleet, found.time))
    if found.alert_path is not None:
        # First while it is not known to be whole: all the rest may be told to nobody.
        place = len(every) if found.alert_path.state == "works" else 0
        every.insert(place, alert_path.table(found.alert_path, found.time))
    return [table for table in every if table.rows]


def own_troubles(found: Status) -> list[str]:
    """What is wrong besides the alerts that fire."""
    return list(_own_troubles(found))


def _find_troubles(found: Status) -> Iterator[str]:
    own = list(_own_troubles(found))
    if any(alert_path.troubles(found.alert_path, found.time)):
        yield own.pop(0)
    if found.unwritable:
        yield own.pop(0)
    if found.alerts is None or _is_stale(found):
        yield own.pop(0)
    for alert in found.alerts or ():
        if alert.severity != "info" and not alert.inhibited and alert.name != DRILL:  # its cause is there
            yield f"{alert.severity}: {alert.summary}" + (f" ({_(SILENCED)})" if alert.silenced else "")
    yield from own


def _own_troubles(found: Status) -> Iterator[str]:
    yield from alert_path.troubles(found.alert_path, found.time)
    if found.unwritable:
        yield _("critical: the exporter can write nothing down ({error}): nothing new is counted").format(
            error=found.unwritable
        )
    if found.alerts is None:
        yield _("Alertmanager does not answer: what fires is not known")
    elif _is_stale(found):
        yield _("Alertmanager does not answer: alerts are shown as of {time}").format(
            time=ago(found.alerts_time, found.time)
        )
    yield from storage.troubles(found.disks, found.videos)
    yield from stages.troubles(found.stages)
    yield from jobs.troubles(found.jobs)
    yield from containers.troubles(found.containers, found.docker_up, found.docker_is_podman)
    yield from dvrs.troubles(found.dvrs)
    yield from footage.troubles(found.footage, found.time)
    if found.delivery is not None:
        yield from delivery.troubles(found.delivery, found.time)
    yield from fleet.troubles(found.fleet)
    yield from itself.troubles(found.exporter, found.failing_collectors, found.time)


def _is_stale(found: Status) -> bool:
    return found.alerts_time is not None and abs(found.time - found.alerts_time) > STALE
