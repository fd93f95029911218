"""What Alertmanager's event recorder reports: which channel took which alerts, and what was silenced or inhibited.

Alertmanager posts each event as a JSON object (`--enable-feature=event-recorder`, 0.33; its messages are in
https://github.com/prometheus/alertmanager/blob/main/eventrecorder/eventrecorderpb/eventrecorder.proto). An event that
is not delivered is posted again for eight seconds. Failed notifications are no events:
`delivery/alertmanager_watch.py` reads their counts.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from vv_exporter.channels import names_of
from vv_exporter.common.times import UnixTime, admitted
from vv_exporter.common.untrusted import decode_untrusted
from vv_exporter.delivery import accounts
from vv_exporter.delivery.alertmanager_watch import OWN, channel_of
from vv_exporter.drills.failure import INHIBITED, SILENCED
from vv_exporter.drills.state import accept_drill, is_drill, mute_drill
from vv_exporter.state.openalerts import ALERTS, ENDED
from vv_exporter.state.store import Kind, Transaction

log = logging.getLogger(__name__)


class Pair(msgspec.Struct, frozen=True):
    """A label or an annotation."""

    key: str = ""
    value: str = ""


class Labels(msgspec.Struct, frozen=True):
    """Labels or annotations."""

    labels: tuple[Pair, ...] = ()

    def mapping(self) -> dict[str, str]:
        """By name."""
        return {pair.key: pair.value for pair in self.labels}


class Details(msgspec.Struct, frozen=True, rename="camel"):
    """An alert; the fingerprint is a decimal number."""

    fingerprint: str = "0"
    labels: Labels = Labels()
    annotations: Labels = Labels()
    starts_at: str = ""


class Grouped(msgspec.Struct, frozen=True):
    """An alert of a group; lists of some of them have the hash only."""

    hash: str = ""
    details: Details | None = None


class Group(msgspec.Struct, frozen=True, rename="camel"):
    """Where it was routed to, and what it was grouped by."""

    receiver_name: str = ""
    group_key: str = ""

    @property
    def incident(self) -> str:
        """What pagers know it by (`Key.Hash`, https://github.com/prometheus/alertmanager/blob/main/notify/util.go)."""
        return hashlib.sha256(self.group_key.encode()).hexdigest() if self.group_key else ""


class Integration(msgspec.Struct, frozen=True):
    """What took it."""

    name: str = ""


class Notification(msgspec.Struct, frozen=True, rename="camel"):
    """A notification that was taken. Each alert is decoded by itself: an odd one costs no other."""

    alerts: tuple[msgspec.Raw, ...] = ()
    firing_alerts: tuple[msgspec.Raw, ...] = ()
    resolved_alerts: tuple[msgspec.Raw, ...] = ()
    group_info: Group = Group()
    integration: Integration = Integration()


class Muted(msgspec.Struct, frozen=True, rename="camel"):
    """An alert of which nobody was told on purpose."""

    muted_alert: Details = Details()


class Data(msgspec.Struct, frozen=True, rename="camel"):
    """One of these, or another kind of event, which is passed over."""

    notification: Notification | None = None
    silence_muted_alert: Muted | None = None
    inhibition_muted_alert: Muted | None = None


class Event(msgspec.Struct, frozen=True):
    """What is posted."""

    data: Data = Data()
    timestamp: str = msgspec.field(default="", name="@timestamp")


class LastEvent(msgspec.Struct, frozen=True):
    """When the last one came, in Unix seconds."""

    time: UnixTime


LAST: Kind[LastEvent] = Kind("last_notification_event", LastEvent)
_decoder = msgspec.json.Decoder(Event)
_alert_decoder = msgspec.json.Decoder(Grouped)


def parse(body: bytes) -> Event:
    """Read a body. Raises `ValueError` when it is none."""
    try:
        return decode_untrusted(_decoder, body)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not an event of Alertmanager: {error}") from error


def concerns(event: Event) -> bool:
    """Whether anything is to be kept of it."""
    data = event.data
    beat = data.notification is not None and data.notification.group_info.receiver_name in OWN
    return not beat and any((data.notification, data.silence_muted_alert, data.inhibition_muted_alert))


def record(tx: Transaction, event: Event) -> None:
    """Keep what it says."""
    data = event.data
    for muted, why in ((data.silence_muted_alert, SILENCED), (data.inhibition_muted_alert, INHIBITED)):
        if muted is not None:
            accounts.muted(tx, _hexadecimal_fingerprint(muted.muted_alert))
            if is_drill(labels := muted.muted_alert.labels.mapping()):
                mute_drill(tx, labels, why)
    if data.notification is None:
        return
    channel = channel_of(data.notification.integration.name, data.notification.group_info.receiver_name)
    if channel in (*OWN, *names_of("beat")):
        return
    tx.put(LAST, "", LastEvent(tx.now))
    when = admitted(accounts.moment(event.timestamp), tx.now)
    for alert in resolved(data.notification):
        accounts.closed(tx, alert.fingerprint, channel, when)
    incident = data.notification.group_info.incident if channel in names_of("pager") else ""
    for alert in firing(data.notification):
        accounts.taken(tx, alert, channel, when, incident)
        if is_drill(alert.labels):
            accept_drill(tx, alert.labels.get("occurrence", ""), channel, when)
        elif "repeats" in alert.labels:
            _count_notified(tx, alert.labels)
        else:
            _mark_notified(tx, alert.labels, when)


def _mark_notified(tx: Transaction, labels: Mapping[str, str], when: float) -> None:
    """People have heard of an alert of a script."""
    key, occurrence = labels.get("alert_key", ""), labels.get("occurrence", "")
    for kind, place in ((ALERTS, key), (ENDED, _occurrence_identity(labels))):
        alert = tx.get(kind, place)
        if alert is not None and alert.occurrence_label == occurrence and not alert.notified:
            tx.put(kind, place, msgspec.structs.replace(alert, notified=when))


def _count_notified(tx: Transaction, labels: Mapping[str, str]) -> None:
    """People have heard how often an alert that has ended was repeated: nothing is left to be sent of it."""
    alert = tx.get(ENDED, _occurrence_identity(labels))
    if alert is not None and str(alert.count - 1) == labels["repeats"]:
        tx.delete(ENDED, alert.identity)


def _occurrence_identity(labels: Mapping[str, str]) -> str:
    """As `OpenAlert.identity`."""
    return "-".join(filter(None, (labels.get("alert_key", ""), labels.get("occurrence", ""))))


def firing(notification: Notification) -> Iterator[accounts.Alert]:
    """The alerts of it that fire. One that cannot be read is passed over."""
    return _named_alerts(notification.alerts, notification.firing_alerts)


def resolved(notification: Notification) -> Iterator[accounts.Alert]:
    """The alerts of it that have ended, likewise."""
    return _named_alerts(notification.alerts, notification.resolved_alerts)


def _named_alerts(alerts: Iterable[msgspec.Raw], named: Iterable[msgspec.Raw]) -> Iterator[accounts.Alert]:
    hashes = {one.hash for one in map(_decode_grouped, named) if one is not None}
    for one in map(_decode_grouped, alerts) if hashes else ():
        if one is not None and one.details is not None and one.hash in hashes:
            details = one.details
            yield accounts.Alert(
                _hexadecimal_fingerprint(details),
                details.labels.mapping(),
                details.annotations.mapping(),
                accounts.moment(details.starts_at),
                details.starts_at,
            )


def _hexadecimal_fingerprint(alert: Details) -> str:
    """As everything else of Alertmanager writes it."""
    decimal = alert.fingerprint.isascii() and alert.fingerprint.isdigit() and len(alert.fingerprint) <= 20
    return f"{int(alert.fingerprint):016x}" if decimal else ""


def _decode_grouped(raw: msgspec.Raw) -> Grouped | None:
    try:
        return _alert_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("an alert of Alertmanager's event recorder cannot be read: %s", error)
        return None
