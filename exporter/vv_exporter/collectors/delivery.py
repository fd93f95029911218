"""How alerts get to people: each channel, the direct way, Alertmanager as it is seen, and what no channel has taken.

::

    vv_notifications_total{channel="slack",result="ok"} 12.0
    vv_channel_last_failure_timestamp_seconds{channel="slack"} 0.0
    vv_alertmanager_up 1.0
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.alerting import Delivery
from vv_exporter.collectors._store import stored
from vv_exporter.delivery.accounts import ACCOUNTS, undelivered
from vv_exporter.delivery.channel_health import CHANNELS, Channel
from vv_exporter.delivery.direct import OUTGOING
from vv_exporter.metrics import gauges
from vv_exporter.metrics.delivery import (
    ALERTMANAGER_DOWN_SECONDS,
    ALERTMANAGER_UP,
    ALERTS_MISSED,
    ALERTS_UNTOLD,
    CHANNEL_ERROR,
    CHANNEL_FAILURE,
    CHANNEL_SUCCESS,
    DIRECT_QUEUE,
    NOTIFICATIONS,
)
from vv_exporter.services import Services
from vv_exporter.state.store import Store


class DeliveryCollector:
    """Shows the relay, the direct way and the accounts."""

    name = "delivery"

    def __init__(self, store: Store, delivery: Delivery) -> None:
        self._store = store
        self._delivery = delivery

    def collect(self) -> Iterable[Family]:
        """All families of the delivery."""
        yield stored(self._store, NOTIFICATIONS)
        yield stored(self._store, ALERTS_MISSED)
        known = self._store.docs(CHANNELS)
        states = {name: known.get(name, Channel()) for name in self._delivery.channels}
        yield gauges(CHANNEL_SUCCESS, [((name,), state.ok) for name, state in states.items()])
        yield gauges(CHANNEL_FAILURE, [((name,), state.failed) for name, state in states.items()])
        yield gauges(CHANNEL_ERROR, [((name, state.error), 1) for name, state in states.items() if state.since])
        queues = dict.fromkeys(self._delivery.direct, 0)
        for one in self._store.docs(OUTGOING).values():
            for name in one.left:
                queues[name] = queues.get(name, 0) + 1
        yield gauges(DIRECT_QUEUE, [((name,), count) for name, count in queues.items()])
        yield gauges(ALERTS_UNTOLD, [((), len(undelivered(self._store.docs(ACCOUNTS).values())))])
        down = self._delivery.watch.seen.down
        yield gauges(ALERTMANAGER_UP, [((), 0 if down else 1)])
        yield gauges(ALERTMANAGER_DOWN_SECONDS, [((), down)])


def build(services: Services) -> DeliveryCollector:
    """Make the collector."""
    return DeliveryCollector(services.store, services.delivery)
