"""Containers, and what the self-monitor does about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from vv_exporter.language import decimal, ngettext
from vv_exporter.language import gettext as _
from vv_exporter.metrics.containers import (
    CPU_LIMIT,
    CPU_SECONDS,
    DOCKER_UP,
    EXPECTED,
    HEALTH,
    INFO,
    INSPECTED,
    LAST_EXIT_CODE,
    MEMORY,
    MEMORY_LIMIT,
    PODMAN,
    RESTARTS,
    RUNNING,
    STATE,
)
from vv_exporter.metrics.host import CPU_COUNT
from vv_exporter.metrics.self_monitor import GAVE_UP, IN_WINDOW, MAX_RESTARTS
from vv_exporter.status.series import Labels, Series
from vv_exporter.status.table import Cell, Level, Table, size

Past = Sequence[tuple[float, Mapping[str, float]]]
"""Times (Unix seconds) and the processor time that containers had used by then."""

_LEAST_SPAN = 30.0  # seconds over which the use of processors is shown


class Container(msgspec.Struct, frozen=True):
    """A container; `state` is Docker's, `health` is empty where it has no health check.

    `cores` are those used on average lately, None where not known; `cores_limit` is how many it may use. Memory is in
    bytes, its limit None where there is none. Of one that the self-monitor takes care of also how many of `budget`
    restarts it has used, and whether it gave up. `answered`: the Engine answers about it, not in its list only.
    """

    name: str
    state: str
    health: str
    expected: bool
    running: bool
    restarts: int
    restarts_by_cause: dict[str, int] = msgspec.field(default_factory=dict)
    essential: bool = False
    exit_code: int | None = None
    budget: int | None = None
    budget_used: int = 0
    gave_up: bool = False
    answered: bool = True
    memory: int | None = None
    memory_limit: int | None = None
    cores: float | None = None
    cores_limit: float | None = None


def read(series: Series, now: float, past: Past = ()) -> Iterator[Container]:
    """All containers."""
    states, health, restarts = series.by(STATE, "name"), series.by(HEALTH, "name"), series.by(RESTARTS, "name")
    info, expected = series.by(INFO, "name"), series.by(EXPECTED, "name")
    codes, memory, limits = (series.by(metric, "name") for metric in (LAST_EXIT_CODE, MEMORY, MEMORY_LIMIT))
    budget, used, gave_up = (series.by(metric, "name") for metric in (MAX_RESTARTS, IN_WINDOW, GAVE_UP))
    answered = series.by(INSPECTED, "name")
    cores, core_limits, every = _cores(worked(series), now, past), series.by(CPU_LIMIT, "name"), series.one(CPU_COUNT)
    for name, running in sorted(series.by(RUNNING, "name").items()):
        causes = {labels["cause"]: int(value) for labels, value in restarts.get(name, ()) if value}
        yield Container(
            name=name,
            state=next((labels["state"] for labels, value in states.get(name, ()) if value), "gone"),
            health=next((labels["status"] for labels, value in health.get(name, ()) if value), ""),
            expected=_first_value(expected, name) == 1,
            running=running[0][1] == 1,
            restarts=sum(causes.values()),
            restarts_by_cause=causes,
            essential=any(labels["essential"] == "true" for labels, _ in info.get(name, ())),
            exit_code=_whole_value(codes, name),
            budget=_whole_value(budget, name),
            budget_used=int(_first_value(used, name) or 0),
            gave_up=_first_value(gave_up, name) == 1,
            answered=_first_value(answered, name) != 0,
            memory=_whole_value(memory, name),
            memory_limit=_whole_value(limits, name),
            cores=cores.get(name),
            cores_limit=_first_value(core_limits, name) or every,
        )


def worked(series: Series) -> dict[str, float]:
    """The processor time of each container."""
    return {name: samples[0][1] for name, samples in series.by(CPU_SECONDS, "name").items()}


def _cores(seconds: Mapping[str, float], now: float, past: Past) -> dict[str, float]:
    """How many cores each has used on average since the latest time that is long enough ago; none if it began anew."""
    earlier = [(time, before) for time, before in past if now - time >= _LEAST_SPAN]
    if not earlier:
        return {}
    time, before = earlier[-1]
    return {
        name: (value - before[name]) / (now - time)
        for name, value in seconds.items()
        if name in before and value >= before[name]
    }


def _first_value(samples: Mapping[str, Sequence[tuple[Labels, float]]], name: str) -> float | None:
    return samples[name][0][1] if name in samples else None


def _whole_value(samples: Mapping[str, Sequence[tuple[Labels, float]]], name: str) -> int | None:
    value = _first_value(samples, name)
    return None if value is None else int(value)


def engine_up(series: Series) -> bool | None:
    """Whether the Docker Engine answers; None where there is none."""
    value = series.one(DOCKER_UP)
    return None if value is None else value == 1


def engine_is_podman(series: Series) -> bool:
    """Whether what answers in the Docker Engine's place is Podman."""
    return series.one(PODMAN) == 1


def troubles(containers: Sequence[Container], up: bool | None, podman: bool = False) -> Iterator[str]:
    """What is wrong with containers."""
    if podman:
        yield _(
            "what answers in the Docker Engine's place is Podman, which is not supported: what is shown may be wrong"
        )
    if up is False:
        yield _("the Docker Engine does not answer: containers are shown as they were last known")
    yield from (
        _("the Docker Engine does not answer for container {name}: it is shown as the list has it").format(
            name=one.name
        )
        for one in containers
        if not one.answered and up is not False
    )
    yield from (
        _("container {name} is not running").format(name=one.name)
        for one in containers
        if one.expected and not one.running
    )
    yield from (
        _("container {name} is unhealthy").format(name=one.name) for one in containers if one.health == "unhealthy"
    )
    yield from (
        _("the self-monitor gave up on container {name}").format(name=one.name) for one in containers if one.gave_up
    )


def table(containers: Sequence[Container], up: bool | None) -> Table:
    """For people; those with trouble first."""
    ordered = sorted(containers, key=lambda one: (not one.gave_up, not _is_bad(one), -one.restarts, one.name))
    title = _("Containers") if up is not False else _("Containers, as last known")
    columns: Sequence[str] = (_("Container"), _("State"), _("Health"), _("Uses"), _("Restarts"), _("Self-monitor"))
    rows: list[Sequence[Cell]] = [_container_row(one) for one in ordered]
    if not any(one.budget is not None or one.gave_up for one in containers):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table("containers", title, columns, rows)


def _is_bad(one: Container) -> bool:
    return (one.expected and not one.running) or one.health == "unhealthy"


def _container_row(one: Container) -> tuple[Cell, ...]:
    ended = _("exit code {code}").format(code=one.exit_code) if not one.running and one.exit_code is not None else ""
    expectation = "" if one.expected else _("not expected")
    state = Cell(
        one.state, "bad" if one.expected and not one.running else "", note=", ".join(filter(None, (ended, expectation)))
    )
    levels: dict[str, Level] = {"unhealthy": "bad", "healthy": "good", "": "muted"}
    health = Cell(one.health or "–", levels.get(one.health, ""))
    causes = ", ".join(f"{count} {cause}" for cause, count in one.restarts_by_cause.items())
    restarts = Cell(
        ngettext("{count} restart", "{count} restarts", one.restarts).format(count=one.restarts),
        "" if one.restarts else "muted",
        note=causes,
    )
    if one.gave_up:
        monitor = Cell(_("gave up"), "bad", note=f"vv containers resume {one.name}")
    elif one.budget is None:
        monitor = Cell("–", "muted")
    else:
        monitor = Cell(
            ngettext("{used} of {count} restart used", "{used} of {count} restarts used", one.budget).format(
                used=one.budget_used, count=one.budget
            ),
            "warning" if one.budget_used else "",
        )
    return (
        Cell(one.name, note=_("essential") if one.essential else ""),
        state,
        health,
        _usage_cell(one),
        restarts,
        monitor,
    )


def _usage_cell(one: Container) -> Cell:
    """Memory and processors, each with its limit; without bars, for there may be many rows."""
    if one.memory is None:
        return Cell("–", "muted")
    memory = size(one.memory)
    if one.memory_limit:
        memory = _("{used} of {limit}").format(used=memory, limit=size(one.memory_limit))
    return Cell(memory, note=_cores_used(one))


def _cores_used(one: Container) -> str:
    if one.cores is None:
        return ""
    used = decimal(f"{one.cores:.2f}")
    if one.cores_limit:
        return _("{used} of {limit} cores").format(used=used, limit=decimal(f"{one.cores_limit:g}"))
    return _("{used} cores").format(used=used)
