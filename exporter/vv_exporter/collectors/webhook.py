"""The generic webhook: what waits for it. Nothing where it is not configured.

::

    vv_outbox_queue{destination="webhook"} 0.0
    vv_outbox_oldest_timestamp_seconds{destination="webhook"} 0.0
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.context import Context
from vv_exporter.delivery.webhook import OUTBOX
from vv_exporter.metrics import gauges
from vv_exporter.metrics.outbox import OUTBOX_OLDEST, OUTBOX_QUEUE


class WebhookCollector:
    """Shows the outbox."""

    name = "webhook"

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._is_configured = bool(context.settings.webhook_url)

    def collect(self) -> Iterable[Family]:
        """How many events wait, and since when."""
        if not self._is_configured:
            return
        added = [parcel.added for parcel in OUTBOX.waiting(self._store).values()]
        yield gauges(OUTBOX_QUEUE, [((OUTBOX.destination,), len(added))])
        yield gauges(OUTBOX_OLDEST, [((OUTBOX.destination,), min(added, default=0.0))])


def build(context: Context) -> WebhookCollector:
    """Make the collector."""
    return WebhookCollector(context)
