"""What is known of each container, what a change of that says, and its series: the types of `ledger.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from vv_exporter.common.times import UnixTime
from vv_exporter.containers.observed import RUNNING_STATES, SWARM_PLACE
from vv_exporter.metrics import Labels, Metric
from vv_exporter.metrics.containers import EXITS, OOM_KILLS, RESTARTS
from vv_exporter.metrics.self_monitor import SUPERVISED_RESTARTS
from vv_exporter.state.store import Kind

CAUSES = ("policy", "self_monitor", "manual", "daemon")
REASONS = ("ok", "error", "signal", "oom")
GONE = "gone"
MAX_CLAIMS = 1000  # they are settled within minutes


class Held(msgspec.Struct, frozen=True):
    """A start of a container through the API (nanoseconds) whose cause is decided at `until` (Unix seconds)."""

    container: str
    time: int
    until: float


class ContainerRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of the container that has or had this name. Times are nanoseconds of the Engine's clock."""

    name: str
    id: str
    image: str = ""
    project: str = ""
    service: str = ""
    opted: str = ""
    place: str = ""
    policy: str = "no"
    max_retries: int = 0
    auto_remove: bool = False
    state: str = "created"
    health: str = ""
    streak: int = 0
    exit_code: int | None = None
    started: int = 0
    finished: int = 0
    restart_count: int = 0
    """Restarts by policy since the last start of another kind."""
    wanted: bool = False
    """It was seen running, and neither an operator nor its own success has ended it."""
    stopped: bool = False
    """By an operator, since its last start."""
    killed: int = 0
    """When it was first sent a signal that ends it, since its last start."""
    oom: int = 0
    """When it last met its memory limit, since its last start."""
    oom_counted: bool = False
    """Whether its last death was counted as one for want of memory."""
    resumed: int = 0
    """When it was last seen to go on after a pause, since its last start: health checks from before say nothing."""
    ahead: bool = False
    unseen_exit: bool = False
    """It had ended when it was first looked at, and that was not counted: its event, if one comes, is."""
    booting: bool = False
    listed_only: bool = False
    """The Engine has not answered an inspection of it yet."""
    gone_at: UnixTime = 0.0
    """Unix seconds."""
    held: tuple[Held, ...] = ()

    @property
    def running(self) -> bool:
        """Whether its main process lives."""
        return self.state in RUNNING_STATES


class Claim(msgspec.Struct, frozen=True):
    """The self-monitor's word that it is about to restart a container (full id) at a time (Unix seconds).

    `noted` is when the word came: after a day without the exporter, long after.
    """

    container: str
    at: UnixTime
    noted: UnixTime = 0.0


CONTAINERS: Kind[ContainerRecord] = Kind("container", ContainerRecord)
CLAIMS: Kind[Claim] = Kind("container_claim", Claim, MAX_CLAIMS, SUPERVISED_RESTARTS)
Records = Mapping[str, ContainerRecord]


class Count(NamedTuple):
    """An amount to be added to a counter."""

    metric: Metric
    labels: Labels
    amount: int = 1


Counts = tuple[Count, ...]


class Change(NamedTuple):
    """New records by name (None: forgotten), and what is to be counted."""

    records: Mapping[str, ContainerRecord | None]
    counts: Counts = ()


def all_series(name: str) -> tuple[tuple[Metric, Labels], ...]:
    """The counters of a container; they begin at 0 with its record."""
    return (
        *((RESTARTS, (name, cause)) for cause in CAUSES),
        *((EXITS, (name, reason)) for reason in REASONS),
        (OOM_KILLS, (name,)),
    )


def slot_series(place: str) -> tuple[tuple[Metric, Labels], ...]:
    """The counters of a swarm's slot, under its own name: each of its tasks has another, and never starts again."""
    name = slot_of(place)
    return tuple((RESTARTS, (name, cause)) for cause in CAUSES) if name else ()


def slot_of(place: str) -> str:
    """The name of a swarm's slot; "" for another place."""
    return place.removeprefix(SWARM_PLACE) if place.startswith(SWARM_PLACE) else ""


def by_id(records: Iterable[ContainerRecord], container: str) -> ContainerRecord | None:
    """The record of a container that the Engine has."""
    return next((record for record in records if record.id == container and record.state != GONE), None)
