"""What the Docker Engine says, decoded: events, entries of a listing, and inspections of one container.

Fields are those of the Engine's API 1.24 and later. Only what is used is decoded: the environment that an inspection
shows, which may hold secrets, never becomes part of an object. Times are nanoseconds since 1970 of the Engine's clock,
0 for never. Whatever cannot be read, or is beyond every measure, is a `msgspec.MsgspecError`; where one entry of a list
is, the others are there.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple

import msgspec

from vv_exporter.common.untrusted import decode_untrusted, elements

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
NUMBER_LABEL = "com.docker.compose.container-number"
TASK_LABEL = "com.docker.swarm.task.name"
SELF_MONITOR_LABEL = "vv.self-monitor"
SECOND = 1_000_000_000
ACTIONS = (
    "start",
    "die",
    "kill",
    "stop",
    "oom",
    "destroy",
    "rename",
    "health_status",
    "pause",
    "unpause",
    "update",
)
"""The events that are asked for; probes of health checks alone would bring three `exec_*` events each."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CPU_PERIOD = 100_000  # microseconds: the kernel's default (Documentation/scheduler/sched-bwc.rst)
_MAX_TEXT = 200  # characters of a label's value
_EXIT_CODE = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_ENDED = re.compile(r"Exited \((-?[0-9]{1,10})\)", re.ASCII)

Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What the store can hold."""


class Event(NamedTuple):
    """Something that happened to a container."""

    id: str
    name: str
    action: str
    time: int
    attributes: Mapping[str, str]


class Listed(NamedTuple):
    """One entry of the list of containers. `exit_code` is None while it runs, and where the list does not show it."""

    id: str
    name: str
    state: str
    health: str
    one_off: bool
    image: str = ""
    project: str = ""
    service: str = ""
    opted: str = ""
    exit_code: int | None = None
    place: str = ""

    @property
    def running(self) -> bool:
        """Whether its main process lives."""
        return self.state in RUNNING_STATES


class Listing(NamedTuple):
    """The list of containers. `complete`: every entry was understood; else a container that is missing may be there."""

    containers: tuple[Listed, ...]
    complete: bool


class Inspection(NamedTuple):
    """A container as it is now. `state` is Docker's own word; `error` says why it could not be started."""

    id: str
    name: str
    image: str
    project: str
    service: str
    one_off: bool
    policy: str
    max_retries: int
    auto_remove: bool
    state: str
    health: str
    streak: int
    exit_code: int
    oom_killed: bool
    error: str
    restart_count: int
    created: int
    started: int
    finished: int
    probed: int | None = None
    """When its latest health check began; None where the Engine does not say."""
    opted: str = ""
    """The label that lets the self-monitor restart it ("true"), or forbids it ("false")."""
    pid: int = 0
    """Its main process, in the Engine's PID namespace; 0 while it does not run."""
    network_mode: str = ""
    cpu_limit: float | None = None
    """Cores that it may use at most, None for all."""
    memory_limit: int | None = None
    """Bytes, None for all."""
    place: str = ""
    """What it is one of a succession in (see `place_of`); "" for one by itself."""

    @property
    def own_network(self) -> bool:
        """Whether its network is neither the device's nor another container's."""
        return self.network_mode != "host" and not self.network_mode.startswith("container:")

    @property
    def running(self) -> bool:
        """Whether its main process lives."""
        return self.state in RUNNING_STATES

    @property
    def overruled(self) -> bool:
        """Whether it rests although its policy covers its end: stopped through the API, or it could not be started."""
        if self.state != "exited" or self.policy == "no":
            return False
        retries_left = not 0 < self.max_retries <= self.restart_count
        return self.policy != "on-failure" or (self.exit_code != 0 and retries_left)

    @property
    def policy_restarts(self) -> int:
        """How many restarts by policy there certainly were since it was last started otherwise.

        Docker counts one when the container ends: it may be yet to come, or have been overruled before it came.
        """
        return max(0, self.restart_count - (self.state == "restarting" or self.overruled))


RUNNING_STATES = frozenset({"running", "paused"})


def decode_event(line: bytes) -> Event | None:
    """One line of the event stream; None for what does not concern a container. Raises `msgspec.MsgspecError`."""
    raw = decode_untrusted(_EVENT, line)
    if raw.type != "container" or not raw.actor.id:
        return None
    attributes = raw.actor.attributes or {}
    if "containerExitCode" in attributes:  # Podman's word
        attributes = {"exitCode": attributes["containerExitCode"], **attributes}
    if not _EXIT_CODE.fullmatch(attributes.get("exitCode", "0")):
        raise msgspec.ValidationError("an exit code that is no number")
    action, _, detail = raw.action.partition(": ")
    if action == "health_status":
        detail = detail or attributes.get("health_status", "")  # Podman says it here
    if detail:
        attributes = {**attributes, "detail": detail}
    return Event(raw.actor.id, attributes.get("name", ""), action, raw.time_nano, attributes)


def decode_list(body: bytes) -> Listing:
    """The answer of `/containers/json?all=1`. Raises `msgspec.MsgspecError` if it is no list."""
    entries = _decode_entries(body)
    containers = []
    for entry in entries:
        with contextlib.suppress(msgspec.MsgspecError):
            containers.append(_listed_container(decode_untrusted(_LISTED, entry)))
    return Listing(tuple(containers), len(containers) == len(entries))


def _decode_entries(body: bytes) -> Sequence[msgspec.Raw | bytes]:
    try:
        return decode_untrusted(_LIST, body)
    except msgspec.DecodeError:  # one is too deep, or no JSON: the others may be as they should
        return elements(body)


def _listed_container(raw: _RawListed) -> Listed:
    labels = raw.labels or {}
    ended = _ENDED.match(raw.status)
    return Listed(
        id=raw.id,
        name=_own_name(raw.names or ()),
        state=raw.state,
        health=_listed_health(raw),
        one_off=is_one_off(labels),
        image=raw.image[:_MAX_TEXT],
        project=labels.get(PROJECT_LABEL, "")[:_MAX_TEXT],
        service=labels.get(SERVICE_LABEL, "")[:_MAX_TEXT],
        opted=_self_monitor_choice(labels),
        exit_code=int(ended[1]) if ended else None,
        place=place_of(labels),
    )


def decode_inspection(body: bytes) -> Inspection:
    """The answer of `/containers/<id>/json`. Raises `msgspec.MsgspecError`."""
    raw = decode_untrusted(_INSPECTION, body)
    labels = raw.config.labels or {}
    policy, state, health = raw.host_config.restart_policy, raw.state, raw.state.health
    has_health = health is not None and health.status not in ("", "none")
    return Inspection(
        id=raw.id,
        name=raw.name.removeprefix("/"),
        image=raw.config.image[:_MAX_TEXT],
        project=labels.get(PROJECT_LABEL, "")[:_MAX_TEXT],
        service=labels.get(SERVICE_LABEL, "")[:_MAX_TEXT],
        one_off=is_one_off(labels),
        policy=policy.name or "no",
        max_retries=policy.maximum_retry_count,
        auto_remove=raw.host_config.auto_remove,
        state=state.status,
        health=health.status if health and has_health else "",
        streak=health.failing_streak if health and has_health else 0,
        exit_code=state.exit_code,
        oom_killed=state.oom_killed,
        error=state.error,
        restart_count=raw.restart_count,
        created=nanoseconds(raw.created),
        started=nanoseconds(state.started_at),
        finished=nanoseconds(state.finished_at),
        probed=_latest_probe(health.log if health else None),
        opted=_self_monitor_choice(labels),
        pid=state.pid,
        network_mode=raw.host_config.network_mode,
        cpu_limit=_core_limit(raw.host_config),
        memory_limit=raw.host_config.memory or None,
        place=place_of(labels),
    )


def is_one_off(labels: Mapping[str, str]) -> bool:
    """Whether `docker compose run` made it: a command of a person, not a part of the deployment."""
    return labels.get(ONE_OFF_LABEL, "").lower() == "true"


SWARM_PLACE = "swarm "
"""Before the name of a swarm's slot."""


def place_of(labels: Mapping[str, str]) -> str:
    """The place that containers of other names succeed each other in; "" where none would.

    A slot of a swarm's service, whose tasks are named `service.slot.task`; a number of a service of compose, which
    gives a container that it replaces a name of its own for a while.
    https://docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states/
    """
    slot, _, _ = labels.get(TASK_LABEL, "").rpartition(".")
    if slot:
        return f"{SWARM_PLACE}{slot}"[:_MAX_TEXT]
    names = [labels.get(label, "") for label in (PROJECT_LABEL, SERVICE_LABEL, NUMBER_LABEL)]
    return f"compose {'/'.join(names)}"[:_MAX_TEXT] if all(names) and not is_one_off(labels) else ""


def _self_monitor_choice(labels: Mapping[str, str]) -> str:
    return labels.get(SELF_MONITOR_LABEL, "").lower()[:_MAX_TEXT]


def nanoseconds(text: str) -> int:
    """The Engine's RFC 3339 time, to the microsecond, within 64 bits; 0 for its zero (year 1) and for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return 0
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return min(max((found - _EPOCH) // timedelta(microseconds=1) * 1000, 0), 2**63 - 1)


def _own_name(names: tuple[str, ...]) -> str:
    # Links add names such as "/other/alias".
    return next((name[1:] for name in names if name.count("/") == 1), "")


def _listed_health(raw: _RawListed) -> str:
    if raw.health is None or raw.state == "paused":
        return _health_in(raw.status)
    return "" if raw.health.status == "none" else raw.health.status


def _health_in(status: str) -> str:
    for word, health in (("(healthy)", "healthy"), ("(unhealthy)", "unhealthy"), ("(health: starting)", "starting")):
        if word in status:
            return health
    return ""


def _latest_probe(log: tuple[_RawProbe, ...] | None) -> int | None:
    return max((nanoseconds(probe.start) for probe in log), default=0) if log is not None else None


def _core_limit(given: _RawHostConfig) -> float | None:
    if given.nano_cpus > 0:
        return given.nano_cpus / 1e9
    return given.cpu_quota / (given.cpu_period or _CPU_PERIOD) if given.cpu_quota > 0 else None


class _Raw(msgspec.Struct, frozen=True, rename="pascal"):
    pass


class _RawActor(_Raw, frozen=True, rename={"id": "ID", "attributes": "Attributes"}):
    id: str = ""
    attributes: dict[str, str] | None = None


class _RawEvent(
    _Raw, frozen=True, rename={"type": "Type", "action": "Action", "actor": "Actor", "time_nano": "timeNano"}
):
    type: str
    action: str
    actor: _RawActor
    time_nano: Whole


class _RawListed(_Raw, frozen=True, rename="pascal"):
    id: str
    names: tuple[str, ...] | None = None
    image: str = ""
    state: str = ""
    status: str = ""
    health: _RawHealth | None = None  # from version 1.52 of the API on
    labels: dict[str, str] | None = None


class _RawProbe(_Raw, frozen=True, rename="pascal"):
    start: str = ""


class _RawHealth(_Raw, frozen=True, rename="pascal"):
    status: str = ""
    failing_streak: Whole = 0
    log: tuple[_RawProbe, ...] | None = None


class _RawState(_Raw, frozen=True, rename="pascal"):
    status: str
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    exit_code: Whole = 0
    error: str = ""
    pid: Whole = 0
    started_at: str = ""
    finished_at: str = ""
    health: _RawHealth | None = None


class _RawPolicy(_Raw, frozen=True, rename="pascal"):
    name: str = ""
    maximum_retry_count: Whole = 0


class _RawHostConfig(_Raw, frozen=True, rename="pascal"):
    restart_policy: _RawPolicy = _RawPolicy()
    auto_remove: bool = False
    network_mode: str = ""
    nano_cpus: Whole = 0
    cpu_quota: Whole = 0
    cpu_period: Whole = 0
    memory: Whole = 0


class _RawConfig(_Raw, frozen=True, rename="pascal"):
    image: str = ""
    labels: dict[str, str] | None = None


class _RawInspection(_Raw, frozen=True, rename="pascal"):
    id: str
    name: str
    state: _RawState
    config: _RawConfig = _RawConfig()
    host_config: _RawHostConfig = _RawHostConfig()
    created: str = ""
    restart_count: Whole = 0


_EVENT: msgspec.json.Decoder[_RawEvent] = msgspec.json.Decoder(_RawEvent)
_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_LISTED: msgspec.json.Decoder[_RawListed] = msgspec.json.Decoder(_RawListed)
_INSPECTION: msgspec.json.Decoder[_RawInspection] = msgspec.json.Decoder(_RawInspection)
