"""The way of alerts to people: whether it is whole, which nothing else here can be trusted without."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from vv_exporter.alert_path.message import explained
from vv_exporter.alert_path.state import PathState
from vv_exporter.channels import deadman
from vv_exporter.common.clock import span
from vv_exporter.language import gettext as _
from vv_exporter.metrics.alert_path import LAST_BEAT, LATENCY
from vv_exporter.metrics.drills import NEXT_DUE, PROOF_DUE, PROVEN, PROVEN_SECONDS
from vv_exporter.status.series import Series
from vv_exporter.status.table import Cell, Level, Table, ago, clock, when


class Proven(msgspec.Struct, frozen=True):
    """When a channel last took a drill (Unix seconds, None: never), and after how many seconds; by when it is to do so
    again, None where that is not asked for."""

    channel: str
    time: float | None
    seconds: float | None
    due: float | None = None


class AlertPath(msgspec.Struct, frozen=True):
    """`state`: `works`, `broken` or `unknown`. While it is broken, `hop` and `reason` say where a beat stops, since
    `since`. `last_beat` is when one last came back (Unix seconds), `latency` how old it was then (seconds).

    `deadman_set`: whether a dead man's switch is configured, by which people outside learn that the device is off.
    `proven` has every channel; `next_drill` is when the next drill of VV_DRILL_AT is due.
    """

    state: str
    hop: str = ""
    reason: str = ""
    since: float | None = None
    last_beat: float | None = None
    latency: float | None = None
    deadman_set: bool = True
    proven: tuple[Proven, ...] = ()
    next_drill: float | None = None


def read(series: Series, verdict: PathState | None, deadman_set: bool) -> AlertPath | None:
    """Its state; None where nobody watches it."""
    if verdict is None:
        return None
    return AlertPath(
        state="broken" if verdict.is_broken else "works" if verdict.closed else "unknown",
        hop=verdict.hop,
        reason=explained(verdict) if verdict.is_broken else "",
        since=verdict.since or None,
        last_beat=series.one(LAST_BEAT) or None,
        latency=series.one(LATENCY),
        deadman_set=deadman_set,
        proven=tuple(_channel_proof(series, name) for name in series.names("channel", PROVEN)),
        next_drill=series.one(NEXT_DUE),
    )


def _channel_proof(series: Series, channel: str) -> Proven:
    return Proven(
        channel,
        series.one(PROVEN, channel=channel) or None,
        series.one(PROVEN_SECONDS, channel=channel),
        series.one(PROOF_DUE, channel=channel),
    )


def troubles(path: AlertPath | None, now: float) -> Iterator[str]:
    """What makes all the rest doubtful."""
    if path is None:
        return
    if path.state == "broken":
        since = span(now - (path.since or now))
        yield _("critical: the alert path is broken since {since}: {hop} ({reason}); alerts are not delivered").format(
            since=since, hop=_(path.hop), reason=path.reason
        )
    elif path.state == "unknown":
        yield _("not known yet whether alerts are delivered: no Watchdog alert has come back through Alertmanager")


def table(path: AlertPath, now: float) -> Table:
    """For people."""
    beat = when(path.last_beat, now) if path.last_beat else Cell(_("none since the exporter started"), "muted")
    took = Cell("–" if path.latency is None else span(path.latency))
    verdict = {
        "works": Cell(_("works"), "good"),
        "broken": Cell(_("broken: {hop}").format(hop=_(path.hop)), "bad", path.reason),
        "unknown": Cell(_("not known"), "warning", _("no Watchdog alert has come back yet")),
    }[path.state]
    off = (
        Cell(_("reported by the dead man's switch"))
        if path.deadman_set
        else Cell(_("reported by nobody"), "warning", _(deadman.UNSET))
    )
    rows = [
        (Cell(_("alerts of rules are delivered")), verdict),
        (Cell(_("last Watchdog that came back")), beat),
        (Cell(_("it took")), took),
        (Cell(_("that the device is off")), off),
    ]
    if path.since:
        rows.insert(1, (Cell(_("broken since")), Cell(ago(path.since, now), "bad")))
    rows += [
        (Cell(_("proven by a drill: {channel}").format(channel=one.channel)), _proof_cell(one, now))
        for one in path.proven
    ]
    if path.next_drill is not None:
        rows.append((Cell(_("next drill")), Cell(clock(path.next_drill, now))))
    return Table("alert-path", _("The alert path"), (_("Alert path"), _("Now")), rows)


def _proof_cell(one: Proven, now: float) -> Cell:
    level: Level = "warning" if one.due is not None and one.due < now else "" if one.time else "muted"
    if not one.time:
        return Cell(_("never"), level, _("try it: {command}").format(command=f"vv drill --channel {one.channel}"))
    return when(one.time, now, level)._replace(note=_("it took {time}").format(time=span(one.seconds or 0.0)))
