"""Why a channel did not take a drill, and what to do about it, as pure functions of what is known."""

from __future__ import annotations

from typing import NamedTuple

from vv_exporter._clock import span
from vv_exporter.alert_path.message import explained
from vv_exporter.alert_path.state import PathState
from vv_exporter.channels import Channel
from vv_exporter.drills.state import Drill


class Known(NamedTuple):
    """What is known when the time is over: of the alert path, of the channel, whether Alertmanager reports at all what
    channels take, and whether the quiet hours keep it from this channel now."""

    path: PathState | None
    channel: Channel
    reports: bool
    is_quiet: bool


def reason(drill: Drill, known: Known) -> str:
    """Why, as a clause."""
    if not drill.reached and not drill.accepted:
        if known.path is not None and known.path.is_broken:
            return f"it did not get to Alertmanager: the alert path is broken ({explained(known.path)})"
        return "Alertmanager did not get it: Prometheus may run other rules or an older configuration"
    if known.is_quiet:
        return "the quiet hours (VV_QUIET_HOURS) keep warnings from it now"
    if known.channel.tried > drill.counted:
        return "Alertmanager's tries fail, and it goes on trying"
    if not known.reports:
        return "Alertmanager does not report what channels take, so it is not known whether this one did"
    return f"it was not taken within {span(drill.ends - drill.started)}"


def cure(channel: str, why: str) -> str:
    """What to do about it, as a command or a line."""
    for words, action in _CURES:
        if words in why:
            return action
    return f"vv notify test --channel {channel}"


_CURES = (
    ("silence", "end the silence (Silences in Alertmanager, or `amtool silence query`) and drill again"),
    ("alert path", "vv status; then the runbook AlertPathBroken"),
    ("did not get it", "write its rules and Alertmanager's routes anew: vv config render --out DIR; then reload both"),
    ("quiet hours", "drill outside of them, or: vv drill --severity critical"),
    ("does not report", "run Alertmanager with --enable-feature=event-recorder,receiver-name-in-metrics"),
    ("webhook", "grep 'webhook: ' app.log; then the runbook WebhookFailing"),
)
