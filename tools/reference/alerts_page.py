"""docs/alerts.md, written from the rules, the inhibitions and the runbooks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tools.reference import ruleset
from tools.reference.ruleset import Rule, RuleFile
from vv_exporter.alert_path.message import ALERT_PATH_BROKEN
from vv_exporter.alert_path.unwritten import STATE_NOT_WRITABLE

_HEAD = """\
# Alerts

<!-- Written by `python -m tools.reference`; change prometheus/rules/, alertmanager/ or docs/runbooks/. -->

*critical* wakes somebody, *error* is for today, *warning* for this week, *info* is a record. Who is told of what, and
how often again, is in [alertmanager.yml](../alertmanager/alertmanager.yml); limits are [settings](configuration.md).
Each alert's name leads to its runbook. While an alert fires, what it silences is recorded and not sent: it follows from
it. The worse of two severities of one alert silences the other. Scripts raise alerts,
too: [VVEvent](runbooks/VVEvent.md).
"""
_DIRECT = """
## alert path

Told by the exporter itself, past Prometheus and Alertmanager ([delivery](delivery.md)).

| alert | severity | when | silences |
|---|---|---|---|
"""


def page(source: Path) -> str:
    """The page, for the rules, routes and runbooks below `source`."""
    files = ruleset.read(source)
    names = {rule["alert"] for file in files for rule in file.rules if "alert" in rule}
    silenced = ruleset.silenced(source, names)
    runbooks = source / "docs" / "runbooks"
    direct = "".join(f"{_line(name, 'critical', runbooks, '')}\n" for name in (ALERT_PATH_BROKEN, STATE_NOT_WRITABLE))
    return _HEAD + "".join(_chapter(file, silenced, runbooks) for file in files) + _DIRECT + direct


def _chapter(file: RuleFile, silenced: Mapping[str, Sequence[str]], runbooks: Path) -> str:
    alerts: dict[str, list[Rule]] = {}
    for rule in file.rules:
        if "alert" in rule:
            alerts.setdefault(rule["alert"], []).append(rule)
    rows = "\n".join(_row(name, rules, silenced.get(name, ()), runbooks) for name, rules in alerts.items())
    return f"\n## {file.domain}\n\n| alert | severity | when | silences |\n|---|---|---|---|\n{rows}\n"


def _row(name: str, rules: Iterable[Rule], silenced: Iterable[str], runbooks: Path) -> str:
    severities = ", ".join(dict.fromkeys(rule["labels"]["severity"] for rule in rules))
    return _line(name, severities, runbooks, ", ".join(silenced))


def _line(name: str, severities: str, runbooks: Path, silenced: str) -> str:
    described = when((runbooks / f"{name}.md").read_text(encoding="utf-8"))
    return f"| [{name}](runbooks/{name}.md) | {severities} | {described} | {silenced} |"


def when(runbook: str) -> str:
    """What a runbook's first paragraph says behind the severity."""
    _, first, *_ = runbook.split("\n\n")
    text = re.sub(r"\s+", " ", first.partition(" — ")[2] or first)
    return text.strip().replace("|", r"\|")
