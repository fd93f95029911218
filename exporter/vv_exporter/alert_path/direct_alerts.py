"""What people were told directly, and so must not be told again by Alertmanager.

Alertmanager gets each such alert from the exporter, with the rule's own labels and `told="direct"` beside them. It is
routed to the record only, and inhibits the rule's. It is sent again and again, at short intervals: an Alertmanager that
comes back must have it before it has the rule's. It stays for a while after the end, as the rules' alerts do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.common.clock import isoformat
from vv_exporter.common.times import UnixTime
from vv_exporter.delivery import webhook
from vv_exporter.delivery.notifications import NotifiedAlert
from vv_exporter.language.sentences import sentence
from vv_exporter.messages.message import Message
from vv_exporter.settings import Settings
from vv_exporter.state.dropped import record_drop
from vv_exporter.state.store import Kind, Store, Transaction
from vv_exporter.state.timeline import Entry

KEPT_SECONDS = 420.0  # after the end: more than the longest `keep_firing_for` of these rules
SENT_EVERY_SECONDS = 5.0  # while Alertmanager takes them
RETRIED_EVERY_SECONDS = 0.25  # while it does not
LASTS_SECONDS = 300.0  # for which it holds one that is not sent again


class DirectAlert(msgspec.Struct, frozen=True, omit_defaults=True):
    """What people were told directly: the message, the alert's labels, its end (Unix seconds; 0: it lasts)."""

    alertname: str
    subject: str
    message: Message
    labels: dict[str, str]
    ended: UnixTime = 0.0

    @property
    def key(self) -> str:
        """Its key."""
        return f"{self.alertname}\n{self.subject}"


DIRECT_ALERTS: Kind[DirectAlert] = Kind("told_directly", DirectAlert)


MAX_DIRECT_ALERTS = 200


def make_room(tx: Transaction, new: DirectAlert) -> bool:
    """Whether there is room for one more.

    An alert that has ended gives way first, for people were told so. Of those that last the newest does: of the others
    people know, and what they know of must not seem to be over.
    """
    known = tx.docs(DIRECT_ALERTS)
    if len(known) < MAX_DIRECT_ALERTS or new.key in known:
        return True
    ended = [one for one in known.values() if one.ended]
    if ended:
        tx.delete(DIRECT_ALERTS, min(ended, key=lambda one: one.ended).key)
        return True
    return False


def drop_direct_alert(tx: Transaction, new: DirectAlert) -> None:
    """Count an alert for which there is no room; when there is, and it lasts, people are told of it all the same."""
    message = new.message
    title = sentence("Alert dropped, more fire than are sent without Alertmanager: {title}", title=message.title)
    component = new.labels.get("component", "")
    record_drop(tx, Entry("alert.dropped", title, message.severity, component, message.details))


class Destination(Protocol):
    """Alertmanager."""

    def send(self, alerts: Sequence[dict[str, Any]]) -> None:
        """Send alerts. Raises `DeliveryError` when they were not taken."""
        ...


class DirectAlerts:
    """Call `round` every `RETRIED_EVERY_SECONDS`."""

    def __init__(
        self,
        store: Store,
        destination: Destination,
        settings: Settings,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._destination = destination
        self._settings = settings
        self._clock = clock
        self._monotonic = monotonic
        self._sent = float("-inf")
        self._known: dict[str, DirectAlert] = {}

    def round(self) -> bool:
        """Send what there is. Gives whether there is any."""
        known = self._store.docs(DIRECT_ALERTS)
        if known and (known != self._known or self._monotonic() - self._sent >= SENT_EVERY_SECONDS):
            try:
                self._destination.send([self._as_posted_alert(one) for one in known.values()])
            except DeliveryError:
                return True
            self._sent, self._known = self._monotonic(), known
        self._forget_old_alerts(known)
        return bool(known)

    def _forget_old_alerts(self, known: dict[str, DirectAlert]) -> None:
        over = [one.key for one in known.values() if one.ended and self._is_over(one)]
        if over:
            with self._store.transaction() as tx:
                for key in over:
                    tx.delete(DIRECT_ALERTS, key)

    def _is_over(self, one: DirectAlert) -> bool:
        """Whether nothing of it can come any more; a clock that was set back ends it, too."""
        return not 0 <= self._clock() - one.ended < KEPT_SECONDS

    def _as_posted_alert(self, one: DirectAlert) -> dict[str, Any]:
        now, message = self._clock(), one.message
        return {
            "labels": {**one.labels, "told": "direct"},
            "annotations": annotations_of(message),
            "startsAt": isoformat(message.time),
            "endsAt": isoformat(now if one.ended and self._is_over(one) else now + LASTS_SECONDS),
            "generatorURL": self._settings.public_url,
        }


def put_event(
    tx: Transaction,
    message: Message,
    labels: Mapping[str, str],
    settings: Settings,
    sent_as: Mapping[str, str] | None = None,
) -> None:
    """For the generic webhook, which otherwise gets what Alertmanager notifies of, and knows it by its labels.

    An end has the identity and the beginning of its beginning. Where Alertmanager gets it with other labels, these are
    `sent_as`.
    """
    if not settings.webhook_url:
        return
    labels = {**labels, "told": "direct"}
    fingerprint = webhook.fingerprint(labels)
    known = tx.get(webhook.POSTED_ALERTS, fingerprint) if message.resolved else None
    event = NotifiedAlert(
        status="resolved" if message.resolved else "firing",
        labels=labels,
        annotations=annotations_of(message),
        starts_at=known.starts_at if known is not None else isoformat(message.time),
        ends_at=isoformat(tx.now),
        fingerprint=fingerprint,
    )
    webhook.queue_event(tx, event, webhook.Links(settings.public_url, settings.silence_form))
    if sent_as is not None:
        webhook.also_known_as(tx, fingerprint, webhook.fingerprint({**sent_as, "told": "direct"}))


def annotations_of(message: Message) -> dict[str, str]:
    """What a message says, as an alert says it."""
    annotations = {
        "summary": message.title,
        "description": message.details,
        "suggested_actions": message.suggested_actions,
        "runbook_url": message.runbook_url,
        "video": message.video,
        "video_sha256": message.video_sha256,
        "alert_id": message.alert_id,
    }
    return {name: text for name, text in annotations.items() if text}
