"""Families of `/metrics` that keep what does not change of their text from one scrape to the next.

A scrape of many subjects is mostly names and labels that were there before. They are escaped and joined once for each
series, and kept as long as it is shown; of a histogram the whole text is kept while nothing was counted in it. What
comes out is, byte for byte, what prometheus_client's encoder for OpenMetrics makes of the same samples, which are made
only for who asks for them.

The text format: OpenMetrics 1.0, "Text Format" (prometheus.io/docs/specs/om/open_metrics_spec).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar

from prometheus_client.core import Metric as Family
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from vv_core.common.texts import escaped

Labels = tuple[str, ...]
V = TypeVar("V")
Counted = tuple[float, float | None]
"""A counter's value and when it was created."""
Observed = tuple[tuple[int, ...], float, float]
"""A histogram's counts per bucket (+Inf last), sum, and when it was created."""


class _Head:
    """What stays the same of a series: its labels, and its names with them as text."""

    __slots__ = ("_kept", "labels", "text", "values", "with_bound")

    def __init__(self, names: Labels, values: Labels) -> None:
        self.values = tuple(map(escaped, values))
        self.labels = dict(zip(names, self.values, strict=True))
        pairs = sorted(self.labels.items())
        self.text = _braced_labels(_label_pair(*pair) for pair in pairs)
        bounded = [_label_pair(*pair) for pair in pairs]
        bounded.insert(sum(name < "le" for name, _ in pairs), 'le="%s"')
        self.with_bound = _braced_labels(part if part == 'le="%s"' else part.replace("%", "%%") for part in bounded)
        self._kept: tuple[Any, str] = (None, "")

    def kept(self, value: V, make: Callable[[_Head, V], str]) -> str:
        """What `make` gives for this value, made once while it stays the same."""
        before, text = self._kept
        if before != value:
            text = make(self, value)
            self._kept = value, text
        return text


class Shape(ABC, Generic[V]):
    """How the series of one metric are shown, and what is kept of them. Any thread may use it."""

    type = ""

    def __init__(self, name: str, help: str, labels: Labels, expose: Callable[[Labels], Labels]) -> None:
        """`expose` gives the values of labels as they are shown."""
        self.name = name
        self.header = f"# HELP {name} {_quoted_value(help)}\n# TYPE {name} {self.type}\n"
        self._labels = labels
        self._expose = expose
        self._heads: dict[Labels, _Head] = {}

    def heads(self, rows: Iterable[tuple[Labels, V]]) -> list[tuple[_Head, V]]:
        """The series with what is kept of them; of those that are not among them nothing is kept."""
        before, now = self._heads, dict[Labels, _Head]()
        found = []
        for labels, value in rows:
            head = before.get(labels) or _Head(self._labels, self._expose(labels))
            now[labels] = head
            found.append((head, value))
        self._heads = now
        return found

    @property
    def names(self) -> frozenset[str]:
        """All names that are exposed."""
        return frozenset({self.name})

    @abstractmethod
    def text(self, rows: Sequence[tuple[_Head, V]]) -> str:
        """The samples as OpenMetrics."""

    @abstractmethod
    def samples(self, rows: Sequence[tuple[_Head, V]]) -> list[Sample]:
        """The samples."""


class GaugeShape(Shape[float]):
    """Of gauges."""

    type = "gauge"

    def text(self, rows: Sequence[tuple[_Head, float]]) -> str:
        name = self.name
        return "".join([f"{name}{head.text} {_go_number(value)}\n" for head, value in rows])

    def samples(self, rows: Sequence[tuple[_Head, float]]) -> list[Sample]:
        return [Sample(self.name, head.labels, value) for head, value in rows]


class CounterShape(Shape[Counted]):
    """Of counters; the family's name is without `_total`."""

    type = "counter"

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.name, f"{self.name}_total", f"{self.name}_created"})

    def text(self, rows: Sequence[tuple[_Head, Counted]]) -> str:
        name = self.name
        return "".join(
            [
                f"{name}_total{head.text} {_go_number(value)}\n"
                if created is None
                else f"{name}_total{head.text} {_go_number(value)}\n{name}_created{head.text} {_go_number(created)}\n"
                for head, (value, created) in rows
            ]
        )

    def samples(self, rows: Sequence[tuple[_Head, Counted]]) -> list[Sample]:
        found = []
        for head, (value, created) in rows:
            found.append(Sample(f"{self.name}_total", head.labels, value))
            if created is not None:
                found.append(Sample(f"{self.name}_created", head.labels, created))
        return found


class HistogramShape(Shape[Observed]):
    """Of histograms with these upper bounds, without +Inf."""

    type = "histogram"

    def __init__(
        self, name: str, help: str, labels: Labels, expose: Callable[[Labels], Labels], bounds: tuple[float, ...]
    ) -> None:
        super().__init__(name, help, labels, expose)
        self._bounds = (*(repr(float(bound)) for bound in bounds), "+Inf")

    @property
    def names(self) -> frozenset[str]:
        return frozenset({self.name, *(f"{self.name}_{part}" for part in ("bucket", "sum", "count", "created"))})

    def text(self, rows: Sequence[tuple[_Head, Observed]]) -> str:
        return "".join([head.kept(value, self._series_lines) for head, value in rows])

    def _series_lines(self, head: _Head, value: Observed) -> str:
        counts, total, created = value
        bucket, running, lines = f"{self.name}_bucket{head.with_bound} %s\n", 0, []
        for bound, count in zip(self._bounds, counts, strict=True):
            running += count
            lines.append(bucket % (bound, _go_number(float(running))))
        lines.append(f"{self.name}_count{head.text} {_go_number(float(running))}\n")
        lines.append(f"{self.name}_sum{head.text} {_go_number(total)}\n")
        lines.append(f"{self.name}_created{head.text} {_go_number(created)}\n")
        return "".join(lines)

    def samples(self, rows: Sequence[tuple[_Head, Observed]]) -> list[Sample]:
        found, bucket = [], f"{self.name}_bucket"
        for head, (counts, total, created) in rows:
            running = 0
            for bound, count in zip(self._bounds, counts, strict=True):
                running += count
                found.append(Sample(bucket, {**head.labels, "le": bound}, running))
            found.append(Sample(f"{self.name}_count", head.labels, running))
            found.append(Sample(f"{self.name}_sum", head.labels, total))
            found.append(Sample(f"{self.name}_created", head.labels, created))
        return found


class ShapedFamily(Family, Generic[V]):
    """A family as prometheus_client knows them, whose samples are made when they are asked for."""

    def __init__(self, shape: Shape[V], help: str, rows: Iterable[tuple[Labels, V]]) -> None:
        super().__init__(shape.name, help, shape.type)
        del self.__dict__["samples"]  # what was made is kept there
        self._shape = shape
        self._rows = shape.heads(rows)

    @cached_property
    def samples(self) -> list[Sample]:  # type: ignore[override]
        """The samples; nobody may change them."""
        return self._shape.samples(self._rows)

    @property
    def exposed_names(self) -> frozenset[str]:
        """All names under which samples may appear."""
        return self._shape.names

    def check_series(self) -> None:
        """Raises `ValueError` where two series have the same labels."""
        seen = set[Labels]()
        for head, _ in self._rows:
            if head.values in seen:
                raise ValueError(f"duplicate series with the labels {head.labels}")
            seen.add(head.values)

    def open_metrics(self) -> str:
        """The family as OpenMetrics text."""
        return self._shape.header + self._shape.text(self._rows)


@lru_cache(maxsize=8192)
def _go_number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]


def _braced_labels(pairs: Iterable[str]) -> str:
    inside = ",".join(pairs)
    return f"{{{inside}}}" if inside else ""


def _label_pair(name: str, value: str) -> str:
    return f'{name}="{_quoted_value(value)}"'


def _quoted_value(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
