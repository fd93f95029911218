"""The rules of the centre: valid, proven by promtool, each with its runbook.

Whether each small change of one is noticed takes minutes, and is tried by hand:
`python -m tests.rules.mutate .vv/bin/promtool fleet/rules/fleet.yml`.
"""

import re
from pathlib import Path

import pytest
import yaml

from tests.rules.catalogue import ROOT, Rule, rules_of
from tests.support.servers import Programs, check
from vv_exporter.settings import RUNBOOK_BASE_URL

RULES = sorted((ROOT / "fleet" / "rules").glob("*.yml"))
PROOFS = sorted(Path(__file__).parent.glob("*_test.yml"))
ALERTS = [rule for file in RULES for rule in rules_of(file) if "alert" in rule]
RUNBOOKS = ROOT / "docs" / "runbooks" / "fleet"
ON_A_STORE = {"ahead.yml"}
"""promtool has no samples of the future: tests/e2e/test_fleet_centre.py tries it on a real store."""


def expectations(fires: bool) -> set[str]:
    """The alerts that some unit test expects to fire, or not to."""
    tests = [test for proof in PROOFS for test in yaml.safe_load(proof.read_text())["tests"]]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    return {case["alertname"] for case in cases if bool(case["exp_alerts"]) is fires}


@pytest.mark.prometheus
@pytest.mark.parametrize("proof", PROOFS, ids=lambda path: path.stem)
def test_promtool_proves_the_rules(proof: Path, programs: Programs) -> None:
    assert "SUCCESS" in check(programs.promtool, "test", "rules", proof)


@pytest.mark.prometheus
def test_rules_are_valid_and_lint_clean(programs: Programs) -> None:
    check(programs.promtool, "check", "rules", "--lint=all", "--lint-fatal", *RULES)


def test_each_alert_is_proven_to_fire_and_not_to_fire() -> None:
    names = {
        rule["alert"] for file in RULES if file.name not in ON_A_STORE for rule in rules_of(file) if "alert" in rule
    }

    assert names
    assert expectations(fires=True) == names
    assert expectations(fires=False) == names


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    names = {rule["alert"] for rule in ALERTS} - {"Watchdog"}

    assert {path.stem for path in RUNBOOKS.glob("*.md")} == names


@pytest.mark.parametrize("runbook", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_runbook_says_what_the_one_who_is_called_needs(runbook: Path) -> None:
    text = runbook.read_text()

    assert text.startswith(f"# {runbook.stem}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert "```sh" in text


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels'].get('direction', '')}")
def test_alert_carries_what_every_notification_needs(rule: Rule) -> None:
    annotations = rule["annotations"]
    actions = annotations["suggested_actions"].splitlines()
    folder = "" if rule["alert"] == "Watchdog" else "fleet/"

    assert rule["labels"]["severity"] in {"none", "info", "warning", "error"}
    assert rule["labels"]["component"] == "fleet"
    assert annotations["summary"]
    assert annotations["description"].endswith(".")
    assert "\n" not in annotations["summary"] + annotations["description"]
    assert [line.split(". ")[0] for line in actions] == [str(n + 1) for n in range(len(actions))]
    assert annotations["runbook_url"] == f"{RUNBOOK_BASE_URL}/{folder}{rule['alert']}.md"
    assert "$value" not in str(rule["labels"])
