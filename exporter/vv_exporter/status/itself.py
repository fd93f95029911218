"""The exporter itself."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from vv_exporter.common.clock import span
from vv_exporter.language import gettext as _
from vv_exporter.metrics.exporter import (
    BUILD_INFO,
    COLLECTOR_SUCCESS,
    EVENT_BACKLOG,
    EVENT_LAG,
    EVENTS,
    EVENTS_DROPPED,
    EVENTS_REJECTED,
    SERIES_LIMITED,
)
from vv_exporter.metrics.self_monitor import LAST_CHECK
from vv_exporter.status.series import Series
from vv_exporter.status.table import Cell, Level, Table, ago, size, when

SUPERVISED_WITHIN = 120.0  # seconds after which the self-monitor seems to stand still
SLOW = 10.0  # seconds of lag that are worth a colour


class Itself(msgspec.Struct, frozen=True):
    """The exporter. `lag` in seconds; `memory`, `backlog` in bytes; `started` in Unix seconds."""

    version: str
    started: float | None
    memory: float
    events: int
    rejected: int
    dropped: int
    limited: int
    lag: float
    backlog: float
    collectors: int
    supervised: float | None = None
    """When the self-monitor last looked at its containers (Unix seconds), None where there is none."""


def read(series: Series) -> Itself:
    """Its state."""
    return Itself(
        version=series.text(BUILD_INFO, "version"),
        started=series.one("process_start_time_seconds"),
        memory=series.one("process_resident_memory_bytes") or 0.0,
        events=series.sum(EVENTS),
        rejected=series.sum(EVENTS_REJECTED),
        dropped=series.sum(EVENTS_DROPPED),
        limited=series.sum(SERIES_LIMITED),
        lag=series.one(EVENT_LAG) or 0.0,
        backlog=series.one(EVENT_BACKLOG) or 0.0,
        collectors=len(series.all(COLLECTOR_SUCCESS)),
        supervised=series.one(LAST_CHECK),
    )


def failing(series: Series) -> Iterator[str]:
    """Collectors that did not answer, or not well."""
    return (labels["collector"] for labels, value in series.all(COLLECTOR_SUCCESS) if value != 1)


def troubles(itself: Itself | None, failing_collectors: tuple[str, ...], now: float) -> Iterator[str]:
    """What is wrong with the monitoring itself."""
    yield from (_("collector {name} fails: see app.log").format(name=name) for name in failing_collectors)
    if itself is not None and itself.supervised is not None and _stands_still(itself.supervised, now):
        yield _("the self-monitor last looked at its containers {time}").format(time=ago(itself.supervised, now))


def _stands_still(supervised: float, now: float) -> bool:
    return now - supervised > SUPERVISED_WITHIN


def table(itself: Itself, failing_collectors: tuple[str, ...], now: float) -> Table:
    """For people."""
    lost = [_("{count} could not be used").format(count=itself.rejected) if itself.rejected else ""]
    lost += [_("{count} were lost").format(count=itself.dropped) if itself.dropped else ""]
    lost += [_("{count} series gave way to others").format(count=itself.limited) if itself.limited else ""]
    note = ", ".join(filter(None, lost))
    good = itself.collectors - len(failing_collectors)
    collectors = Cell(_("{good} of {count} answer").format(good=good, count=itself.collectors))
    if failing_collectors:
        collectors = Cell(
            collectors.text, "bad", note=_("failing: {names}; see app.log").format(names=", ".join(failing_collectors))
        )
    waiting = _("{size} wait").format(size=size(itself.backlog)) if itself.backlog else ""
    rows = [
        (Cell(_("version")), Cell(itself.version or "–", note=size(itself.memory) if itself.memory else "")),
        (Cell(_("started")), when(itself.started, now)),
        (Cell(_("collectors")), collectors),
        (Cell(_("events counted")), Cell(str(itself.events), "warning" if note else "", note=note)),
        (Cell(_("behind by")), Cell(span(itself.lag), "warning" if itself.lag > SLOW else "", note=waiting)),
    ]
    if itself.supervised is not None:
        level: Level = "bad" if _stands_still(itself.supervised, now) else ""
        rows.append((Cell(_("self-monitor's last look")), when(itself.supervised, now, level)))
    return Table("exporter", _("The exporter itself"), (_("Exporter"), _("Now")), rows)
