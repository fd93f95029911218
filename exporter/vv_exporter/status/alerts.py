"""Alerts, as Alertmanager holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from vv_exporter.common.clock import moment
from vv_exporter.delivery.notifications import shown_id
from vv_exporter.state.openalerts import SEVERITIES


class FiringAlert(msgspec.Struct, frozen=True):
    """An alert that Alertmanager holds as firing. `since` is RFC 3339.

    `silenced` by somebody, or `inhibited` by another alert that says more: then it is not notified.
    """

    name: str
    severity: str
    component: str
    summary: str
    description: str
    suggested_actions: str
    since: str
    runbook_url: str
    silenced: bool = False
    inhibited: bool = False
    subject: dict[str, str] = msgspec.field(default_factory=dict)
    video: str = ""
    video_sha256: str = ""
    error: str = ""
    alert_id: str = ""

    @property
    def started(self) -> float:
        """`since` as Unix seconds."""
        return moment(self.since) or 0.0


_GENERAL = ("alertname", "severity", "component", "device", "title", "alert_key", "occurrence")


def firing(alerts: Iterable[Mapping[str, Any]]) -> tuple[FiringAlert, ...]:
    """Those that people are told of, the most urgent first; what is not notified comes last."""
    shown = (alert for alert in map(_firing_alert, alerts) if alert.severity in SEVERITIES)
    return tuple(sorted(shown, key=_urgency_order))


def _firing_alert(alert: Mapping[str, Any]) -> FiringAlert:
    labels, notes, state = alert["labels"], alert["annotations"], alert["status"]
    inhibited = bool(state.get("inhibitedBy"))
    return FiringAlert(
        name=labels.get("alertname", "?"),
        severity=labels.get("severity", "error"),
        component=labels.get("component", ""),
        summary=notes.get("summary", labels.get("alertname", "?")),
        description=notes.get("description", ""),
        suggested_actions=notes.get("suggested_actions", ""),
        since=alert["startsAt"],
        runbook_url=notes.get("runbook_url", ""),
        silenced=bool(state.get("silencedBy")) or (state["state"] == "suppressed" and not inhibited),
        inhibited=inhibited,
        subject={name: value for name, value in labels.items() if name not in _GENERAL},
        video=notes.get("video", ""),
        video_sha256=notes.get("video_sha256", ""),
        error=notes.get("error", ""),
        alert_id=shown_id(notes, alert.get("fingerprint", ""), alert["startsAt"]),
    )


def _urgency_order(alert: FiringAlert) -> tuple[bool, int, str]:
    return alert.silenced or alert.inhibited, -SEVERITIES.index(alert.severity), alert.since
