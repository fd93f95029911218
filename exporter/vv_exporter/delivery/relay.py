"""Sees alerts through to Alertmanager: again and again until they end, however often either side is restarted.

The store's documents are the outbox. An alert is sent as soon as it is there or has changed, then every
`RESEND` seconds (Alertmanager keeps alerts in memory only), and it does not end before it was delivered once. One that
Alertmanager refuses for what it says holds up no other: it is handed to the direct way, and not sent again.

An Alertmanager that hangs has the requests that it does not answer, and alerts that it has not announced yet, since it
waits for more of the group. It goes on with both when people may have been told directly. So:

1. What it has not taken yet is sent on a lease, which ends before it could be handed over.
2. The lease is renewed until people have heard of the alert, or for a minute where they hear of none; then, and at a
   stop of the exporter, it is sent in full. Where Alertmanager does not report notifications: as soon as it took it.

Nobody is told of what had ended when Alertmanager first saw it, or first looked at its group.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from vv_exporter.alertmanager.payload import HELD, REPEATS_SHOWN
from vv_exporter.delivery.accounts import NOTIFIED_SEVERITIES
from vv_exporter.delivery.dividing import Outcome, send_divided
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.runtime.backoff import Backoff
from vv_exporter.runtime.loop import Loop
from vv_exporter.state.database import StoreError
from vv_exporter.state.dropped import drop_alert
from vv_exporter.state.openalerts import ALERTS, ENDED, SEVERITIES, OpenAlert, end_alert
from vv_exporter.state.store import Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

log = logging.getLogger(__name__)

RESEND = 60.0  # seconds after which an alert that still lasts is sent again
RENEWALS = 3  # of a lease, in its time
BACKOFF_MAX = 30.0  # seconds between tries when Alertmanager does not take alerts
# Seconds after its first delivery in which an alert's repeats are announced with it: `group_wait` of alertmanager.yml.
COLLECTED_SECONDS = 5.0
COLLECTED_CRITICAL_SECONDS = 0.5
NOTIFIED_WITHIN = 60.0  # seconds after its first delivery in which Alertmanager notifies people of an alert
REPEATS_INTERVAL = 3600.0  # seconds between messages about repeats
DESTINATION = "alertmanager"
OK, FAILED, REJECTED = RESULTS = ("ok", "failed", "rejected")


class Destination(Protocol):
    """Where alerts go."""

    def send(self, alerts: list[dict[str, Any]]) -> None:
        """Send alerts. Raises `DeliveryError` when they were not taken."""
        ...


class Fallback(Protocol):
    """The other way, for while the destination does not take alerts, and for those that it refuses."""

    def __call__(self) -> None:
        """Take over what has waited for too long, or was rejected."""
        ...

    @property
    def alertmanager_started(self) -> float:
        """When Alertmanager was started, as far as is known (Unix seconds)."""
        ...

    def lease(self) -> float:
        """For how many seconds it surely takes nothing over."""
        ...

    def takes(self, alert: OpenAlert) -> bool:
        """Whether it would take the alert over."""
        ...

    def doubts(self, alert: OpenAlert) -> bool:
        """Whether it would take the alert over although it was taken."""
        ...

    def ended(self, tx: Transaction, alert: OpenAlert) -> None:
        """An alert has ended."""
        ...


class Relay:
    """The worker. `present` turns an alert into what the destination takes; `window` is how long alerts last.

    `fallback` is asked before each round, in the same thread: no alert goes both ways at once. `repeats` presents an
    alert whose count has grown since people were told of it: they hear when it ends, or has lasted for another hour.
    """

    def __init__(
        self,
        store: Store,
        destination: Destination,
        present: Callable[[OpenAlert], dict[str, Any]],
        window: float,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        fallback: Fallback | None = None,
        repeats: Callable[[OpenAlert, float], dict[str, Any]] | None = None,
    ) -> None:
        self._store = store
        self._repeats = repeats
        self._fallback = fallback
        self._destination = destination
        self._present = present
        self._window = window
        self._clock = clock
        self._monotonic = monotonic
        self._sent: dict[str, tuple[OpenAlert, float]] = {}  # as it was sent, and when it is to be sent again
        self._counted: dict[str, float] = {}  # ended alerts whose count was sent, and since when that is known
        self._backoff = Backoff(BACKOFF_MAX, monotonic)
        self._loop = Loop("relay", "alerts", self.round)
        store.when_changed(ALERTS, self._loop.wake)

    def start(self) -> None:
        """Begin to send."""
        self._loop.start()

    def stop(self) -> None:
        """End; what was not sent is sent after the next start."""
        self._loop.stop()
        with contextlib.suppress(StoreError):  # they end early there, and are sent again after the next start
            self._release_leases()

    def _release_leases(self) -> None:
        """What Alertmanager has lasts its time also where nobody renews it."""
        leased = [alert for alert in self._store.docs(ALERTS).values() if alert.leased]
        if not leased or not self.is_accepting:
            return
        outcome = self._counted_send(leased)
        with self._store.transaction() as tx:
            for place in outcome.taken:
                _change_alert(tx, leased[place], leased=False)

    @property
    def is_accepting(self) -> bool:
        """Whether the destination took what it was sent last."""
        return not self._backoff.failures

    def wake(self) -> None:
        """Look soon; returns at once."""
        self._loop.wake()

    def retry(self) -> None:
        """The destination answers again: what waits is tried soon; returns at once."""
        self._backoff.hasten()
        self._loop.wake()

    def round(self) -> bool:
        """Send what is due, once: what ends first, then counts of repeats, then alerts. Gives whether there are any."""
        self._wind_up()
        if self._fallback is not None:
            self._fallback()
        if self._backoff.ready() and self._send_ends() and self._send_repeats():
            self._send_alerts()
        return self._store.count(ALERTS) + self._store.count(ENDED) > 0

    def _wind_up(self) -> None:
        """Take out what has ended, close what was opened directly, and keep what is left to be sent."""
        now = self._clock()
        open_alerts, ended = self._store.docs(ALERTS), self._store.docs(ENDED)
        self._counted = {identity: when for identity, when in self._counted.items() if identity in ended}
        self._sent = {key: sent for key, sent in self._sent.items() if key in open_alerts}
        over = [key for key, alert in open_alerts.items() if alert.has_ended(now)]
        if not over and all(alert.closed for alert in ended.values()):
            return
        with self._store.transaction() as tx:
            for key in over:
                alert = tx.get(ALERTS, key)
                if alert is not None and alert.has_ended(now):  # not repeated meanwhile
                    end_alert(tx, alert)
            for identity, alert in tx.docs(ENDED).items():
                if not alert.closed:
                    self._close_alert(tx, identity, alert)

    def _close_alert(self, tx: Transaction, identity: str, alert: OpenAlert) -> None:
        if self._fallback is not None:
            self._fallback.ended(tx, alert)
        closed = msgspec.structs.replace(alert, closed=tx.now)
        if self._lasts_there(closed) or self._repeats_due(closed):
            tx.put(ENDED, identity, closed)
        else:
            tx.delete(ENDED, identity)

    def _lasts_there(self, alert: OpenAlert) -> bool:
        """Whether Alertmanager would show it for longer than it is kept here."""
        return bool(alert.delivered) and alert.ends > self._clock()

    def _send_ends(self) -> bool:
        """Send the end and the count of what has ended. False when they are not taken.

        A count is kept until Alertmanager could notify of it: where that is restarted, it is sent once more.
        """
        now = self._clock()
        documents: list[Callable[[], dict[str, Any]]] = []
        counted: list[OpenAlert] = []
        finished: list[OpenAlert] = []
        released: list[OpenAlert] = []
        for alert in self._store.docs(ENDED).values():
            if alert.leased and self._lasts_there(alert):  # nobody hands it over any more
                documents.append(partial(self._present, alert))
                released.append(alert)
                continue
            if not alert.closed or self._is_being_announced(alert, now):
                continue
            if self._is_counted(alert, now):
                if self._monotonic() - self._counted.setdefault(alert.identity, self._monotonic()) >= REPEATS_SHOWN:
                    finished.append(alert)
                continue
            again = self._store.document(ALERTS, alert.key)
            if self._lasts_there(alert) and (again is None or again.identity != alert.identity):
                documents.append(partial(self._present, msgspec.structs.replace(alert, ends=max(now, alert.first + 1))))
            if self._repeats is not None and self._repeats_due(alert):
                documents.append(partial(self._repeats, alert, now))
                counted.append(alert)
            else:
                finished.append(alert)
        if not documents and not finished:
            return True
        outcome = self._send_documents(documents, lambda present: present())
        with self._store.transaction() as tx:
            _count_outcome(tx, outcome)
            if outcome.error is None:
                for alert in finished:
                    tx.delete(ENDED, alert.identity)
                for alert in counted:
                    tx.put(ENDED, alert.identity, msgspec.structs.replace(alert, counted=now))
                for alert in released:
                    tx.put(ENDED, alert.identity, msgspec.structs.replace(alert, leased=False))
        return outcome.error is None

    def _is_being_announced(self, alert: OpenAlert, now: float) -> bool:
        """Whether Alertmanager has it, and people have not heard of it yet: it must not end before."""
        return self._lasts_there(alert) and not alert.notified and now - alert.delivered < NOTIFIED_WITHIN

    def _is_counted(self, alert: OpenAlert, now: float) -> bool:
        """Whether Alertmanager has its last count, and was not restarted since."""
        started = self._fallback.alertmanager_started if self._fallback is not None else 0.0
        return bool(alert.counted) and not alert.counted < started <= now

    def _repeats_due(self, alert: OpenAlert) -> bool:
        """Whether people are to hear how often it was repeated: it has ended, or goes on for long."""
        if (
            self._repeats is None
            or alert.count <= alert.announced_count
            or not alert.delivered
            or alert.severity not in NOTIFIED_SEVERITIES
        ):
            return False
        return bool(alert.closed) or self._clock() - (alert.announced_at or alert.delivered) >= REPEATS_INTERVAL

    def _send_repeats(self) -> bool:
        """Send the counts of what goes on. False when they are not taken."""
        due = [alert for alert in self._store.docs(ALERTS).values() if self._repeats_due(alert)]
        if not due or self._repeats is None:
            return True
        now, present = self._clock(), self._repeats
        outcome = self._send_documents(due, lambda alert: present(alert, now))
        with self._store.transaction() as tx:
            _count_outcome(tx, outcome)
            for alert in due if outcome.error is None else ():
                _change_alert(tx, alert, announced_count=alert.count, announced_at=now)
        return outcome.error is None

    def _send_alerts(self) -> None:
        """Send what is new or has changed, the most severe first."""
        now = self._clock()
        due = [alert for alert in self._store.docs(ALERTS).values() if self._is_due(alert)]
        due.sort(key=lambda alert: SEVERITIES.index(alert.severity), reverse=True)
        if not due:
            return
        # What waited for longer than it would have lasted lasts from now: Alertmanager must see it firing.
        shown = [
            alert if alert.delivered else msgspec.structs.replace(alert, ends=max(alert.ends, now + self._window))
            for alert in due
        ]
        leases = {place: self._leased_alert(alert, now) for place, alert in enumerate(shown)}
        self._end_leases([due[place] for place, lease in leases.items() if due[place].leased and lease is None])
        outcome, taken, held = self._send_leased(shown, leases)
        with self._store.transaction() as tx:
            for place in taken:
                _mark_delivered(tx, shown[place], now, leased=place in held)
            for place, why in outcome.rejected.items():
                self._mark_rejected(tx, shown[place], why)
        for place in taken:
            sent = due[place]
            current = self._store.document(ALERTS, sent.key)
            unchanged = current is not None and current.count == sent.count
            again = self._monotonic() + (self._renewed_in() if place in held else RESEND)
            self._sent[sent.key] = (current if unchanged and current else sent, again)

    def _send_leased(
        self, shown: Sequence[OpenAlert], leases: Mapping[int, OpenAlert | None]
    ) -> tuple[Outcome, list[int], set[int]]:
        """Send them; gives the places of those that were taken as they are to be, and of those that stay on a lease."""
        outcome = self._counted_send([leases[place] or alert for place, alert in enumerate(shown)])
        leased = [place for place in outcome.taken if leases[place] is not None]
        held = {place for place in leased if self._fallback is not None and self._fallback.doubts(shown[place])}
        confirmed = [place for place in leased if place not in held]
        if not confirmed:
            return outcome, outcome.taken, held
        in_full = self._counted_send([shown[place] for place in confirmed])
        missed = {*confirmed} - {confirmed[number] for number in in_full.taken}
        return outcome, [place for place in outcome.taken if place not in missed], held

    def _end_leases(self, alerts: Sequence[OpenAlert]) -> None:
        """Before Alertmanager has them in full: whether it answers or not, it may notify of them from now on."""
        if alerts:
            with self._store.transaction() as tx:
                for alert in alerts:
                    _change_alert(tx, alert, leased=False)

    def _renewed_in(self) -> float:
        """Seconds."""
        return min(self._fallback.lease() / RENEWALS, RESEND) if self._fallback is not None else RESEND

    def _leased_alert(self, alert: OpenAlert, now: float) -> OpenAlert | None:
        """The alert as it is sent until people have heard of it; None where nobody else would send it."""
        if self._fallback is None or alert.direct or not self._fallback.takes(alert):
            return None
        if alert.delivered and not (alert.leased and self._fallback.doubts(alert)):
            return None
        # Alertmanager refuses what ends before it begins, and keeps the later of two ends to come.
        leased = max(now + self._fallback.lease(), alert.first + 1.0) - HELD
        return msgspec.structs.replace(alert, ends=min(leased, alert.ends))

    def _counted_send(self, alerts: Sequence[OpenAlert]) -> Outcome:
        outcome = self._send_documents(alerts, self._present)
        with self._store.transaction() as tx:
            _count_outcome(tx, outcome)
        return outcome

    def _is_due(self, alert: OpenAlert) -> bool:
        known = self._sent.get(alert.key)
        again = known is None or known[0] is not alert or self._monotonic() >= known[1]
        return again and not alert.rejected

    def _send_documents(self, items: Sequence[Any], present: Callable[[Any], dict[str, Any]]) -> Outcome:
        """Send documents, and see whether the destination takes anything."""
        outcome = send_divided(items, present, self._destination.send)
        if outcome.error is None:
            if self._backoff.failures:
                log.info("Alertmanager accepts alerts again")
            self._backoff.succeeded()
        else:
            if not self._backoff.failures:
                log.warning("alerts wait, will try again: %s", outcome.error)
            self._backoff.failed()
        return outcome

    def _mark_rejected(self, tx: Transaction, alert: OpenAlert, why: str) -> None:
        """It is not sent again, but by the direct way if nobody has heard of it."""
        current = _change_alert(tx, alert, rejected=tx.now, ends=alert.ends)
        if current is None or current.reached_people:
            return
        log.error("Alertmanager refuses an alert (%s): %s, alert_id=%s", why, alert.title, alert.id)
        if alert.severity in NOTIFIED_SEVERITIES and (self._fallback is None or not self._fallback.takes(alert)):
            drop_alert(tx, alert, sentence("Alertmanager refuses it ({why})", why=why))
        else:
            title = sentence("Alertmanager refuses an alert: {title}", title=alert.title)
            add_to_timeline(
                tx, tx.now, Entry("alert.rejected", title, "error", alert.component, why, alert_id=alert.id)
            )


def waiting(alerts: Iterable[OpenAlert]) -> list[OpenAlert]:
    """The alerts that wait for their first delivery."""
    return [alert for alert in alerts if not alert.delivered and not alert.rejected]


def _mark_delivered(tx: Transaction, sent: OpenAlert, now: float, *, leased: bool) -> None:
    """Alertmanager has it, and until when; people will hear of its count if that is soon after its first delivery."""
    current = tx.get(ALERTS, sent.key)
    if current is None or current.identity != sent.identity:
        return  # it gave way meanwhile, and ends there by itself
    collected = COLLECTED_CRITICAL_SECONDS if sent.severity == SEVERITIES[-1] else COLLECTED_SECONDS
    announced = sent.count if now - (sent.delivered or now) < collected else current.announced_count
    changed = msgspec.structs.replace(
        current,
        delivered=current.delivered or now,
        ends=max(current.ends, sent.ends),
        announced_count=announced,
        leased=leased,
    )
    if changed != current:
        tx.put(ALERTS, sent.key, changed)


def _change_alert(tx: Transaction, alert: OpenAlert, **changes: float) -> OpenAlert | None:
    """Change what is kept of an alert, if it is still open."""
    current = tx.get(ALERTS, alert.key)
    if current is None or current.identity != alert.identity:
        return None
    changed = msgspec.structs.replace(current, **changes)
    tx.put(ALERTS, alert.key, changed)
    return changed


def _count_outcome(tx: Transaction, outcome: Outcome) -> None:
    amounts = ((OK, outcome.requests), (FAILED, outcome.error is not None), (REJECTED, len(outcome.rejected)))
    for result, amount in amounts:
        if amount:
            tx.inc(RELAY_DELIVERIES, (DESTINATION, result), amount)
