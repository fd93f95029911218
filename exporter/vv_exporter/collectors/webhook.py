"""The generic webhook: delivers what waits for it, and shows what waits. Nothing where it is not configured.

::

    vv_outbox_queue{destination="webhook"} 0.0
    vv_outbox_oldest_timestamp_seconds{destination="webhook"} 0.0
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.context import Context
from vv_exporter.delivery.drill_hook import note_parcel
from vv_exporter.delivery.outbox import RESULTS, Courier
from vv_exporter.delivery.webhook import OUTBOX, Webhook
from vv_exporter.metrics import gauges
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.metrics.outbox import OUTBOX_OLDEST, OUTBOX_QUEUE
from vv_exporter.state.database import StoreError


class WebhookCollector:
    """Runs the courier."""

    name = "webhook"

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._courier: Courier | None = None
        if context.settings.webhook_url:
            webhook = Webhook(context.settings.webhook_url, context.clock)
            self._courier = Courier(context.store, OUTBOX, webhook, context.clock, context.monotonic, note_parcel)

    def start(self) -> None:
        """Begin to deliver."""
        with contextlib.suppress(StoreError), self._store.transaction() as tx:
            if self._courier is None:
                OUTBOX.clear(tx)  # of a webhook that was configured once
                return
            tx.ensure(RELAY_DELIVERIES, *((OUTBOX.destination, result) for result in RESULTS))
        if self._courier is not None:
            self._courier.start()

    def stop(self) -> None:
        """End."""
        if self._courier is not None:
            self._courier.stop()

    def collect(self) -> Iterable[Family]:
        """How many events wait, and since when."""
        if self._courier is None:
            return
        added = [parcel.added for parcel in OUTBOX.waiting(self._store).values()]
        yield gauges(OUTBOX_QUEUE, [((OUTBOX.destination,), len(added))])
        yield gauges(OUTBOX_OLDEST, [((OUTBOX.destination,), min(added, default=0.0))])


def build(context: Context) -> WebhookCollector:
    """Make the collector."""
    return WebhookCollector(context)
