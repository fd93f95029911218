"""docs/metrics.md, written from the catalogue of metrics and from the rules that use them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.reference import ruleset
from vv_exporter import metrics
from vv_exporter.metrics import Metric

_HEAD = """\
# Metrics

<!-- Written by `python -m tools.reference`; change exporter/vv_exporter/metrics/ instead. -->

What `/metrics` of the exporter shows, and which [alerts](alerts.md) are built on it. Times are Unix seconds, durations
seconds, sizes bytes, ratios 0 to 1. Prometheus adds `device` (by configuration), `instance` and `job` to each series;
where a series has a label `job` of its own, that one is kept.

Counters begin at 0 with their first appearance wherever it is known beforehand, and tell when they were created
(`…_created`). A family has at most so many series as stated in the code (1,000 unless it says otherwise); beyond,
the longest untouched gives way, which `vv_series_limited_total` counts. A name in a label has at most 128 characters:
the end of a longer one is a hash of all of it. The exporter also shows `process_*` of itself.
"""


def page(source: Path) -> str:
    """The page, for the rules below `source`."""
    users = _users(source)
    return _HEAD + "".join(_chapter(title, families, users) for title, families in _domains())


def _domains() -> Iterator[tuple[str, list[Metric]]]:
    for info in pkgutil.iter_modules(metrics.__path__):
        module = importlib.import_module(f"{metrics.__name__}.{info.name}")
        families = [value for value in vars(module).values() if isinstance(value, Metric)]
        # The docstring's first paragraph; its code marks are Markdown already.
        yield " ".join((module.__doc__ or "").split("\n\n")[0].split()).rstrip("."), families


def _users(source: Path) -> dict[str, set[str]]:
    """The alerts by the name of a series that they need."""
    rules = [rule for file in ruleset.read(source) for rule in file.rules]
    found: dict[str, set[str]] = {}
    for rule in rules:
        if "alert" in rule:
            for name in ruleset.series(rule, rules):
                found.setdefault(name, set()).add(rule["alert"])
    return found


def _chapter(title: str, families: list[Metric], users: Mapping[str, set[str]]) -> str:
    rows = "\n".join(_row(metric, users) for metric in families)
    return f"\n## {title}\n\n| metric | type | labels | meaning | alerts |\n|---|---|---|---|---|\n{rows}\n"


def _row(metric: Metric, users: Mapping[str, set[str]]) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    names = sorted({alert for name in (metric.name, *metric.sample_names()) for alert in users.get(name, ())})
    alerts = ", ".join(f"[{name}](runbooks/{name}.md)" for name in names)
    meaning = metric.help.replace("|", r"\|")
    return f"| `{metric.name}` | {metric.type} | {labels} | {meaning} | {alerts} |"
