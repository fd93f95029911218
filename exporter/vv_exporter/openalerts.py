"""Alerts raised with `send_alert` that have not ended."""

from __future__ import annotations

import hashlib

import msgspec

from vv_exporter.store import Kind

SEVERITIES = ("info", "warning", "error", "critical")


class OpenAlert(msgspec.Struct, frozen=True, omit_defaults=True):
    """One alert, with all its repeats, until `ends`.

    `delivered` is when Alertmanager first took it, 0 before: an alert does not end before it is delivered. `notified`
    is when a channel first took it from there, `direct` when it was handed to the direct way instead. People know of a
    count of `told`, since `told_at`.
    """

    id: str
    key: str
    severity: str
    title: str
    component: str
    first: float
    last: float
    ends: float
    details: str = ""
    context: dict[str, str] = msgspec.field(default_factory=dict)
    suggested_actions: str = ""
    count: int = 1
    delivered: float = 0.0
    notified: float = 0.0
    direct: float = 0.0
    told: int = 1
    told_at: float = 0.0


ALERTS: Kind[OpenAlert] = Kind("alert", OpenAlert)


def alert_key(component: str, title: str, severity: str, context: dict[str, str], dedupe_key: str) -> str:
    """What makes two alerts the same: 16 hexadecimal digits."""
    identity = [component, title, severity, dedupe_key or sorted(context.items())]
    return hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:16]
