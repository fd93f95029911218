"""A drill as it is shown: what `GET /api/v1/drills` answers and `vv drill` prints."""

from __future__ import annotations

import msgspec

from vv_exporter.drills.state import Drill


class ChannelReport(msgspec.Struct, frozen=True):
    """What became of it at a channel: `state` is waiting, accepted (after `seconds`) or failed (`reason`, `cure`)."""

    channel: str
    severity: str
    state: str
    seconds: float | None = None
    reason: str = ""
    cure: str = ""


class DrillReport(msgspec.Struct, frozen=True):
    """One drill. Times are Unix seconds; `reached` is when Alertmanager had it, None: not yet. `refused`: why not."""

    id: str
    started: float
    ends: float
    counted: float
    reached: float | None
    ended: float | None
    channels: tuple[ChannelReport, ...]
    refused: str = ""


class Drills(msgspec.Struct, frozen=True):
    """The last ones, the newest first."""

    drills: tuple[DrillReport, ...]


def report(drill: Drill) -> DrillReport:
    """It as it is now."""
    return DrillReport(
        id=drill.id,
        started=drill.started,
        ends=drill.ends,
        counted=drill.counted,
        reached=drill.reached or None,
        ended=drill.ended or None,
        channels=tuple(_channel_report(drill, name, severity) for name, severity in drill.channels.items()),
        refused=drill.refused,
    )


def _channel_report(drill: Drill, name: str, severity: str) -> ChannelReport:
    if name in drill.accepted:
        return ChannelReport(name, severity, "accepted", drill.seconds(name))
    if name in drill.failed:
        why = drill.failed[name]
        return ChannelReport(name, severity, "failed", None, why.reason, why.cure)
    return ChannelReport(name, severity, "waiting")
