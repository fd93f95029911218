"""An alert in the terms of Alertmanager's API (https://prometheus.io/docs/alerting/latest/alerts_api/)."""

from __future__ import annotations

from typing import Any

from vv_core.common import texts
from vv_exporter.common.clock import isoformat
from vv_exporter.language import ngettext
from vv_exporter.state.openalerts import OpenAlert

HELD = 5.0
"""Seconds for which Alertmanager holds an alert beyond its end, so that a repeat at the last moment gets there before.
Otherwise it would take the repeat for the same alert that fires again, and tell nobody."""
REPEATS_SHOWN = 120.0  # seconds: until Alertmanager has notified of it
QUOTED = ("video", "video_id", "video_sha256")
NAMED_APART = ("video", "video_sha256")


def payload(alert: OpenAlert, device: str, runbook_url: str, generator_url: str) -> dict[str, Any]:
    """The alert as VVEvent: what identifies it as labels, everything else as annotations."""
    annotations = {
        "summary": alert.title,
        "description": description(alert),
        "suggested_actions": alert.suggested_actions,
        "alert_id": alert.id,
        "hostname": device,
        "timestamp": isoformat(alert.first),
        "count": str(alert.count),
        "runbook_url": runbook_url,
        **{name: alert.context[name] for name in QUOTED if name in alert.context},
    }
    return {
        "labels": labels_of(alert, device),
        "annotations": {name: texts.escaped(value) for name, value in annotations.items() if value},
        "startsAt": isoformat(alert.first),
        "endsAt": isoformat(alert.ends + HELD),
        "generatorURL": generator_url,
    }


def labels_of(alert: OpenAlert, device: str) -> dict[str, str]:
    """What identifies it, and how it is routed."""
    return {
        "alertname": "VVEvent",
        "severity": alert.severity,
        "component": texts.escaped(alert.component) or "unknown",
        "device": device,
        "title": texts.escaped(alert.title),
        "alert_key": alert.key,
        **({"occurrence": alert.occurrence_label} if alert.occurrence else {}),
        **({"told": "direct"} if alert.direct else {}),
    }


def repeats(alert: OpenAlert, device: str, runbook_url: str, generator_url: str, now: float) -> dict[str, Any]:
    """What says that an alert was repeated: an alert of its own for a moment, with the label `repeats`."""
    repeated = payload(alert, device, runbook_url, generator_url)
    repeated["labels"] |= {"repeats": str(alert.count - 1)}
    repeated["annotations"] |= {"summary": f"{alert.title} ({_repeats_text(alert)})"}
    return repeated | {"startsAt": isoformat(now), "endsAt": isoformat(now + REPEATS_SHOWN)}


def description(alert: OpenAlert) -> str:
    """Its details, its context but for the video, which each channel names by itself, and how often it was repeated."""
    lines = [alert.details] if alert.details else []
    lines += [f"{name}: {value}" for name, value in alert.context.items() if name not in NAMED_APART]
    if alert.count > 1:
        lines.append(_repeated_since(alert))
    return "\n".join(lines)


def _repeats_text(alert: OpenAlert) -> str:
    repeats = alert.count - 1
    return ngettext("repeated once", "repeated {count} times", repeats).format(count=repeats)


def _repeated_since(alert: OpenAlert) -> str:
    """How often and since when; how many of the repeats said something else, and where that is."""
    repeats, since = alert.count - 1, isoformat(alert.first)
    if not alert.differing:
        return ngettext("repeated once since {since}", "repeated {count} times since {since}", repeats).format(
            count=repeats, since=since
        )
    return ngettext(
        "repeated once since {since}, with other details (in the timeline)",
        "repeated {count} times since {since}, {differing} of them with other details (in the timeline)",
        repeats,
    ).format(count=repeats, since=since, differing=alert.differing)
