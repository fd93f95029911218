"""The samples of a scrape, to be asked by metric and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import Metric as Family

from vv_exporter.metrics import Metric

Labels = Mapping[str, str]
Name = Metric | str
"""A family, or the name of one that another part declares."""


class Series:
    """All samples of a scrape."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._samples: dict[str, list[tuple[Labels, float]]] = {}
        for family in families:
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append((sample.labels, float(sample.value)))

    def all(self, metric: Name, suffix: str = "") -> list[tuple[Labels, float]]:
        """Every sample of a family (of a histogram's part, with its suffix)."""
        return self._samples.get((metric if isinstance(metric, str) else metric.name) + suffix, [])

    def one(self, metric: Name, **labels: str) -> float | None:
        """The first sample with these labels."""
        return next((value for has, value in self.all(metric) if labels.items() <= has.items()), None)

    def sum(self, metric: Name, suffix: str = "", **labels: str) -> int:
        """The sum over all samples with these labels."""
        return int(sum(value for has, value in self.all(metric, suffix) if labels.items() <= has.items()))

    def names(self, label: str, *metrics: Name, suffix: str = "") -> list[str]:
        """The values that a label has in these families."""
        return sorted({has[label] for metric in metrics for has, _ in self.all(metric, suffix)})

    def by(self, metric: Name, label: str) -> dict[str, list[tuple[Labels, float]]]:
        """The samples of a family by the value of a label."""
        found: dict[str, list[tuple[Labels, float]]] = {}
        for has, value in self.all(metric):
            found.setdefault(has[label], []).append((has, value))
        return found

    def text(self, metric: Name, label: str, **labels: str) -> str:
        """The value of `label` in the sample of 1 that has these labels; of a state or an info."""
        found = (has[label] for has, value in self.all(metric) if value == 1 and labels.items() <= has.items())
        return next(found, "")
