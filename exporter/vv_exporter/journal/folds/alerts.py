"""Alerts that scripts raise: repeats of an open one are counted, not told again; after its end it is new.

What a repeat says that the first did not is kept: on the timeline, each thing once as far as `MAX_REMEMBERED` go.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping
from weakref import WeakKeyDictionary

import msgspec

from vv_exporter.journal.events import AlertRaised
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.alerts import ALERT_EVENTS, ALERT_SUPPRESSED
from vv_exporter.settings import Settings
from vv_exporter.state.dropped import drop_alert
from vv_exporter.state.failures import MAX_ERROR, MAX_NAME, Failure, remember, shorten
from vv_exporter.state.openalerts import ALERTS, SEVERITIES, OpenAlert, alert_key, end_alert
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

MAX_OPEN = 1000
MAX_REMEMBERED = 32
"""Contents of repeats that an alert remembers; one that was forgotten comes on the timeline again."""


def raised(tx: Transaction, event: AlertRaised, source: Source, settings: Settings) -> None:
    """Open an alert, or count a repeat and let the alert last longer."""
    severity = event.level.lower() if event.level.lower() in SEVERITIES else "error"
    component = event.component or source.component
    tx.inc(ALERT_EVENTS, (component, severity))
    key = alert_key(component, event.title, severity, event.context, event.dedupe_key)
    ends = max(event.ts, tx.now) + settings.alert_window
    known = tx.get(ALERTS, key)
    if known is not None and not known.has_ended(tx.now):
        tx.inc(ALERT_SUPPRESSED, (component, severity))
        _count_repeat(tx, known, event, ends)
        return
    open_alerts = _open_alerts(tx)
    if known is not None:  # the relay has not come to it yet
        end_alert(tx, known)
        open_alerts.count -= 1
    alert = OpenAlert(
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
    )
    if _make_room(tx, open_alerts, alert):
        occurrence = open_alerts.occurrence(alert, tx.now, settings.alert_window)
        open_alerts.add(alert, occurrence)
        tx.put(ALERTS, key, msgspec.structs.replace(alert, occurrence=occurrence))
    add_to_timeline(tx, event.ts, _raised_entry(alert))
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


def _count_repeat(tx: Transaction, known: OpenAlert, event: AlertRaised, ends: float) -> None:
    """Count a repeat, and keep what it says that the first did not."""
    differing, on_timeline = known.differing, known.on_timeline
    if _content_of(event) != _content_of(known):
        differing += 1
        digest = hashlib.sha256(msgspec.json.encode(_content_of(event))).hexdigest()[:8]
        if digest not in on_timeline:
            on_timeline = [*on_timeline[1 - MAX_REMEMBERED :], digest]
            add_to_timeline(tx, event.ts, _repeated_entry(known, event))
    repeated = msgspec.structs.replace(
        known,
        count=known.count + 1,
        last=max(known.last, event.ts),
        ends=max(known.ends, ends),
        differing=differing,
        on_timeline=on_timeline,
    )
    tx.put(ALERTS, known.key, repeated)


def _content_of(alert: AlertRaised | OpenAlert) -> tuple[str, list[tuple[str, str]], str]:
    """What is not part of the key of every alert."""
    return alert.details, sorted(alert.context.items()), alert.suggested_actions


class _OpenAlerts:
    """What is open while a transaction lasts, so that very many new alerts do not each look through all others."""

    def __init__(self, alerts: Mapping[str, OpenAlert]) -> None:
        self.count = 0
        self._by_importance: list[tuple[tuple[int, bool, float], str]] = []
        self._incidents: dict[tuple[str, str, str], float] = {}
        for alert in alerts.values():
            self.add(alert, alert.occurrence)

    def add(self, alert: OpenAlert, occurrence: float) -> None:
        """One is open."""
        self.count += 1
        heapq.heappush(self._by_importance, (_importance_of(alert), alert.key))
        self._incidents[_incident_of(alert)] = max(occurrence, self._incidents.get(_incident_of(alert), 0.0))

    def least(self, tx: Transaction) -> OpenAlert | None:
        """The least important; None if all have ended."""
        while self._by_importance:
            importance, key = self._by_importance[0]
            alert = tx.get(ALERTS, key)
            if alert is not None and _importance_of(alert) == importance:
                return alert
            heapq.heappop(self._by_importance)  # it has ended
        return None

    def occurrence(self, alert: OpenAlert, now: float, window: float) -> float:
        """Alerts with one title that begin within the window belong together: a pager rings once for them.

        An alert lasts for the window at least, so it never comes to belong to the incident in which it was before.
        """
        begun = self._incidents.get(_incident_of(alert), 0.0)
        return begun if 0 <= now - begun < window else now


_open_by_transaction: WeakKeyDictionary[Transaction, _OpenAlerts] = WeakKeyDictionary()


def _open_alerts(tx: Transaction) -> _OpenAlerts:
    found = _open_by_transaction.get(tx)
    if found is None:
        found = _open_by_transaction[tx] = _OpenAlerts(tx.docs(ALERTS))
    return found


def _incident_of(alert: OpenAlert) -> tuple[str, str, str]:
    return alert.component, alert.severity, alert.title


def _make_room(tx: Transaction, open_alerts: _OpenAlerts, alert: OpenAlert) -> bool:
    """Have the least important alert give way where there are too many; false when that is the new one itself."""
    least = open_alerts.least(tx) if open_alerts.count >= MAX_OPEN else None
    if least is None:
        return True
    least = min(least, alert, key=_importance_of)
    if least.reached_people:
        title = sentence("Ended early, since more alerts are open than are kept: {title}", title=least.title)
        add_to_timeline(tx, tx.now, Entry("alert.gave_way", title, component=least.component, alert_id=least.id))
    else:
        drop_alert(tx, least, sentence("more are open than are kept"))
    if least is alert:
        return False
    end_alert(tx, least)
    open_alerts.count -= 1
    return True


def _importance_of(alert: OpenAlert) -> tuple[int, bool, float]:
    """The first to give way is the oldest of the lowest severity, those before others whose loss nobody notices."""
    return SEVERITIES.index(alert.severity), not alert.reached_people, alert.first


def _raised_entry(alert: OpenAlert) -> Entry:
    """For the timeline."""
    return Entry(
        kind="alert.raised",
        title=alert.title,
        severity=alert.severity,
        component=alert.component,
        details="\n".join([alert.details, *(f"{name}: {value}" for name, value in alert.context.items())]),
        video=alert.context.get("video", ""),
        video_sha256=alert.context.get("video_sha256", ""),
        alert_id=alert.id,
    )


def _repeated_entry(alert: OpenAlert, event: AlertRaised) -> Entry:
    """For the timeline, under the alert's own id: what this repeat says."""
    details = event.details
    if event.suggested_actions != alert.suggested_actions:
        details += f"\nsuggested actions: {event.suggested_actions or 'none'}"
    repeated = msgspec.structs.replace(alert, details=details, context=event.context)
    title = sentence("Repeated: {title}", title=alert.title)
    return msgspec.structs.replace(_raised_entry(repeated), kind="alert.repeated", title=title)


HANDLERS: dict[type, Handler] = {AlertRaised: raised}
