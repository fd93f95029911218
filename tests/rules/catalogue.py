"""What the rules, their tests, the routes and the runbooks say, for the tests that compare them."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
PROOFS = sorted(Path(__file__).parent.glob("*_test.yml"))
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))

Rule = dict[str, Any]


def rules_of(file: Path) -> list[Rule]:
    """The rules of a file, in order."""
    return [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def all_rules() -> Iterator[Rule]:
    """Every rule."""
    for file in RULES:
        yield from rules_of(file)


ALERTS = [rule for rule in all_rules() if "alert" in rule]
RECORDS = {rule["record"]: rule for rule in all_rules() if "record" in rule}
NAMES = {rule["alert"] for rule in ALERTS}


@cache
def proof_tests() -> list[dict[str, Any]]:
    """Every unit test of the rules."""
    return [test for file in PROOFS for test in yaml.safe_load(file.read_text())["tests"]]


def expectations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each alert that some test expects to fire: its name, and its labels and annotations."""
    for test in proof_tests():
        for case in test.get("alert_rule_test", []):
            for alert in case["exp_alerts"]:
                yield case["alertname"], alert


def proven_labels() -> dict[str, set[str]]:
    """The labels that each alert has whenever it fires. promtool proves them; `device` comes with external_labels."""
    found: dict[str, set[str]] = {}
    for name, alert in expectations():
        labels = set(alert["exp_labels"]) | {"device"}
        found[name] = found.get(name, labels) & labels
    return found
