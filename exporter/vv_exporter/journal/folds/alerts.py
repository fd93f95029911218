"""Alerts that scripts raise: repeats of an open alert are counted, not told again."""

from __future__ import annotations

import msgspec

from vv_exporter.failures import MAX_ERROR, MAX_NAME, Failure, remember, shorten
from vv_exporter.journal.events import AlertRaised
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.metrics.alerts import ALERT_EVENTS, ALERT_SUPPRESSED
from vv_exporter.openalerts import ALERTS, SEVERITIES, OpenAlert, alert_key
from vv_exporter.settings import Settings
from vv_exporter.store import Transaction
from vv_exporter.timeline import Entry, tell

MAX_OPEN = 1000


def raised(tx: Transaction, event: AlertRaised, source: Source, settings: Settings) -> None:
    """Open an alert, or count a repeat and let the alert last longer."""
    severity = event.level.lower() if event.level.lower() in SEVERITIES else "error"
    component = event.component or source.component
    tx.inc(ALERT_EVENTS, (component, severity))
    key = alert_key(component, event.title, severity, event.context, event.dedupe_key)
    known = tx.get(ALERTS, key)
    ends = max(event.ts, tx.now) + settings.alert_window
    if known is not None:
        tx.inc(ALERT_SUPPRESSED, (component, severity))
        last = max(known.last, event.ts)
        ends = max(known.ends, ends)
        tx.put(ALERTS, key, msgspec.structs.replace(known, count=known.count + 1, last=last, ends=ends))
        return
    if tx.count(ALERTS) >= MAX_OPEN:
        tx.inc(ALERT_SUPPRESSED, (component, severity))
        return
    tx.put(
        ALERTS,
        key,
        OpenAlert(
            id=event.id,
            key=key,
            severity=severity,
            title=event.title,
            component=component,
            first=event.ts,
            last=event.ts,
            ends=ends,
            details=event.details,
            context=event.context,
            suggested_actions=event.suggested_actions,
        ),
    )
    tell(tx, event.ts, _told(event, severity, component))
    if severity in ("error", "critical"):
        remember(
            tx,
            Failure(
                component=component,
                kind="alert",
                time=event.ts,
                video=shorten(event.context.get("video", ""), MAX_NAME),
                video_sha256=shorten(event.context.get("video_sha256", ""), 64),
                error=shorten(event.title, MAX_ERROR),
                alert_id=shorten(event.id, 64),
            ),
        )


def _told(event: AlertRaised, severity: str, component: str) -> Entry:
    """For the timeline."""
    return Entry(
        kind="alert.raised",
        title=event.title,
        severity=severity,
        component=component,
        details="\n".join([event.details, *(f"{name}: {value}" for name, value in event.context.items())]),
        video=event.context.get("video", ""),
        video_sha256=event.context.get("video_sha256", ""),
        alert_id=event.id,
    )


HANDLERS: dict[type, Handler] = {AlertRaised: raised}
