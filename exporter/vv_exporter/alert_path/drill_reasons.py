"""Why a channel has not taken a drill in time, as a pure function of what is known."""

from __future__ import annotations

from typing import NamedTuple

from vv_exporter.alert_path.hops import Hop
from vv_exporter.alert_path.message import explained
from vv_exporter.alert_path.state import PathState
from vv_exporter.common.clock import span
from vv_exporter.delivery.channel_health import Channel
from vv_exporter.drills.failure import Failure, ask_provider
from vv_exporter.drills.state import Drill


class Known(NamedTuple):
    """What is known when the time is over: of the alert path, of the channel, whether Alertmanager reports at all what
    channels take, and whether the quiet hours keep it from this channel now."""

    path: PathState | None
    channel: Channel
    reports: bool
    is_quiet: bool


def out_of_time(drill: Drill, channel: str, known: Known) -> Failure:
    """The time is over. What was not heard of is not known; only what is known is said."""
    if known.path is not None and known.path.is_broken and not drill.accepted:
        why = f"the alert path is broken ({explained(known.path)})"
        if known.path.hop == Hop.DELIVER:
            why += ": whether it was taken is not known"
        return Failure(why, "vv status; then the runbook AlertPathBroken")
    if not drill.reached and not drill.accepted:
        return Failure(
            "Alertmanager reported nothing of it: Prometheus may run other rules or an older configuration",
            "render its rules and Alertmanager's routes again: vv config render --out DIR; then reload both",
        )
    if known.is_quiet:
        return Failure(
            "the quiet hours (VV_QUIET_HOURS) keep warnings from it now",
            "drill outside of them, or: vv drill --severity critical",
        )
    if known.channel.tried > drill.counted:
        return Failure("Alertmanager's tries fail, and it goes on trying", ask_provider(channel))
    if not known.reports and channel != "webhook":
        return Failure(
            "Alertmanager does not report what channels take, so it is not known whether this one did",
            "run Alertmanager with --enable-feature=event-recorder,receiver-name-in-metrics",
        )
    return Failure(f"it was not taken within {span(drill.ends - drill.started)}", ask_provider(channel))
