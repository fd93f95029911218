"""Alerts raised by scripts, their way to Alertmanager, and the notifications that came of all alerts.

::

    vv_alert_events_total{component="scan_video.py",severity="error"} 2.0
    vv_relay_queue 0.0
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.context import Context
from vv_exporter.delivery.relay import waiting
from vv_exporter.metrics import gauges
from vv_exporter.metrics.alerts import (
    ALERT_EVENTS,
    ALERT_SUPPRESSED,
    ALERTS_DROPPED,
    NOTIFICATIONS_LOGGED,
    RELAY_DELIVERIES,
    RELAY_OLDEST,
    RELAY_QUEUE,
)
from vv_exporter.state.openalerts import ALERTS
from vv_exporter.state.store import Store


class AlertsCollector:
    """Shows what became of alerts; `delivery` runs what brings them to people."""

    name = "alerts"

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterable[Family]:
        """All families of alerts."""
        for metric in (ALERT_EVENTS, ALERT_SUPPRESSED, ALERTS_DROPPED, RELAY_DELIVERIES, NOTIFICATIONS_LOGGED):
            yield stored(self._store, metric)
        queue = waiting(self._store.docs(ALERTS).values())
        yield gauges(RELAY_QUEUE, [((), len(queue))])
        yield gauges(RELAY_OLDEST, [((), min((alert.first for alert in queue), default=0.0))])


def build(context: Context) -> AlertsCollector:
    """Make the collector."""
    return AlertsCollector(context.store)
