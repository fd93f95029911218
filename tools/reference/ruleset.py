"""What the committed rules and routes say, for the pages that are written from them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vv_exporter.render import base

Rule = dict[str, Any]
_SERIES = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"(.*)"')


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A file of rules: its domain is its name."""

    domain: str
    rules: Sequence[Rule]


def read(source: Path) -> list[RuleFile]:
    """The rule files below `source`, by name."""
    return [
        RuleFile(path.stem, [rule for group in base.load(path)["groups"] for rule in group["rules"]])
        for path in sorted((source / "prometheus" / "rules").glob("*.yml"))
    ]


def series(rule: Rule, rules: Iterable[Rule]) -> set[str]:
    """The names of the series that a rule's expression needs, those of the rules that it is built on included."""
    recorded: dict[str, list[Rule]] = {}
    for other in rules:
        if "record" in other:
            recorded.setdefault(other["record"], []).append(other)
    found: set[str] = set()
    waiting = [str(rule["expr"])]
    while waiting:
        fresh = set(_SERIES.findall(waiting.pop())) - found
        found |= fresh
        waiting += [str(one["expr"]) for name in fresh for one in recorded.get(name, ())]
    return found


def silenced(source: Path, names: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """By alert that silences others: those others, of `names`. One announced in another way silences itself."""
    known = sorted(names)
    found: dict[str, list[str]] = {}
    for inhibition in base.load(source / "alertmanager" / "alertmanager.yml")["inhibit_rules"]:
        for cause in _named(inhibition["source_matchers"], known):
            found.setdefault(cause, []).extend(
                name
                for name in _named(inhibition["target_matchers"], known)
                if name not in (cause, *found.get(cause, ()))
            )
    return found


def _named(matchers: Iterable[str], known: Iterable[str]) -> list[str]:
    """The alerts that matchers ask for by name; none where they ask for none."""
    for matcher in matchers:
        label, operator, value = _MATCHER.fullmatch(matcher).groups()  # type: ignore[union-attr]
        if label == "alertname" and operator in ("=", "=~"):
            return [name for name in known if re.fullmatch(value, name)]
    return []
