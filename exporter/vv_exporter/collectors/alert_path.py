"""The beat that goes round by Prometheus and Alertmanager, and what is known of its way.

::

    vv_alert_path_beat_timestamp_seconds 1.7e+09
    vv_alert_path_up 1.0
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.context import Context
from vv_exporter.metrics import gauges
from vv_exporter.metrics.alert_path import BEAT, LAST_BEAT, LATENCY, UP


class AlertPathCollector:
    """Gives a beat away each time that it is asked."""

    name = "alert_path"

    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> Iterable[Family]:
        """The beat, the verdict, and the newest beat that came back."""
        beats = self._context.beats
        newest, up = beats.newest, beats.verdict.up if beats.verdict else None
        yield gauges(BEAT, [((), beats.show())])
        yield gauges(UP, [] if up is None else [((), float(up))])
        yield gauges(LATENCY, [] if newest is None else [((), newest.latency)])
        yield gauges(LAST_BEAT, [((), 0.0 if newest is None else newest.time)])


def build(context: Context) -> AlertPathCollector:
    """Make the collector."""
    return AlertPathCollector(context)
