"""Prometheus' configuration and rules: valid, proven by promtool, documented, and on metrics that exist."""

import importlib.util
import re
from pathlib import Path

import pytest
from tests.rules.catalogue import (
    ALERTS,
    NAMES,
    PROOFS,
    ROOT,
    RULES,
    RUNBOOKS,
    Rule,
    all_rules,
    expectations,
    proof_tests,
)
from tests.support.servers import Programs, check

from vv_exporter.alert_path.message import ALERT_PATH_BROKEN
from vv_exporter.alert_path.unwritten import STATE_NOT_WRITABLE
from vv_exporter.settings import RUNBOOK_BASE_URL

SEVERITIES = {"none", "info", "warning", "error", "critical"}


def ids(rule: Rule) -> str:
    return f"{rule['alert']}-{rule['labels']['severity']}"


def proven() -> dict[str, set[str]]:
    """The alerts with a test in which they fire, with all their labels and annotations, and those severities."""
    found: dict[str, set[str]] = {}
    for name, alert in expectations():
        found.setdefault(name, set()).add(alert["exp_labels"]["severity"])
    return found


def refuted() -> set[str]:
    """The alerts with a test in which they do not fire."""
    return {
        case["alertname"]
        for test in proof_tests()
        for case in test.get("alert_rule_test", [])
        if not case["exp_alerts"]
    }


@pytest.mark.prometheus
@pytest.mark.parametrize("proof", PROOFS, ids=lambda path: path.stem)
def test_promtool_proves_the_rules(proof: Path, programs: Programs) -> None:
    assert "SUCCESS" in check(programs.promtool, "test", "rules", proof)


@pytest.mark.prometheus
def test_rules_are_valid_and_lint_clean(programs: Programs) -> None:
    check(programs.promtool, "check", "rules", "--lint=all", "--lint-fatal", *RULES)


@pytest.mark.prometheus
def test_configuration_is_valid_as_committed(programs: Programs) -> None:
    said = check(
        programs.promtool, "check", "config", "--lint=all", "--lint-fatal", ROOT / "prometheus" / "prometheus.yml"
    )

    assert f"{len(RULES)} rule files found" in said


def test_each_alert_is_proven_to_fire_in_each_of_its_severities() -> None:
    expected: dict[str, set[str]] = {}
    for rule in ALERTS:
        expected.setdefault(rule["alert"], set()).add(rule["labels"]["severity"])

    assert proven() == expected


def test_each_alert_is_proven_not_to_fire_without_cause() -> None:
    assert refuted() == NAMES


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    # VVEvent has no rule, scripts raise it with send_alert; nor has what no rule could tell, which the exporter does.
    assert {path.stem for path in RUNBOOKS} == NAMES | {"VVEvent", ALERT_PATH_BROKEN, STATE_NOT_WRITABLE}


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.stem)
def test_runbook_says_what_the_one_who_is_woken_needs(runbook: Path) -> None:
    text = runbook.read_text()
    chapters = dict(zip(*[iter(re.split(r"^## (.+)\n", text, flags=re.MULTILINE)[1:])] * 2, strict=True))

    assert text.startswith(f"# {runbook.stem}\n")
    assert list(chapters) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert all(chapter.strip() for chapter in chapters.values())
    assert "```sh" in chapters["Diagnosis"]


@pytest.mark.parametrize("rule", ALERTS, ids=ids)
def test_alert_carries_what_every_notification_needs(rule: Rule) -> None:
    annotations = rule["annotations"]
    actions = annotations["suggested_actions"].splitlines()

    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["labels"]["component"]
    assert annotations["summary"]
    assert annotations["description"].endswith(".")
    assert "\n" not in annotations["summary"] + annotations["description"]
    assert [line.split(". ")[0] for line in actions] == [str(n + 1) for n in range(len(actions))]
    assert annotations["runbook_url"] == f"{RUNBOOK_BASE_URL}/{rule['alert']}.md"


@pytest.mark.parametrize("rule", ALERTS, ids=ids)
def test_labels_do_not_change_with_the_value(rule: Rule) -> None:
    assert "$value" not in str(rule["labels"])


def test_rules_use_collectors_that_exist() -> None:
    text = "".join(rule["expr"] for rule in all_rules())
    named = set(re.findall(r'collector="(\w+)"', text))

    assert named
    assert [name for name in named if importlib.util.find_spec(f"vv_exporter.collectors.{name}") is None] == []
