"""Alerts that nobody is told of: each is counted, and stands on the timeline and in app.log with all that it said."""

from __future__ import annotations

import logging

from vv_exporter.language.sentences import Sentence, sentence
from vv_exporter.metrics.alerts import ALERTS_DROPPED
from vv_exporter.state.openalerts import SEVERITIES, OpenAlert
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline, shortened

log = logging.getLogger("alerts")

MAX_LINE = 4000  # characters in app.log


def drop_alert(tx: Transaction, alert: OpenAlert, why: Sentence) -> None:
    """Give up an alert of a script."""
    context = [f"{name}: {value}" for name, value in alert.context.items()]
    entry = Entry(
        kind="alert.dropped",
        title=sentence("Alert dropped, {why}: {title}", why=why, title=alert.title),
        severity=alert.severity,
        component=alert.component,
        details="\n".join([alert.details, *context]),
        video=alert.context.get("video", ""),
        video_sha256=alert.context.get("video_sha256", ""),
        alert_id=alert.id,
    )
    record_drop(tx, entry)


def record_drop(tx: Transaction, entry: Entry) -> None:
    """Count what is given up by its severity, and say so."""
    severity = entry.severity if entry.severity in SEVERITIES else "error"
    tx.inc(ALERTS_DROPPED, (severity,))
    add_to_timeline(tx, tx.now, entry)
    said = f"{entry.title} | {entry.details} | component={entry.component} alert_id={entry.alert_id}"
    level = logging.getLevelNamesMapping()[severity.upper()]
    log.log(level, "ALERT DROPPED %s: %s", severity.upper(), " ".join(shortened(said, MAX_LINE).split()))
