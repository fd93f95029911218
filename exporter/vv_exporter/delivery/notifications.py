"""What the exporter gets of each notification that Alertmanager sends: a line in app.log, a count, an entry of history.

The format is Alertmanager's webhook, version 4
(https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from vv_exporter.common.clock import isoformat, moment, span
from vv_exporter.common.times import UnixTime
from vv_exporter.common.untrusted import decode_untrusted
from vv_exporter.delivery import accounts
from vv_exporter.drills.state import is_drill, reach_alertmanager
from vv_exporter.language.sentences import Sentence, sentence
from vv_exporter.metrics.alerts import NOTIFICATIONS_LOGGED
from vv_exporter.state.openalerts import SEVERITIES
from vv_exporter.state.store import Kind, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline, shortened

HISTORY = "notification"
LEVELS = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
}
STATUSES = ("firing", "resolved")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
QUOTED = ("summary", "description", "suggested_actions", "video", "video_sha256", "error", "alert_id", "runbook_url")


class NotifiedAlert(msgspec.Struct, frozen=True, rename="camel"):
    """One alert of a notification; times are RFC 3339."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    starts_at: str = ""
    ends_at: str = ""
    fingerprint: str = ""

    @property
    def severity(self) -> str:
        """One of the severities; what has none of them is shown as an error."""
        severity = self.labels.get("severity", "")
        return severity if severity in SEVERITIES else "error"


class Notification(msgspec.Struct, frozen=True, rename="camel"):
    """What Alertmanager posts."""

    alerts: tuple[NotifiedAlert, ...]
    group_key: str = ""
    receiver: str = ""
    external_url: str = msgspec.field(default="", name="externalURL")


class _Posted(msgspec.Struct, frozen=True, rename="camel"):
    """The same, its alerts as they came."""

    alerts: tuple[msgspec.Raw, ...]
    group_key: str = ""
    receiver: str = ""
    external_url: str = msgspec.field(default="", name="externalURL")


class LogLine(NamedTuple):
    """A line for app.log and its level of `logging`."""

    level: int
    text: str


class Notified(msgspec.Struct, frozen=True):
    """What was last added to the timeline of an alert that fires, and when (Unix seconds)."""

    status: str
    starts_at: str
    time: UnixTime = 0.0


class LastNotification(msgspec.Struct, frozen=True):
    """When the last one came, in Unix seconds."""

    time: UnixTime


LAST: Kind[LastNotification] = Kind("last_notification", LastNotification)
NOTIFIED: Kind[Notified] = Kind("notified_alert", Notified)
MAX_NOTIFIED = 2000
MAX_QUOTED = 1000  # characters of an alert that cannot be read

_decoder = msgspec.json.Decoder(_Posted)
_alert_decoder = msgspec.json.Decoder(NotifiedAlert)
_lenient_decoder = msgspec.json.Decoder(dict[str, Any])


def parse(body: bytes) -> Notification:
    """Read a webhook's body. Raises `ValueError` when it is none.

    An odd alert costs no other: of one that is not as it should be there is what can be read of it.
    """
    try:
        posted = decode_untrusted(_decoder, body)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a notification of Alertmanager: {error}") from error
    return Notification(tuple(map(_parse_alert, posted.alerts)), posted.group_key, posted.receiver, posted.external_url)


def _parse_alert(raw: msgspec.Raw) -> NotifiedAlert:
    try:
        return decode_untrusted(_alert_decoder, raw)
    except msgspec.MsgspecError as error:
        return _salvage_alert(raw, str(error))


def _salvage_alert(raw: msgspec.Raw, why: str) -> NotifiedAlert:
    """What can be read of an alert of another shape; at the least that there was one."""
    try:
        given = decode_untrusted(_lenient_decoder, raw)
    except msgspec.MsgspecError:
        given = {}
    labels, annotations = _plain_texts(given.get("labels")), _plain_texts(given.get("annotations"))
    labels.setdefault("alertname", "UnreadableAlert")
    said = shortened(bytes(raw).decode(errors="replace"), MAX_QUOTED)
    annotations.setdefault("summary", f"{labels['alertname']} (Alertmanager sent it in another form: {why})")
    annotations.setdefault("description", said)
    texts = _plain_texts(given)
    return NotifiedAlert(
        status=texts.get("status", "firing"),
        labels=labels,
        annotations=annotations,
        starts_at=texts.get("startsAt", ""),
        ends_at=texts.get("endsAt", ""),
        fingerprint=texts.get("fingerprint", ""),
    )


def _plain_texts(given: Any) -> dict[str, str]:
    """The entries of a mapping whose values are plain, as texts."""
    if not isinstance(given, dict):
        return {}
    return {str(name): str(value) for name, value in given.items() if isinstance(value, str | int | float)}


def alert_id(alert: NotifiedAlert) -> str:
    """What every message calls it (`vv.alert.id` of the templates)."""
    return shown_id(alert.annotations, alert.fingerprint or alert.labels.get("alertname", "alert"), alert.starts_at)


def shown_id(annotations: Mapping[str, str], fingerprint: str, starts_at: str) -> str:
    """The id of an alert: its own, or what Alertmanager knows it by and when it began (Unix seconds)."""
    given = annotations.get("alert_id", "")
    return given if _ID.fullmatch(given) else f"{fingerprint}-{math.floor(moment(starts_at) or 0.0)}"


def log_line(alert: NotifiedAlert) -> LogLine:
    """The alert as one line; a firing critical one is logged as CRITICAL."""
    labels, notes = alert.labels, alert.annotations
    what = notes.get("summary") or labels.get("alertname", "alert")
    parts = [
        f"ALERT {alert.status.upper()} {alert.severity.upper()} {labels.get('alertname', '?')}: {what}",
        notes.get("description", ""),
        f"component={labels.get('component', '?')} device={labels.get('device', '?')} since={alert.starts_at}",
        *(f"{name}={notes[name]}" for name in ("video", "video_sha256") if notes.get(name)),
        f"alert_id={alert_id(alert)}",
        f"Do: {notes['suggested_actions']}" if alert.status == "firing" and notes.get("suggested_actions") else "",
        f"Runbook: {notes['runbook_url']}" if alert.status == "firing" and notes.get("runbook_url") else "",
    ]
    is_fault = alert.status == "firing" and not is_drill(labels)
    level = LEVELS[alert.severity] if is_fault else logging.INFO
    return LogLine(level, " | ".join(part for part in parts if part))


def record(tx: Transaction, notification: Notification) -> None:
    """Count the notification's alerts, keep them as history, and show those that are not mere repeats.

    A drill is none of the device's faults: what becomes of it is shown by `drills`.
    """
    if notification.alerts:
        tx.put(LAST, "", LastNotification(tx.now))
    for alert in notification.alerts:
        status = alert.status if alert.status in STATUSES else "firing"
        tx.inc(NOTIFICATIONS_LOGGED, (status, alert.severity))
        if is_drill(alert.labels):
            reach_alertmanager(tx, alert.labels.get("occurrence", ""))
            continue
        _record_one(tx, status, alert)


def record_end(tx: Transaction, alert: NotifiedAlert) -> None:
    """Keep an end that Alertmanager does not notify of."""
    _record_one(tx, "resolved", alert)


def _record_one(tx: Transaction, status: str, alert: NotifiedAlert) -> None:
    _record_in_timeline(tx, status, alert)
    _update_account(tx, status, alert)
    tx.append(
        HISTORY,
        tx.now,
        {
            "status": status,
            "labels": alert.labels,
            "annotations": {name: alert.annotations[name] for name in QUOTED if name in alert.annotations},
            "starts_at": alert.starts_at,
            "ends_at": alert.ends_at,
            "fingerprint": alert.fingerprint,
        },
    )


def continued(tx: Transaction, notification: Notification) -> Notification:
    """The same; what goes on has its first start, and so its id. A Prometheus that was restarted gives another."""
    return msgspec.structs.replace(
        notification, alerts=tuple(_continue_account(tx, alert) for alert in notification.alerts)
    )


def _continue_account(tx: Transaction, alert: NotifiedAlert) -> NotifiedAlert:
    known = accounts.open_account(tx, alert.fingerprint)
    if known is None or (moment(known.starts_at) or math.inf) >= (moment(alert.starts_at) or 0.0):
        return alert
    return msgspec.structs.replace(alert, starts_at=known.starts_at)


def end_of(account: accounts.Account) -> NotifiedAlert:
    """The end of an alert, as Alertmanager would have notified of it."""
    return NotifiedAlert(
        status="resolved",
        labels=account.labels,
        annotations=account.annotations,
        starts_at=account.starts_at or isoformat(account.started),
        ends_at=isoformat(account.ended),
        fingerprint=account.fingerprint,
    )


def _update_account(tx: Transaction, status: str, alert: NotifiedAlert) -> None:
    started = accounts.moment(alert.starts_at)
    shown = accounts.Alert(alert.fingerprint, alert.labels, alert.annotations, started, alert.starts_at)
    if status == "firing":
        accounts.fired(tx, shown)
    else:
        accounts.ended(tx, shown, accounts.moment(alert.ends_at))


def _record_in_timeline(tx: Transaction, status: str, alert: NotifiedAlert) -> None:
    """Alertmanager repeats what still fires; the timeline has each alert's beginning and end."""
    key = alert.fingerprint or alert.labels.get("alertname", "?")
    known = tx.get(NOTIFIED, key)
    if known is not None and (known.status, moment(known.starts_at)) == (status, moment(alert.starts_at)):
        return
    if status == "resolved":
        tx.delete(NOTIFIED, key)
    else:
        _remember_notified(tx, key, Notified(status, alert.starts_at, tx.now))
    labels, notes = alert.labels, alert.annotations
    what = notes.get("summary") or labels.get("alertname", "alert")
    entry = Entry(
        kind=f"alert.{status}",
        title=sentence("Alert: {title}", title=what)
        if status == "firing"
        else sentence("Resolved: {title}", title=what),
        severity=alert.severity if status == "firing" else "info",
        component=labels.get("component", ""),
        details=_details_of(alert) if status == "firing" else _duration_text(alert),
        video=notes.get("video", ""),
        video_sha256=notes.get("video_sha256", ""),
        alert_id=alert_id(alert),
        runbook_url=notes.get("runbook_url", ""),
    )
    add_to_timeline(tx, tx.now, entry)


def _remember_notified(tx: Transaction, key: str, state: Notified) -> None:
    """Note what is on the timeline. The longest known gives way: if it is notified again, it is there twice."""
    if tx.count(NOTIFIED) >= MAX_NOTIFIED:
        known = tx.docs(NOTIFIED)
        if key not in known and len(known) >= MAX_NOTIFIED:
            tx.delete(NOTIFIED, min(known, key=lambda one: known[one].time))
    tx.put(NOTIFIED, key, state)


def _details_of(alert: NotifiedAlert) -> str:
    description, error = alert.annotations.get("description", ""), alert.annotations.get("error", "")
    return "\n".join(filter(None, (description, error if error not in description else "")))


def _duration_text(alert: NotifiedAlert) -> Sentence | str:
    """What an alert that has ended was about is shown at its beginning."""
    began, ended = moment(alert.starts_at), moment(alert.ends_at)
    return sentence("It lasted {time}.", time=span(ended - began)) if began is not None and ended is not None else ""
