"""Alerts raised with `send_alert`: those that have not ended, and those that have and are still to be wound up."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from vv_exporter.common.times import Deadline, UnixTime
from vv_exporter.metrics.alerts import RELAY_QUEUE
from vv_exporter.state.store import Kind, Transaction

SEVERITIES = ("info", "warning", "error", "critical")
Severity = Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(SEVERITIES)})$")]
"""One of `SEVERITIES`: a row of the database with another is set aside, since none could be weighed against it."""
MAX_ENDED = 1000
"""Ended alerts that wait for their end to be sent. More end at Alertmanager by themselves, at the time it was given;
what was opened directly at a pager does not, and gives way last."""


class OpenAlert(msgspec.Struct, frozen=True, omit_defaults=True):
    """One alert, with all its repeats, until `ends`.

    `delivered` is when Alertmanager first took it, 0 before: an alert does not end before that, unless it is `rejected`
    for what it says. `notified` is when a channel first took it from there, `direct` when it was handed to the direct
    way instead; `leased`: what Alertmanager has of it ends before it could be. People know of `announced_count` since
    `announced_at` (stored as `told`, `told_at`). `closed`: what was opened directly is closed, and `counted` when its
    last count was sent. `differing` repeats had other details, context or suggested actions than the first;
    `on_timeline` are the latest of these, as digests.

    By `occurrence` it differs from the same alert raised earlier, once that had ended: when it began, or, within the
    window, when the first with its component, severity and title did (Unix seconds), so that those are one incident.
    """

    id: str
    key: str
    severity: Severity
    title: str
    component: str
    first: UnixTime
    last: UnixTime
    ends: Deadline
    details: str = ""
    context: dict[str, str] = msgspec.field(default_factory=dict)
    suggested_actions: str = ""
    count: int = 1
    delivered: UnixTime = 0.0
    notified: UnixTime = 0.0
    direct: UnixTime = 0.0
    announced_count: int = msgspec.field(default=1, name="told")
    announced_at: UnixTime = msgspec.field(default=0.0, name="told_at")
    occurrence: float = 0.0
    rejected: UnixTime = 0.0
    closed: UnixTime = 0.0
    counted: UnixTime = 0.0
    differing: int = 0
    on_timeline: list[str] = msgspec.field(default_factory=list)
    leased: bool = False

    @property
    def identity(self) -> str:
        """What no other occurrence of any alert shares; that of older versions is its key."""
        return f"{self.key}-{self.occurrence_label}" if self.occurrence else self.key

    @property
    def occurrence_label(self) -> str:
        """The value of the label `occurrence`."""
        return f"{self.occurrence:.3f}" if self.occurrence else ""

    @property
    def reached_people(self) -> bool:
        """Whether somebody else sees to it that people hear of it."""
        return bool(self.delivered or self.direct)

    def has_ended(self, now: float) -> bool:
        """Whether its time is over."""
        return bool(self.delivered or self.rejected) and self.ends <= now


ALERTS: Kind[OpenAlert] = Kind("alert", OpenAlert)
"""Those that are open, by `key`."""
ENDED: Kind[OpenAlert] = Kind(
    "alert_ended", OpenAlert, MAX_ENDED, RELAY_QUEUE, importance=lambda alert: int(bool(alert.direct))
)
"""Those of which Alertmanager or a pager is still to get the end, or people the count, by `identity`."""


def severity_rank(severity: str) -> int:
    """How severe it is, the gravest highest; what has no severity counts as an error."""
    return SEVERITIES.index(severity if severity in SEVERITIES else "error")


def alert_key(component: str, title: str, severity: str, context: dict[str, str], dedupe_key: str) -> str:
    """What makes two alerts the same: 16 hexadecimal digits."""
    identity = [component, title, severity, dedupe_key or sorted(context.items())]
    return hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:16]


def end_alert(tx: Transaction, alert: OpenAlert) -> None:
    """Take it from the open alerts; the relay winds it up. If `ends` is in the future, it gave way before its time."""
    tx.delete(ALERTS, alert.key)
    if alert.direct or alert.delivered:
        tx.put(ENDED, alert.identity, alert)
