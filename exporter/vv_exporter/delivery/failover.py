"""While Alertmanager does not answer, alerts of scripts are handed to the direct way.

So are alerts that it refuses for what they say, while it answers. That it does not is announced by the alert path
(`alert_path/loop.py`), as every other reason for silence is.

What is handed over goes to Alertmanager all the same when it is back, for its pages and silences, but with the label
`told="direct"`, which is routed to the log only: nobody is told twice. The mark and the message are one transaction.
What an Alertmanager that hangs holds of it, or reads of it when it goes on, reaches nobody either: it has ended
by then (`relay.py`, of leases).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from vv_exporter.alertmanager.payload import description, labels_of, payload
from vv_exporter.common.clock import isoformat
from vv_exporter.delivery import webhook
from vv_exporter.delivery.accounts import ACCOUNTS, NOTIFIED_SEVERITIES, open_account
from vv_exporter.delivery.alertmanager_watch import Watch
from vv_exporter.delivery.direct import put
from vv_exporter.delivery.notificationevents import LAST
from vv_exporter.delivery.notifications import NotifiedAlert
from vv_exporter.language import gettext as _
from vv_exporter.language.sentences import sentence
from vv_exporter.messages.message import Message
from vv_exporter.settings import Settings
from vv_exporter.state.dropped import drop_alert
from vv_exporter.state.openalerts import ALERTS, OpenAlert
from vv_exporter.state.store import Store, Transaction

log = logging.getLogger(__name__)

UNSURE = 60.0  # seconds before an outage in which Alertmanager may have taken an alert and notified nobody
SHORTEST_HOLD_SECONDS = 10.0
"""Of VV_DIRECT_AFTER: Alertmanager announces an alert five seconds after it took it, and must not see it end before."""


class HandOver:
    """Called by the relay, in its thread, so that no alert goes both ways. `channels` are those for a severity."""

    def __init__(
        self,
        store: Store,
        watch: Watch,
        channels: Callable[[str], Sequence[str]],
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._watch = watch
        self._channels = channels
        self._settings = settings
        self._clock = clock

    def __call__(self) -> None:
        """Hand over what has to be."""
        seen = self._watch.seen
        if not (self._channels("critical") or self._settings.webhook_url):
            return
        self._hand_over_alerts(seen.since if self._watch.outage() else None)

    @property
    def alertmanager_started(self) -> float:
        """When Alertmanager was started, as far as is known (Unix seconds)."""
        return self._watch.seen.started

    def lease(self) -> float:
        """For how many seconds an alert surely is not handed over yet."""
        return self._watch.until_outage()

    def takes(self, alert: OpenAlert) -> bool:
        """Whether there is a channel for it, and people are told of its severity."""
        return alert.severity in NOTIFIED_SEVERITIES and bool(
            self._channels(alert.severity) or self._settings.webhook_url
        )

    def doubts(self, alert: OpenAlert) -> bool:
        """Whether it would take the alert over although Alertmanager took it: people may not have heard of it.

        That is over after a minute without an outage: it is silenced or inhibited, or its channels fail.
        """
        if self._settings.direct_after < SHORTEST_HOLD_SECONDS or alert.notified or not self.takes(alert):
            return False
        is_recent = not alert.delivered or self._clock() - alert.delivered < UNSURE
        return self._reports_notifications() and bool(is_recent or self._watch.seen.down)

    def _reports_notifications(self) -> bool:
        """Whether Alertmanager reports its notifications."""
        return self._store.document(LAST, "") is not None

    def ended(self, tx: Transaction, alert: OpenAlert) -> None:
        """Close at the pagers and the webhook what was opened there directly."""
        try:
            self._close_alert(tx, alert)
        except Exception:  # whatever it says: it must not hold up the others
            log.exception("the end of an alert cannot be written, alert_id=%s", alert.id)

    def _close_alert(self, tx: Transaction, alert: OpenAlert) -> None:
        pagers = [name for name in self._channels("critical") if name not in self._channels("error")]
        if alert.direct and alert.severity == "critical" and pagers:
            put(tx, msgspec.structs.replace(self._direct_message(alert, ""), resolved=True), pagers)
        if alert.direct and not alert.delivered:  # else Alertmanager notifies of its end
            self._put_event(tx, self._notified_event(alert, "resolved"))

    def _put_event(self, tx: Transaction, event: NotifiedAlert) -> None:
        """For the generic webhook, which otherwise gets what Alertmanager notifies of, and knows it by its labels."""
        settings = self._settings
        if settings.webhook_url:
            webhook.queue_event(tx, event, webhook.Links(settings.public_url, settings.silence_form))

    def _notified_event(self, alert: OpenAlert, status: str) -> NotifiedAlert:
        """The alert as Alertmanager will notify of it."""
        settings = self._settings
        document = payload(alert, settings.device_id, settings.runbook("VVEvent"), settings.public_url)
        return NotifiedAlert(
            status=status,
            labels=document["labels"],
            annotations=document["annotations"],
            starts_at=document["startsAt"],
            ends_at=isoformat(min(alert.ends, self._clock())),
            fingerprint=webhook.fingerprint(document["labels"]),
        )

    def _hand_over_alerts(self, since: float | None) -> None:
        """Hand over what Alertmanager does not take: since a time of an outage, or None when it answers."""
        due = [alert for alert in self._store.docs(ALERTS).values() if self._is_undelivered(alert, since)]
        if not due:
            return
        with self._store.transaction() as tx:
            for alert in due:
                current = tx.get(ALERTS, alert.key)
                if current is None:
                    continue
                direct = msgspec.structs.replace(current, direct=tx.now, announced_count=current.count)
                if current.leased:
                    direct = self._take_back(tx, direct)
                tx.put(ALERTS, alert.key, direct)
                try:
                    self._open_alert(tx, direct, _reason_text(current, since))
                except Exception as error:  # whatever it says: it must not hold up the others
                    drop_alert(tx, direct, sentence("it cannot be written ({error})", error=type(error).__name__))

    def _take_back(self, tx: Transaction, alert: OpenAlert) -> OpenAlert:
        """As if Alertmanager had never had it: there it has ended, and its notification of that is no news."""
        labels = labels_of(msgspec.structs.replace(alert, direct=0.0), self._settings.device_id)
        account = open_account(tx, webhook.fingerprint(labels))
        if account is not None:
            tx.delete(ACCOUNTS, account.id)
        return msgspec.structs.replace(alert, delivered=0.0, leased=False)

    def _open_alert(self, tx: Transaction, alert: OpenAlert, why: str) -> None:
        message, event = self._direct_message(alert, why), self._notified_event(alert, "firing")
        put(tx, message, self._channels(alert.severity))
        if not alert.delivered:  # else it may have had it from Alertmanager
            self._put_event(tx, event)

    def _is_undelivered(self, alert: OpenAlert, since: float | None) -> bool:
        if alert.direct or not self.takes(alert):
            return False
        if since is None:
            return bool(alert.rejected) and not alert.delivered
        if not alert.delivered:
            return True
        # Taken shortly before the outage: people were told, unless it is known not to be.
        is_recent = alert.leased or alert.delivered > since - UNSURE
        return is_recent and not alert.notified and self._reports_notifications()

    def _direct_message(self, alert: OpenAlert, note: str) -> Message:
        settings = self._settings
        return Message(
            key=f"{settings.device_id}-{alert.identity}",
            title=alert.title,
            severity=alert.severity,
            device=settings.device_id,
            component=alert.component or "unknown",
            time=alert.first,
            alert_id=alert.id,
            details=description(alert),
            suggested_actions=alert.suggested_actions,
            note=note,
            video=alert.context.get("video", ""),
            video_sha256=alert.context.get("video_sha256", ""),
            runbook_url=settings.runbook("VVEvent"),
            silence_url=settings.silence_url(labels_of(alert, settings.device_id)),
            status_url=f"{settings.public_url}/",
        )


def _reason_text(alert: OpenAlert, since: float | None) -> str:
    """Why it comes directly."""
    if alert.rejected or since is None:
        return _("Alertmanager refuses it as it is: sent directly.")
    return _("Alertmanager does not answer since {since}: sent directly.").format(since=isoformat(since))
