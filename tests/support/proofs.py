"""The unit tests of the rules as a source of series: what promtool is shown before it says that an alert fires.

for proof in proofs():
    proof.alert, proof.labels, proof.annotations      what must come
    proof.history(until=now)                          OpenMetrics, its last moment at `until`
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

TESTS = sorted((Path(__file__).parents[1] / "rules").glob("*_test.yml"))
SELECTOR = re.compile(r"(?P<name>[\w:]+)\{(?P<labels>.*)\}")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
NUMBER = r"(?:\d[\d.]*(?:e[-+]?\d+)?|NaN|Inf)"
VALUES = re.compile(rf"(?P<first>[-+]?{NUMBER})(?P<step>[-+]{NUMBER})?(?:x(?P<more>\d+))?")
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Series:
    """A series and its values, one an interval from 0 on; None where it has none."""

    name: str
    labels: dict[str, str]
    values: list[float | None]
    stale: tuple[int, ...] = ()
    """Where it goes stale."""

    def at(self, index: int) -> float | None:
        """The value there."""
        return self.values[index] if index < len(self.values) else None

    def is_gone(self, index: int) -> bool:
        """Whether it has gone stale, and not come again. A gap alone is none: Prometheus looks back five minutes."""
        ends = [end for end in self.stale if 0 < end <= index]
        return bool(ends) and all(value is None for value in self.values[ends[-1] : index + 1])

    def moved(self, value: float, seconds: float) -> float:
        """A value some time later: a Unix time, where 0 may stand for none, has moved; others have not."""
        is_time = self.name.endswith("_time_seconds") or (self.name.endswith("_timestamp_seconds") and value)
        return value + seconds if is_time else value

    def exposed(self, value: float, moved: float, prefix: str = "") -> str:
        """A line of the exposition, so many seconds later; labels are called `prefix` and their name."""
        labels = ",".join(f'{prefix}{name}="{text}"' for name, text in self.labels.items())
        return f"{self.name}{{{labels}}} {self.moved(value, moved)!r}"


@dataclass(frozen=True)
class Proof:
    """An alert that fires at a time (`at` seconds after the first sample), because of these series."""

    alert: str
    labels: dict[str, str]
    annotations: dict[str, str]
    at: float
    interval: float
    series: list[Series] = field(repr=False)

    @property
    def severity(self) -> str:
        """The severity that it fires with."""
        return self.labels["severity"]

    @property
    def name(self) -> str:
        """Alert and severity: a device of that name is this proof's alone."""
        return f"{self.alert}.{self.severity}"

    @property
    def last(self) -> int:
        """The index of the newest value at its time."""
        return int(self.at // self.interval)

    @property
    def can_be_shown(self) -> bool:
        """Whether a real Prometheus can be shown its series among those of others."""
        return "device" in self.labels and all("device" in one.labels for one in self.series)

    def on_a_device_of_its_own(self) -> Proof:
        """The same on the device `name`; other devices that take part become others of its own."""
        device = self.labels["device"]

        def moved(text: str) -> str:
            return re.sub(r"\bedge-\w+", lambda found: self.name + ("" if found[0] == device else f".{found[0]}"), text)

        return replace(
            self,
            labels={name: moved(text) for name, text in self.labels.items()},
            annotations={name: moved(text) for name, text in self.annotations.items()},
            series=[
                replace(one, labels={name: moved(text) for name, text in one.labels.items()}) for one in self.series
            ],
        )

    def history(self, until: float) -> Iterator[str]:
        """All samples up to its time, which is `until` (Unix seconds)."""
        moved = until - self.at
        for one in self.series:
            for index, value in enumerate(one.values[: self.last + 1]):
                if value is not None:
                    yield f"{one.exposed(value, moved)} {moved + index * self.interval:.3f}"

    def held(self, until: float, prefix: str) -> Iterator[str]:
        """The values at its time, of the series that have one, for a target that keeps them as they are."""
        for one in self.series:
            if (value := one.at(self.last)) is not None:
                yield one.exposed(value, until - self.at, prefix)

    def gone(self, until: float, prefix: str) -> Iterator[str]:
        """The last values of the series that have gone stale, for a target that has them once and never again."""
        for one in self.series:
            if one.is_gone(self.last):
                value = next(value for value in reversed(one.values[: self.last]) if value is not None)
                yield one.exposed(value, until - self.at, prefix)


def proofs() -> list[Proof]:
    """For each alert and severity the first test in which it fires on a device with a name."""
    found: dict[str, Proof] = {}
    for file in TESTS:
        for proof in _of(yaml.safe_load(file.read_text())):
            if proof.can_be_shown:
                found.setdefault(proof.name, proof)
    return list(found.values())


def _of(document: dict[str, Any]) -> Iterator[Proof]:
    for test in document["tests"]:
        interval = seconds(test.get("interval") or document["evaluation_interval"])
        series = [parsed(one["series"], str(one["values"])) for one in test["input_series"]]
        for case in test.get("alert_rule_test", []):
            for expected in case["exp_alerts"]:
                yield Proof(
                    case["alertname"],
                    {"alertname": case["alertname"], **expected["exp_labels"]},
                    expected["exp_annotations"],
                    seconds(case["eval_time"]),
                    interval,
                    series,
                )


def parsed(selector: str, values: str) -> Series:
    """A series in promtool's notation: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/"""
    found = SELECTOR.fullmatch(selector) or SELECTOR.fullmatch(selector + "{}")
    assert found, selector
    listed: list[float | None] = []
    stale = []
    for part in values.split():
        if part == "stale":
            stale.append(len(listed))
        listed += _values(part)
    return Series(found["name"], dict(LABEL.findall(found["labels"])), listed, tuple(stale))


def _values(part: str) -> list[float | None]:
    """`a+bxn` is a and n more, `_xn` is n times nothing."""
    if part.startswith(("_", "stale")):
        return [None] * int(part.partition("x")[2] or 1)
    found = VALUES.fullmatch(part)
    assert found, part
    first, step = float(found["first"]), float(found["step"] or 0)
    return [first + step * index for index in range(int(found["more"] or 0) + 1)]


def seconds(duration: str) -> float:
    """A duration as Prometheus writes it."""
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|[smhd])", duration))
