"""Sees alerts through to Alertmanager: again and again until they end, however often either side is restarted.

The store's documents are the outbox. An alert is sent as soon as it is there or has changed, then every
`RESEND` seconds (Alertmanager keeps alerts in memory only), and it does not end before it was delivered once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from vv_exporter.accounts import TOLD
from vv_exporter.loop import Backoff, Loop
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.openalerts import ALERTS, OpenAlert
from vv_exporter.relay.alertmanager import DeliveryError
from vv_exporter.store import Store, Transaction

log = logging.getLogger(__name__)

RESEND = 60.0  # seconds after which an alert that still lasts is sent again
BACKOFF_MAX = 30.0  # seconds between tries when Alertmanager does not take alerts
BATCH = 64  # alerts a request
COLLECTED = 5.0  # seconds after its first delivery in which an alert's repeats are still told with it (group_wait)
REPEATS_INTERVAL = 3600.0  # seconds between messages that tell of repeats
DESTINATION = "alertmanager"


class Destination(Protocol):
    """Where alerts go."""

    def send(self, alerts: list[dict[str, Any]]) -> None:
        """Send alerts. Raises `DeliveryError` when they were not taken."""
        ...


class Aside(Protocol):
    """The other way, for while the destination does not take alerts."""

    def __call__(self) -> None:
        """Take over what has waited for too long."""
        ...

    def ended(self, tx: Transaction, alert: OpenAlert) -> None:
        """An alert has ended."""
        ...


class Relay:
    """The worker. `present` turns an alert into what the destination takes; `window` is how long alerts last.

    `aside` is asked before each round, in the same thread: no alert goes both ways at once. `repeats` presents an alert
    whose count has grown since people were told of it: they are told when it ends, or has lasted for another hour.
    """

    def __init__(
        self,
        store: Store,
        destination: Destination,
        present: Callable[[OpenAlert], dict[str, Any]],
        window: float,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        aside: Aside | None = None,
        repeats: Callable[[OpenAlert, float], dict[str, Any]] | None = None,
    ) -> None:
        self._store = store
        self._repeats = repeats
        self._aside = aside
        self._destination = destination
        self._present = present
        self._window = window
        self._clock = clock
        self._monotonic = monotonic
        self._sent: dict[str, tuple[OpenAlert, float]] = {}
        self._backoff = Backoff(BACKOFF_MAX, monotonic)
        self._loop = Loop("relay", "alerts", self.round)
        store.when_changed(ALERTS, self._loop.wake)

    def start(self) -> None:
        """Begin to send."""
        self._loop.start()

    def stop(self) -> None:
        """End; what was not sent is sent after the next start."""
        self._loop.stop()

    @property
    def taking(self) -> bool:
        """Whether the destination took what it was sent last."""
        return not self._backoff.failures

    def wake(self) -> None:
        """Look soon; returns at once."""
        self._loop.wake()

    def round(self) -> bool:
        """Send what is due, once. Gives whether there are alerts."""
        self._forget_ended()
        if self._aside is not None:
            self._aside()
        if not self._backoff.ready():
            return True
        self._tell_repeats()
        due = [alert for alert in self._store.docs(ALERTS).values() if self._due(alert)]
        for start in range(0, len(due), BATCH):
            if not self._deliver(due[start : start + BATCH]):
                break
        return self._store.count(ALERTS) > 0

    def _repeats_due(self, alert: OpenAlert) -> bool:
        if self._repeats is None or alert.count <= alert.told or not alert.delivered or alert.severity not in TOLD:
            return False
        now = self._clock()
        return alert.ends <= now or now - (alert.told_at or alert.delivered) >= REPEATS_INTERVAL

    def _tell_repeats(self) -> None:
        due = [alert for alert in self._store.docs(ALERTS).values() if self._repeats_due(alert)][:BATCH]
        if not due or self._repeats is None:
            return
        now = self._clock()
        try:
            self._destination.send([self._repeats(alert, now) for alert in due])
        except DeliveryError as error:
            self._failed(error)
            return
        with self._store.transaction() as tx:
            for alert in due:
                current = tx.get(ALERTS, alert.key)
                if current is not None:
                    tx.put(ALERTS, alert.key, msgspec.structs.replace(current, told=alert.count, told_at=now))

    def _due(self, alert: OpenAlert) -> bool:
        known = self._sent.get(alert.key)
        return known is None or known[0] is not alert or self._monotonic() - known[1] >= RESEND

    def _deliver(self, alerts: list[OpenAlert]) -> bool:
        now = self._clock()
        first = [alert for alert in alerts if not alert.delivered]
        # What waited for longer than it would have lasted lasts from now: Alertmanager must see it firing.
        lasting = {alert.key: max(alert.ends, now + self._window) for alert in first}
        shown = [
            msgspec.structs.replace(alert, ends=lasting[alert.key]) if alert.key in lasting else alert
            for alert in alerts
        ]
        try:
            self._destination.send([self._present(alert) for alert in shown])
        except DeliveryError as error:
            self._failed(error)
            return False
        if self._backoff.failures:
            log.info("alerts are taken again")
        self._backoff.succeeded()
        with self._store.transaction() as tx:
            tx.inc(RELAY_DELIVERIES, (DESTINATION, "ok"))
            for alert in first:
                _mark_delivered(tx, alert.key, now, lasting[alert.key])
            for alert in alerts:
                if now - (alert.delivered or now) < COLLECTED:
                    _mark_told(tx, alert.key, alert.count)
        for alert in alerts:
            current = self._store.document(ALERTS, alert.key)
            unchanged = current is not None and current.count == alert.count
            self._sent[alert.key] = (current if unchanged and current else alert, self._monotonic())
        return True

    def _failed(self, error: DeliveryError) -> None:
        if not self._backoff.failures:
            log.warning("alerts wait, will try again: %s", error)
        self._backoff.failed()
        with self._store.transaction() as tx:
            tx.inc(RELAY_DELIVERIES, (DESTINATION, "failed"))

    def _forget_ended(self) -> None:
        now = self._clock()
        ended = [
            key
            for key, alert in self._store.docs(ALERTS).items()
            if alert.delivered and alert.ends <= now and not self._repeats_due(alert)
        ]
        if not ended:
            return
        with self._store.transaction() as tx:
            for key in ended:
                alert = tx.get(ALERTS, key)
                if alert is not None and alert.ends <= now and not self._repeats_due(alert):  # not repeated meanwhile
                    tx.delete(ALERTS, key)
                    if self._aside is not None:
                        self._aside.ended(tx, alert)
        for key in ended:
            self._sent.pop(key, None)


def waiting(alerts: Iterable[OpenAlert]) -> list[OpenAlert]:
    """The alerts that were never delivered."""
    return [alert for alert in alerts if not alert.delivered]


def _mark_told(tx: Transaction, key: str, count: int) -> None:
    alert = tx.get(ALERTS, key)
    if alert is not None and alert.told != count:
        tx.put(ALERTS, key, msgspec.structs.replace(alert, told=count))


def _mark_delivered(tx: Transaction, key: str, now: float, ends: float) -> None:
    alert = tx.get(ALERTS, key)
    if alert is not None:
        tx.put(ALERTS, key, msgspec.structs.replace(alert, delivered=now, ends=max(alert.ends, ends)))
