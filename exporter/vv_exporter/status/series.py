"""The samples of a scrape, to be asked by metric and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import Metric as Family

from vv_exporter.metrics import Metric

Labels = Mapping[str, str]
Sample = tuple[Labels, float]
Name = Metric | str
"""A family, or the name of one that another part declares."""


class Series:
    """All samples of a scrape; a family is looked into when it is asked for, and ordered by a label when that is."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families: dict[str, list[Family]] = {}
        for family in families:
            self._families.setdefault(family.name, []).append(family)
        self._samples: dict[str, list[Sample]] = {}
        self._ordered: dict[tuple[str, str], dict[str, list[Sample]]] = {}

    def all(self, metric: Name, suffix: str = "") -> list[Sample]:
        """Every sample of a family (of a histogram's part, with its suffix)."""
        name = (metric if isinstance(metric, str) else metric.name) + suffix
        for family_name in (name, name.rpartition("_")[0]):
            for family in self._families.pop(family_name, ()):
                for sample in family.samples:
                    self._samples.setdefault(sample.name, []).append((sample.labels, float(sample.value)))
        return self._samples.get(name, [])

    def one(self, metric: Name, **labels: str) -> float | None:
        """The first sample with these labels."""
        return next((value for _, value in self._samples_having(metric, "", labels)), None)

    def sum(self, metric: Name, suffix: str = "", **labels: str) -> int:
        """The sum over all samples with these labels."""
        return int(sum(value for _, value in self._samples_having(metric, suffix, labels)))

    def _samples_having(self, metric: Name, suffix: str, labels: Labels) -> list[Sample]:
        """The samples with these labels, in their order."""
        if not labels:
            return self.all(metric, suffix)
        by_label = (self.by(metric, label, suffix).get(value, []) for label, value in labels.items())
        fewest = min(by_label, key=len)
        return [(has, value) for has, value in fewest if labels.items() <= has.items()]

    def names(self, label: str, *metrics: Name, suffix: str = "") -> list[str]:
        """The values that a label has in these families."""
        return sorted({has[label] for metric in metrics for has, _ in self.all(metric, suffix)})

    def by(self, metric: Name, label: str, suffix: str = "") -> Mapping[str, list[Sample]]:
        """The samples of a family by the value of a label; those without it are left out."""
        key = (metric if isinstance(metric, str) else metric.name) + suffix, label
        found = self._ordered.get(key)
        if found is None:
            found = self._ordered[key] = {}
            for has, value in self.all(metric, suffix):
                if label in has:
                    found.setdefault(has[label], []).append((has, value))
        return found

    def text(self, metric: Name, label: str, **labels: str) -> str:
        """The value of `label` in the sample of 1 that has these labels; of a state or an info."""
        found = (has[label] for has, value in self._samples_having(metric, "", labels) if value == 1)
        return next(found, "")
