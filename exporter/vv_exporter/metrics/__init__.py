"""The catalogue of everything that `/metrics` shows: each family is declared once, in the file of its domain.

A new family is a constant in one of this folder's modules (or a new module); collectors and folds import it from
there, and the reference page, the checks of rules and the store's limits follow from it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

from prometheus_client.core import Metric as Family

from vv_core.common.texts import MAX_NAME, encodable, label
from vv_exporter.common.families import CounterShape, GaugeShape, HistogramShape, ShapedFamily

MAX_TEXT = 1000
"""Characters of a label's value that is a text for people; of one that is a name, `vv_core.common.texts.MAX_NAME`."""

_TEXT_LABELS = frozenset({"error", "video", "kind"})  # `kind` holds a name, and what it is of
_FIXED_LABELS = frozenset({"result", "outcome", "cause", "severity"})

MetricType = Literal["counter", "gauge", "histogram"]
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One family: its full name (with `_total` for counters), its type, its help and the names of its labels.

    `buckets` are a histogram's upper bounds in base units, ascending, without `+Inf`. `limit` bounds how many series
    the family may have; beyond it the longest untouched gives way, counted in `vv_series_limited_total{metric}`.
    """

    name: str
    type: MetricType
    help: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()
    limit: int = 1000

    def subject(self, labels: Labels) -> Labels:
        """What these label values are about: without those of few values, such as `result`. Its series go together."""
        pairs = zip(self.labels, labels, strict=True)
        return tuple(value for name, value in pairs if name not in _FIXED_LABELS) or labels

    def sample_names(self) -> tuple[str, ...]:
        """The names under which the family's samples can be queried in Prometheus."""
        if self.type == "histogram":
            return tuple(f"{self.name}_{suffix}" for suffix in ("bucket", "sum", "count"))
        return (self.name,)


def gauge(name: str, help: str, *labels: str) -> Metric:
    """Declare a gauge."""
    return Metric(name, "gauge", help, labels)


def counter(name: str, help: str, *labels: str) -> Metric:
    """Declare a counter; its name ends in `_total`."""
    return Metric(name, "counter", help, labels)


def histogram(name: str, help: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    """Declare a histogram with upper bounds `buckets`, without `+Inf`."""
    return Metric(name, "histogram", help, labels, buckets)


@cache
def all_metrics() -> Mapping[str, Metric]:
    """Every declared family by name, in the order of the files and of their lines."""
    found: dict[str, Metric] = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, Metric) and found.setdefault(value.name, value) is not value:
                raise ValueError(f"metric {value.name} is declared twice")
    return found


def label_values(labels: Labels) -> Labels:
    """The names as they stand in labels: of bounded length, in UTF-8, and no two of them alike."""
    for value in labels:
        if len(value) > MAX_NAME or not value.isprintable():
            return tuple(map(label, labels))
    return labels


def _exposed_labels(metric: Metric, labels: Labels) -> Labels:
    if len(labels) == 1 or not _TEXT_LABELS.intersection(metric.labels):
        return label_values(labels)
    pairs = zip(metric.labels, labels, strict=True)
    return tuple(encodable(value[:MAX_TEXT]) if name in _TEXT_LABELS else label(value) for name, value in pairs)


def gauges(metric: Metric, values: Iterable[tuple[Labels, float]]) -> Family:
    """The exposition of a gauge with these values by label values."""
    return ShapedFamily(
        _gauge_shape(metric), metric.help, ((labels, _positive_zero(value)) for labels, value in values)
    )


def counters(metric: Metric, values: Iterable[tuple[Labels, float, float | None]]) -> Family:
    """The exposition of a counter with (label values, value, time of creation in Unix seconds or None)."""
    rows = (
        (labels, (_positive_zero(value), None if created is None else _positive_zero(created)))
        for labels, value, created in values
    )
    return ShapedFamily(_counter_shape(metric), metric.help, rows)


def histograms(metric: Metric, values: Iterable[tuple[Labels, Iterable[int], float, float]]) -> Family:
    """The exposition of a histogram with (label values, counts per bucket with +Inf last, sum, time of creation)."""
    rows = (
        (labels, (tuple(counts), _positive_zero(total), _positive_zero(created)))
        for labels, counts, total, created in values
    )
    return ShapedFamily(_histogram_shape(metric), metric.help, rows)


@cache
def _gauge_shape(metric: Metric) -> GaugeShape:
    return GaugeShape(metric.name, metric.help, metric.labels, partial(_exposed_labels, metric))


@cache
def _counter_shape(metric: Metric) -> CounterShape:
    return CounterShape(
        metric.name.removesuffix("_total"), metric.help, metric.labels, partial(_exposed_labels, metric)
    )


@cache
def _histogram_shape(metric: Metric) -> HistogramShape:
    return HistogramShape(metric.name, metric.help, metric.labels, partial(_exposed_labels, metric), metric.buckets)


def _positive_zero(value: float) -> float:
    return float(value) + 0.0  # without a minus before 0, so that equal numbers are one text
