"""docs/alerts.md and docs/LANGUAGE/alerts.md, written from the rules, the inhibitions and that language's runbooks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tools.reference import ruleset
from tools.reference.ruleset import Rule, RuleFile
from vv_exporter.alert_path.message import ALERT_PATH_BROKEN
from vv_exporter.alert_path.unwritten import STATE_NOT_WRITABLE

_HEAD = """\
# Alerts

[Português](pt-BR/alerts.md)

<!-- Written by `python -m tools.reference`; change prometheus/rules/, alertmanager/ or docs/runbooks/. -->

*critical* wakes somebody, *error* is for today, *warning* for this week, *info* is a record. Who is told of what, and
how often again, is in [alertmanager.yml](../alertmanager/alertmanager.yml); limits are [settings](configuration.md).
Each alert's name leads to its runbook. While an alert fires, what it silences is recorded and not sent: it follows from
it. The worse of two severities of one alert silences the other. Scripts raise alerts,
too: [VVEvent](runbooks/VVEvent.md).
"""
_TABLE = "| alert | severity | when | silences |\n|---|---|---|---|\n"
_DIRECT = """
## alert path

Told by the exporter itself, past Prometheus and Alertmanager ([delivery](delivery.md)).

"""


class Words(NamedTuple):
    """What a language's page says around its rows: at the top, as the head of each table, above the last table."""

    head: str
    table: str
    direct: str


class Runbooks(NamedTuple):
    """The runbooks of a language, and those in the place of what it lacks."""

    folder: Path
    english: Path

    def read(self, name: str) -> str:
        """The runbook of that name."""
        paths = (folder / f"{name}.md" for folder in self)
        return next(path for path in paths if path.exists()).read_text(encoding="utf-8")


def page(source: Path) -> str:
    """The page, for the rules, routes and runbooks below `source`."""
    english = source / "docs" / "runbooks"
    return _page(source, Words(_HEAD, _TABLE, _DIRECT), Runbooks(english, english))


def translated(source: Path, language: str) -> str:
    """The page of another language: its words as they stand in it, rows made of its runbooks."""
    docs = source / "docs"
    written = (docs / language / "alerts.md").read_text(encoding="utf-8")
    head, *_, last = re.split(r"^## ", written, flags=re.MULTILINE)
    direct, table, _ = re.split(r"^(\|.*\n\|[-|]+\n)", last, maxsplit=1, flags=re.MULTILINE)
    words = Words(head.rstrip("\n") + "\n", table, f"\n## {direct}")
    return _page(source, words, Runbooks(docs / language / "runbooks", docs / "runbooks"))


def _page(source: Path, words: Words, runbooks: Runbooks) -> str:
    files = ruleset.read(source)
    names = {rule["alert"] for file in files for rule in file.rules if "alert" in rule}
    silenced = ruleset.silenced(source, names)
    chapters = "".join(_chapter(file, silenced, words, runbooks) for file in files)
    direct = "".join(f"{_line(name, 'critical', runbooks, '')}\n" for name in (ALERT_PATH_BROKEN, STATE_NOT_WRITABLE))
    return words.head + chapters + words.direct + words.table + direct


def _chapter(file: RuleFile, silenced: Mapping[str, Sequence[str]], words: Words, runbooks: Runbooks) -> str:
    alerts: dict[str, list[Rule]] = {}
    for rule in file.rules:
        if "alert" in rule:
            alerts.setdefault(rule["alert"], []).append(rule)
    rows = "\n".join(_row(name, rules, silenced.get(name, ()), runbooks) for name, rules in alerts.items())
    return f"\n## {file.domain}\n\n{words.table}{rows}\n"


def _row(name: str, rules: Iterable[Rule], silenced: Iterable[str], runbooks: Runbooks) -> str:
    severities = ", ".join(dict.fromkeys(rule["labels"]["severity"] for rule in rules))
    return _line(name, severities, runbooks, ", ".join(silenced))


def _line(name: str, severities: str, runbooks: Runbooks, silenced: str) -> str:
    described = when(runbooks.read(name))
    return f"| [{name}](runbooks/{name}.md) | {severities} | {described} | {silenced} |"


def when(runbook: str) -> str:
    """What a runbook's first paragraph says behind the severity."""
    _, first, *_ = runbook.split("\n\n")
    text = re.sub(r"\s+", " ", first.partition(" — ")[2] or first)
    return text.strip().replace("|", r"\|")
