"""Inhibitions name alerts that exist, and compare labels that these alerts carry."""

import re
from typing import Any

import pytest
import yaml
from tests.rules.catalogue import ALERTS, NAMES, ROOT, proven_labels

CONFIG = yaml.safe_load((ROOT / "alertmanager" / "alertmanager.yml").read_text())
INHIBITIONS: list[dict[str, Any]] = CONFIG["inhibit_rules"]
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"(.*)"')
RAISED_BY_SCRIPTS = {"VVEvent"}
RAISED_BY_THE_EXPORTER = {"AlertsHeld"}
KNOWN = NAMES | RAISED_BY_SCRIPTS | RAISED_BY_THE_EXPORTER


def ids(inhibition: dict[str, Any]) -> str:
    return str(inhibition["name"])


def matched(matchers: list[str]) -> set[str]:
    """The alerts of the catalogue that `alertname` matchers let through; without one, all."""
    names = KNOWN
    for label, operator, value in (MATCHER.fullmatch(matcher).groups() for matcher in matchers):  # type: ignore[union-attr]
        if label == "alertname":
            pattern = re.compile(value if "~" in operator else re.escape(value))
            names = {name for name in names if bool(pattern.fullmatch(name)) != operator.startswith("!")}
    return names


def named(matchers: list[str]) -> set[str]:
    """The names, and the beginnings of names, that `alertname` matchers ask for."""
    texts = [
        match[3]
        for match in map(MATCHER.fullmatch, matchers)
        if match and match[1] == "alertname" and match[2] in ("=", "=~")
    ]
    return {name for text in texts for name in text.split("|")}


@pytest.mark.parametrize("inhibition", INHIBITIONS, ids=ids)
def test_an_inhibition_names_alerts_that_exist(inhibition: dict[str, Any]) -> None:
    spelt = named(inhibition["source_matchers"]) | named(inhibition["target_matchers"])

    assert [name for name in spelt if not any(re.fullmatch(name, known) for known in KNOWN)] == []


@pytest.mark.parametrize("inhibition", [one for one in INHIBITIONS if named(one["source_matchers"])], ids=ids)
def test_both_sides_carry_every_label_that_is_compared(inhibition: dict[str, Any]) -> None:
    """A label that is missing on both sides counts as equal: the inhibition would reach further than it says."""
    given = proven_labels()
    for side in ("source_matchers", "target_matchers"):
        lacking = {
            name: missing
            for name in matched(inhibition[side]) & given.keys()
            if (missing := set(inhibition["equal"]) - given[name])
        }
        assert lacking == {}, side


def test_what_a_matcher_asks_for_is_a_label_of_the_alerts() -> None:
    given = proven_labels()
    lacking = [
        (inhibition["name"], name, match[1])
        for inhibition in INHIBITIONS
        for side in ("source_matchers", "target_matchers")
        for match in map(MATCHER.fullmatch, inhibition[side])
        # `told` is a label of what the exporter raises itself.
        if match and match[1] not in ("alertname", "severity", "told") and match[2] in ("=", "=~")
        for name in matched(inhibition[side]) & given.keys()
        if match[1] not in given[name]
    ]
    assert lacking == []


def test_the_same_alert_at_two_severities_is_compared_by_every_label_of_its_subject() -> None:
    """`equal` of the inhibitions without a name must tell any two subjects of one alert apart."""
    several = {rule["alert"] for rule in ALERTS if len(severities(rule["alert"])) > 1}
    assert several

    for inhibition in (one for one in INHIBITIONS if not named(one["source_matchers"])):
        for name in several & matched(inhibition["source_matchers"]):
            assert proven_labels()[name] - {"severity"} <= set(inhibition["equal"])


def test_a_drill_is_hidden_by_nothing_and_hides_nothing() -> None:
    for inhibition in INHIBITIONS:
        assert "Drill" not in matched(inhibition["source_matchers"]) | matched(inhibition["target_matchers"])


def severities(name: str) -> set[str]:
    return {rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name}


def test_what_happened_on_purpose_hides_nothing() -> None:
    """A start of the device explains what fails after it, and must not hide it; the Watchdog is heard always."""
    for inhibition in INHIBITIONS:
        if named(inhibition["source_matchers"]):
            assert not matched(inhibition["source_matchers"]) & {"HostRebooted", "Watchdog"}
            assert "Watchdog" not in matched(inhibition["target_matchers"])


def test_the_device_is_on_every_alert() -> None:
    """Also on those that an absent series brings: Prometheus adds its external labels."""
    prometheus = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())

    assert set(prometheus["global"]["external_labels"]) == {"device"}
