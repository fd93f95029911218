"""Families that the store holds, as they are exposed."""

from __future__ import annotations

from prometheus_client.core import Metric as Family

from vv_exporter.metrics import Metric, counters, gauges, histograms
from vv_exporter.state.store import Store


def stored(store: Store, metric: Metric) -> Family:
    """The exposition of a family that lives in the store, as it was last committed."""
    series = store.series(metric)
    if metric.type == "counter":
        return counters(metric, ((labels, one.value, one.created) for labels, one in series))
    if metric.type == "histogram":
        return histograms(metric, ((labels, one.counts, one.value, one.created) for labels, one in series))
    return gauges(metric, ((labels, one.value) for labels, one in series))
