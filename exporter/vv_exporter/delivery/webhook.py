"""The generic webhook: an alert's beginning and its end as one JSON object each, of the form in `webhook.schema.json`.

docs/webhook.md has it for those who receive. What Alertmanager notifies the exporter of is what is posted here, so that
grouping, inhibition and silences hold; its repeats are not posted again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from vv_exporter.channels import webhook as channel
from vv_exporter.common.clock import isoformat, moment
from vv_exporter.common.matchers import link_filter
from vv_exporter.common.times import UnixTime
from vv_exporter.delivery.accounts import EVENT
from vv_exporter.delivery.notifications import NotifiedAlert, alert_id
from vv_exporter.delivery.parcels import Parcel, Parcels
from vv_exporter.messages.webhook_event import NO_VIDEO, Event
from vv_exporter.settings import Secret
from vv_exporter.state.store import Kind, Transaction
from vv_exporter.state.timeline import shortened

OUTBOX = Parcels("webhook")
MAX_POSTED_ALERTS = 4000
_OF_VIDEO = {"video_id": "id", "video_sha256": "SHA-256"}


class PostedAlert(msgspec.Struct, frozen=True):
    """What was last posted of an alert, and when (Unix seconds); `times` it has begun with this very `starts_at`."""

    status: str
    starts_at: str
    alert_id: str
    time: UnixTime
    times: int = 1


class Links(NamedTuple):
    """The exporter's address without a slash at the end, and that of the form for a silence up to the matchers."""

    exporter: str
    silence_form: str


POSTED_ALERTS: Kind[PostedAlert] = Kind("webhook_told", PostedAlert)


def queue_event(tx: Transaction, alert: NotifiedAlert, links: Links) -> None:
    """Put what is new of an alert into the outbox. An alert that begins anew is another event."""
    name = _alert_identity(alert)
    status = "resolved" if alert.status == "resolved" else "firing"
    known = tx.get(POSTED_ALERTS, name)
    if known is None or _unix_seconds(known.starts_at) != _unix_seconds(alert.starts_at):
        posted = PostedAlert(status, alert.starts_at, own_id(alert), tx.now)
    elif known.status == status:
        return  # Alertmanager repeats itself
    else:
        times = known.times + (status == "firing")  # taken for resolved while nobody evaluated the rules
        posted = PostedAlert(status, alert.starts_at, known.alert_id, tx.now, times)
    _remember_posted(tx, name, posted)
    again = f"-{posted.times}" if posted.times > 1 else ""
    subject = re.sub(r"[^A-Za-z0-9._:-]", "_", name if alert.fingerprint else posted.alert_id)[:100]  # becomes a header
    key = f"{subject}-{_unix_seconds(alert.starts_at):.0f}-{status}{again}"
    body = msgspec.json.encode(event(alert, posted.alert_id, links)).decode()
    OUTBOX.put(tx, Parcel(key, body, tx.now, {"VV-Alert-Status": status}, alert.severity))


def _alert_identity(alert: NotifiedAlert) -> str:
    """What is one alert here; one of a script stays the same when it is handed to the direct way."""
    labels = alert.labels
    if labels.get("alertname") == EVENT and "told" in labels:
        return fingerprint({name: text for name, text in labels.items() if name != "told"})
    return alert.fingerprint or repr(sorted(labels.items()))


def also_known_as(tx: Transaction, name: str, other: str) -> None:
    """Alertmanager notifies of the alert by another fingerprint."""
    posted = tx.get(POSTED_ALERTS, name)
    if posted is not None:
        _remember_posted(tx, other, posted)


def is_known(tx: Transaction, alert: NotifiedAlert) -> bool:
    """Whether it was posted that this alert began, at this time."""
    known = tx.get(POSTED_ALERTS, _alert_identity(alert))
    return known is not None and _unix_seconds(known.starts_at) == _unix_seconds(alert.starts_at)


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's identity of an alert: FNV-1a of its labels in order, a byte 255 behind each name and value.

    https://github.com/prometheus/common/blob/main/model/signature.go (`labelSetToFingerprint`)
    """
    value = 0xCBF29CE484222325
    for name in sorted(labels):
        for byte in name.encode() + b"\xff" + labels[name].encode() + b"\xff":
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def event(alert: NotifiedAlert, alert_id: str, links: Links) -> Event:
    """The alert as it is posted. Its end is in the title and the first line of the details."""
    labels, notes = alert.labels, alert.annotations
    title = notes.get("summary") or labels.get("alertname", "alert")
    details = [notes.get("description", "")]
    if notes.get("error") and notes["error"] not in details[0]:
        details.append(f"Error: {notes['error']}")
    if alert.status == "resolved":
        title = f"Resolved: {title}"
        details.insert(0, f"Resolved {_utc_text(alert.ends_at)}, {after(alert.starts_at, alert.ends_at)}.")
    return Event(
        timestamp=_begin_timestamp(alert),
        severity=alert.severity.upper(),
        source_component=_line_of(labels.get("component", ""), 300) or "unknown",
        hostname=_line_of(labels.get("device", ""), 300) or "unknown",
        title=_line_of(title, 500) or "Alert",
        message_details=shortened("\n".join(filter(None, details)), 8000) or "No details were given.",
        suggested_actions="\n".join(
            [shortened(notes.get("suggested_actions", ""), 4000) or "See the runbook.", *_link_lines(alert, links)]
        ),
        video_file_context=_video_line(notes),
        alert_id=alert_id,
    )


def own_id(alert: NotifiedAlert) -> str:
    """The same that all channels show.

    The message about an alert's repeats has one of its own: its end is not that of the alert.
    """
    repeats = alert.labels.get("repeats", "")
    is_count = repeats.isascii() and repeats.isdigit() and len(repeats) < 20
    return f"{alert_id(alert)}.{repeats}" if is_count else alert_id(alert)


def after(starts_at: str, ends_at: str) -> str:
    """How long it took, as the templates say it: `after 1h 2m 3s`."""
    seconds = int(max(_unix_seconds(ends_at) - _unix_seconds(starts_at), 0))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    first = next((at for at, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return "after " + " ".join(f"{count}{unit}" for count, unit in parts[first:])


class Webhook:
    """Brings what waits to one address, which may hold a secret and is never shown."""

    def __init__(self, url: Secret, clock: Callable[[], float]) -> None:
        self._channel = channel.Webhook(url.value, clock)

    def send(self, parcel: Parcel) -> None:
        """Post it. Raises `ProviderError`: `refused` when it will never be taken."""
        self._channel.deliver(parcel.body.encode(), parcel.headers | {"Idempotency-Key": parcel.key})


def _remember_posted(tx: Transaction, name: str, posted: PostedAlert) -> None:
    if tx.get(POSTED_ALERTS, name) is None and tx.count(POSTED_ALERTS) >= MAX_POSTED_ALERTS:
        known = tx.docs(POSTED_ALERTS)
        tx.delete(POSTED_ALERTS, min(known, key=lambda one: (known[one].status == "firing", known[one].time)))
    tx.put(POSTED_ALERTS, name, posted)


def _line_of(text: str, limit: int) -> str:
    return " ".join(shortened(text, limit).split())


def _begin_timestamp(alert: NotifiedAlert) -> str:
    """When it began."""
    given = alert.annotations.get("timestamp", "")
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", given):
        return f"{given[:19]}Z"
    return _utc_text(alert.starts_at)


def _video_line(notes: dict[str, str]) -> str:
    parts = [_line_of(notes.get("video", ""), 1000)]
    parts += [f"{label} {_line_of(notes[key], 128)}" for key, label in _OF_VIDEO.items() if notes.get(key)]
    return ", ".join(filter(None, parts)) or NO_VIDEO


def _link_lines(alert: NotifiedAlert, links: Links) -> list[str]:
    runbook, component = alert.annotations.get("runbook_url", ""), alert.labels.get("component", "")[:300]
    component = f"&component={quote(component, safe='')}" if component else ""
    return [
        *([f"Runbook: {runbook}"] if re.fullmatch(r"https?://\S{1,500}", runbook) else []),
        f"Silence: {links.silence_form}{link_filter(alert.labels)}",
        f"Timeline: {links.exporter}/timeline?at={_unix_seconds(alert.starts_at):.0f}{component}#entry",
        f"Status page: {links.exporter}/",
    ]


def _utc_text(time: str) -> str:
    return isoformat(_unix_seconds(time))


def _unix_seconds(time: str) -> float:
    """RFC 3339 as Unix seconds; what is none is the beginning of time."""
    return moment(time) or 0.0
