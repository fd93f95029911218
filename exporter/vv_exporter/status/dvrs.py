"""DVRs, as the agent and the exporter's own probe see them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

import msgspec

from vv_exporter.language import gettext as _
from vv_exporter.language import ngettext, translatable
from vv_exporter.metrics.dvr import (
    DVR_AGENT_UP,
    DVR_CONSECUTIVE_FAILURES,
    DVR_DOWN_SINCE,
    DVR_HELD_BACK,
    DVR_LAST_FRAME,
    DVR_LAST_RESULT,
    DVR_UP,
)
from vv_exporter.metrics.thresholds import DVR_FAILURES
from vv_exporter.status.series import Series
from vv_exporter.status.table import Cell, Table, clock, when

AGENT_PROCESS = translatable("process of the agent")
SOURCES = (translatable("agent"), translatable("probe"))


class Dvr(msgspec.Struct, frozen=True):
    """A DVR from one source. Times are Unix seconds. `unreachable`: it failed as often as that counts.

    Since `held_back` user and password are not sent any more.
    """

    name: str
    source: str
    up: bool
    result: str
    failures: int
    down_since: float | None
    last_frame: float | None
    unreachable: bool = False
    held_back: float | None = None


def read(series: Series) -> Iterator[Dvr]:
    """All DVRs, from each source that knows of them."""
    enough = series.one(DVR_FAILURES) or 1
    for labels, up in series.all(DVR_UP):
        dvr, source = labels["dvr"], labels["source"]
        failures = int(series.one(DVR_CONSECUTIVE_FAILURES, dvr=dvr, source=source) or 0)
        yield Dvr(
            name=dvr,
            source=source,
            up=up == 1,
            result=series.text(DVR_LAST_RESULT, "result", dvr=dvr, source=source),
            failures=failures,
            down_since=series.one(DVR_DOWN_SINCE, dvr=dvr, source=source) or None,
            last_frame=series.one(DVR_LAST_FRAME, dvr=dvr) or None,
            unreachable=up != 1 and failures >= enough,
            held_back=series.one(DVR_HELD_BACK, dvr=dvr, source=source) or None,
        )
    for labels, up in series.all(DVR_AGENT_UP):
        if up != 1:
            last_frame = series.one(DVR_LAST_FRAME, dvr=labels["dvr"]) or None
            yield Dvr(labels["dvr"], AGENT_PROCESS, False, "killed", 0, None, last_frame, unreachable=True)


def troubles(dvrs: Sequence[Dvr]) -> Iterator[str]:
    """What is wrong with DVRs."""
    for one in dvrs:
        if one.unreachable and one.source == AGENT_PROCESS:
            yield _("the agent of DVR {name} was killed, and nothing is recorded").format(name=one.name)
        elif one.held_back:
            yield _(
                "DVR {name} refused the login of the {source}, which is held back: correct user and password, "
                "or {command}"
            ).format(name=one.name, source=_(one.source), command=f"`vv dvr login {shlex.quote(one.name)}`")
        elif one.unreachable:
            yield _("DVR {name} gives no stream ({result}), says the {source}").format(
                name=one.name, result=one.result, source=_(one.source)
            )


def table(dvrs: Sequence[Dvr], now: float) -> Table:
    """For people; those that are down first."""
    ordered = sorted(dvrs, key=lambda one: (one.up, one.name, one.source))
    columns = (_("DVR"), _("Seen by"), _("State"), _("Since"), _("Last frame"))
    return Table("dvrs", _("DVRs"), columns, [_dvr_row(one, now) for one in ordered])


def _dvr_row(one: Dvr, now: float) -> tuple[Cell, ...]:
    failures = (
        ngettext("{count} failed attempt in a row", "{count} failed attempts in a row", one.failures).format(
            count=one.failures
        )
        if one.failures
        else ""
    )
    down = Cell(
        _("down: {result}").format(result=one.result),
        "bad" if one.unreachable or one.held_back else "warning",
        note=failures,
    )
    if one.held_back:
        down = Cell(
            _("login held back"),
            "bad",
            note=_("refused, and not sent since {time}").format(time=clock(one.held_back, now)),
        )
    since = when(one.down_since, now) if one.down_since else Cell("–", "muted")
    return (
        Cell(one.name),
        Cell(_(one.source)),
        Cell(_("up"), "good") if one.up else down,
        since,
        when(one.last_frame, now),
    )
