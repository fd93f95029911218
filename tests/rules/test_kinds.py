"""Every alert is proven in every way: by hand when it fires, not yet, and no more; the rest follows (kinds.py)."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.rules.catalogue import ALERTS, NAMES, RULES, proof_tests
from tests.rules.kinds import (
    Seed,
    Test,
    expand,
    first,
    gap,
    notation,
    on_counters,
    pause,
    pause_of_a_new_series,
    pause_without_news,
    reset,
    rules_about,
    seeds,
    two_devices,
)
from tests.rules.mutate import Proof, noticed, seconds
from tests.support.servers import Programs, check

SEEDS = seeds()
ALWAYS = {"Watchdog"}
"""Fires unless something is wrong: what others must do at their beginning it does at its end."""


def firings(name: str) -> list[list[bool]]:
    """By hand-written test: whether the alert fires, in the order of time."""
    found = []
    for test in proof_tests():
        cases = [
            (seconds(case["eval_time"]), bool(case["exp_alerts"]))
            for case in test.get("alert_rule_test", [])
            if case["alertname"] == name
        ]
        for case in test.get("promql_expr_test", []):
            samples = str(case.get("exp_samples", []))
            if case["expr"].startswith("ALERTS") and ("alertname" not in case["expr"] or f'"{name}"' in case["expr"]):
                cases.append((seconds(case["eval_time"]), f'"{name}"' in samples))
        found.append([fires for _, fires in sorted(cases)])
    return found


@pytest.mark.parametrize("name", sorted(NAMES - ALWAYS))
def test_an_alert_is_shown_not_to_fire_before_its_time(name: str) -> None:
    """In the same test in which it then fires: just below its limit, or just before its time is over."""
    assert any([False, True] in (states[at : at + 2] for at in range(len(states))) for states in firings(name))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_alert_is_shown_to_end(name: str) -> None:
    assert any([True, False] in (states[at : at + 2] for at in range(len(states))) for states in firings(name))


def test_each_alert_is_there_to_be_tried() -> None:
    assert SEEDS.keys() == {(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS}


def failing(tests: Iterable[tuple[Seed, Test]], programs: Programs) -> list[str]:
    """The names of the tests that fail, each with the rules that have a part in its alert: one run of promtool."""
    documents, proofs, names = [], [], []
    for seed, test in tests:
        document = {"rule_files": ["rules.yml"], "evaluation_interval": test["interval"], "tests": [test]}
        documents.append(json.dumps({"groups": [{"name": seed.domain, "rules": rules_about(seed)}]}))
        proofs.append(Proof(json.dumps(document), "", 0))
        names.append(test["name"])
    if not names:
        return []
    failed = noticed(documents, proofs, Path("rules.yml"), programs.promtool)
    return [name for name, has_failed in zip(names, failed, strict=True) if has_failed]


# A notification that gets through, and a job that runs at last, are to end them at once: they are not held.
EXCEPT = {("NotificationsFailing", gap), ("JobMissed", gap)}
DOMAINS = sorted({seed.domain for seed in SEEDS.values()})


@pytest.mark.prometheus
@pytest.mark.parametrize("make", [gap, two_devices], ids=lambda make: make.__name__)
@pytest.mark.parametrize("domain", DOMAINS)
def test_it_holds_for_every_alert(make: Callable[[Seed], Test], domain: str, programs: Programs) -> None:
    concerned = [seed for seed in SEEDS.values() if seed.domain == domain and (seed.alert, make) not in EXCEPT]

    assert failing([(seed, make(seed)) for seed in concerned], programs) == []


@pytest.mark.prometheus
@pytest.mark.parametrize(
    "make", [reset, first, pause, pause_of_a_new_series, pause_without_news], ids=lambda make: make.__name__
)
def test_it_holds_for_every_alert_on_counters(make: Callable[[Seed], Test], programs: Programs) -> None:
    concerned = [seed for seed in SEEDS.values() if on_counters(seed)]

    assert len(concerned) >= 10
    assert failing([(seed, make(seed)) for seed in concerned], programs) == []


@pytest.mark.prometheus
def test_without_any_series_only_that_is_told(tmp_path: Path, programs: Programs) -> None:
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in ("ExporterDown", "AlertmanagerDown")]
    case = {"expr": "count by (alertname) (ALERTS)", "eval_time": "10m", "exp_samples": expected}
    test = {"name": "nothing", "interval": "1m", "input_series": [], "promql_expr_test": [case]}
    proof = {"rule_files": [str(path) for path in RULES], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "proof.yml").write_text(json.dumps(proof))

    check(programs.promtool, "test", "rules", tmp_path / "proof.yml")


def test_series_are_read_as_promtool_reads_them() -> None:
    assert expand("1 _x2 stale 0+2x2 5-1x1 -3x1") == [1, None, None, "stale", 0, 2, 4, 5, 4, -3, -3]
    assert notation([1.0, None, "stale"]) == "1.0 _ stale"
