"""What fires stays as it is while Prometheus cannot judge it, and afterwards the rules say what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.clock import Clock
from vv_exporter.alert_path.held import (
    ALERTS_HELD,
    GIVE_UP_SECONDS,
    LASTS_SECONDS,
    MISTAKEN_LASTS_SECONDS,
    OUTAGE_SHOWS_SECONDS,
    HeldAlerts,
)
from vv_exporter.alert_path.questions import QuestionError
from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.common.clock import isoformat, moment
from vv_exporter.settings import load

SINCE = "2026-01-01T00:00:00Z"


class Bench:
    """An Alertmanager that keeps alerts as the real one does, and rules that are evaluated when it is said."""

    def __init__(self) -> None:
        self.wall, self.monotonic = Clock(), Clock(1000.0)
        self.alertmanager: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
        self.down = self.unasked = False
        self.rules: dict[str, list[dict[str, Any]]] = {"Hot": [], "Down": []}
        self.evaluation = 0
        settings = load({"VV_STATE_DIR": "/nonexistent", "VV_DEVICE_ID": "edge-7"})
        self.held = HeldAlerts(self, self.groups, settings, self.wall, self.monotonic)

    def groups(self) -> list[dict[str, Any]]:
        if self.unasked:
            raise QuestionError("Prometheus does not answer")
        rules = [
            {"name": name, "lastEvaluation": f"2026-01-01T00:00:{self.evaluation:02}Z", "alerts": alerts}
            for name, alerts in self.rules.items()
        ]
        return [{"file": "f", "name": "g", "rules": rules}]

    def alerts(self) -> list[dict[str, Any]]:
        if self.down:
            raise DeliveryError("down")
        return [one for one in self.alertmanager.values() if self.ends(one) > self.wall.now]

    def send(self, alerts: Sequence[dict[str, Any]]) -> None:
        if self.down:
            raise DeliveryError("down")
        for one in alerts:
            self.alertmanager[tuple(sorted(one["labels"].items()))] = dict(one)

    def ends(self, alert: dict[str, Any]) -> float:
        return moment(alert["endsAt"]) or 0.0

    def fires(self, name: str = "Hot", lasts: float = 60.0, **labels: str) -> None:
        """Prometheus sends it to Alertmanager."""
        given = {"alertname": name, "severity": "error", "device": "edge-7", **labels}
        alert = {"labels": given, "annotations": {"summary": name}, "startsAt": SINCE, "status": {"state": "active"}}
        self.send([{**alert, "endsAt": isoformat(self.wall.now + lasts)}])

    def firing(self) -> list[str]:
        return sorted(one["labels"]["alertname"] for one in self.alerts())

    def hold(self, blind: bool = True, seconds: float = 600.0) -> None:
        for _ in range(int(seconds / 5)):
            self.held.hold(blind)
            self.wall.advance(5)
            self.monotonic.advance(5)

    def release(self, evaluated: bool = True) -> None:
        for _ in range(3):
            self.held.release()
            self.wall.advance(5)
            self.monotonic.advance(5)
            self.evaluation += evaluated


@pytest.fixture
def bench() -> Bench:
    return Bench()


def rule_alert(state: str = "firing", lasts: bool = False, **labels: str) -> dict[str, Any]:
    since = "2026-01-01T00:00:01Z" if lasts else "0001-01-01T00:00:00Z"
    return {"labels": {"alertname": "Hot", **labels}, "state": state, "keepFiringSince": since}


@pytest.mark.parametrize("blind", [True, False])
def test_what_fires_does_not_time_out(bench: Bench, blind: bool) -> None:
    bench.fires()
    bench.hold(blind)
    assert bench.firing() == ([ALERTS_HELD] if blind else []) + ["Hot"]
    (hot,) = (one for one in bench.alerts() if one["labels"]["alertname"] == "Hot")
    assert (hot["startsAt"], hot["annotations"]) == (SINCE, {"summary": "Hot"})


def test_the_dead_mans_switch_drills_what_the_exporter_sends_itself_and_other_devices_are_not_held(
    bench: Bench,
) -> None:
    bench.fires("Watchdog")
    bench.fires("Drill")
    bench.fires("VVEvent")
    bench.fires("AlertmanagerDown", told="direct")
    bench.fires("Hot", device="edge-8")
    bench.hold()
    assert bench.firing() == [ALERTS_HELD]


def test_what_a_blind_prometheus_says_changes_nothing(bench: Bench) -> None:
    bench.fires()
    bench.hold(seconds=60)
    bench.fires(lasts=0)  # it has no samples any more
    bench.fires("Down")
    bench.hold(seconds=60)
    assert "Hot" in bench.firing()
    bench.release()
    assert "Down" not in {name for name, _ in held_labels(bench)}


def held_labels(bench: Bench) -> list[tuple[str, str]]:
    return [
        (one["labels"]["alertname"], one["labels"].get("told", ""))
        for one in bench.alerts()
        if bench.ends(one) > bench.wall.now + 60
    ]


def test_what_a_prometheus_that_sees_says_holds(bench: Bench) -> None:
    bench.fires()
    bench.hold(blind=False, seconds=60)
    bench.fires(lasts=0)
    bench.hold(blind=False, seconds=60)
    assert bench.firing() == []


def test_afterwards_what_has_ended_is_told_as_ended(bench: Bench) -> None:
    bench.fires()
    bench.hold()
    bench.release()
    assert bench.firing() == []
    (hot,) = (one for one in bench.alertmanager.values() if one["labels"]["alertname"] == "Hot")
    assert hot["startsAt"] == SINCE


def test_no_rule_is_believed_before_it_was_evaluated_anew(bench: Bench) -> None:
    bench.fires()
    bench.hold()
    bench.release(evaluated=False)
    assert bench.firing() == [ALERTS_HELD, "Hot"]
    bench.evaluation += 1
    bench.release()
    assert bench.firing() == []


@pytest.mark.parametrize("state", ["pending", "firing"])
def test_afterwards_what_is_pending_is_held_on_until_it_fires_or_ends(bench: Bench, state: str) -> None:
    bench.fires(name="Hot", path="/a")
    bench.hold()
    bench.rules["Hot"] = [rule_alert("pending", path="/a", severity="error")]
    bench.release()
    assert bench.firing() == ["Hot"]
    bench.wall.advance(LASTS_SECONDS - 10)
    bench.release()
    bench.wall.advance(LASTS_SECONDS - 10)
    assert bench.firing() == ["Hot"]
    if state == "firing":
        bench.rules["Hot"] = [rule_alert(path="/a")]
        bench.fires(path="/a", lasts=50)
        bench.release()
        bench.wall.advance(60)
    else:
        bench.rules["Hot"] = []
        bench.release()
    assert bench.firing() == []  # as its rule no longer has it sent


def test_one_subject_is_not_another(bench: Bench) -> None:
    bench.fires(path="/a")
    bench.fires(path="/b")
    bench.hold()
    bench.rules["Hot"] = [rule_alert("pending", path="/b")]
    bench.release()
    assert [one["labels"]["path"] for one in bench.alerts()] == ["/b"]


def test_what_lasts_only_because_nothing_was_seen_is_told_to_nobody(bench: Bench) -> None:
    bench.hold()
    bench.fires("Down", lasts=500)
    bench.rules["Down"] = [{**rule_alert(lasts=True), "labels": {"alertname": "Down"}}]
    bench.release()
    assert [one["labels"].get("told", "") for one in bench.alerts()] == ["", "nobody"]
    assert ALERTS_HELD not in bench.firing()
    bench.rules["Down"] = []
    bench.fires("Down", lasts=0)
    bench.release()
    bench.wall.advance(60)
    assert bench.firing() == []


def test_that_rules_failed_in_the_outage_is_told_to_nobody_unless_it_goes_on(bench: Bench) -> None:
    bench.hold()
    bench.fires("RuleEvaluationFailing", lasts=5000)
    bench.release()
    assert [one["labels"].get("told", "") for one in bench.alerts()] == ["", "nobody"]
    for _ in range(int(OUTAGE_SHOWS_SECONDS / 15) + 1):
        bench.release()
    bench.wall.advance(MISTAKEN_LASTS_SECONDS)
    assert [one["labels"].get("told", "") for one in bench.alerts()] == [""]


def test_what_ends_while_others_are_still_pending_is_not_mistaken(bench: Bench) -> None:
    """One that fired when Prometheus saw again, and is told: its end must be, too."""
    bench.fires("Hot")
    bench.hold()
    bench.rules["Hot"] = [rule_alert("pending")]
    bench.release()
    bench.fires("Down", lasts=500)
    bench.rules["Down"] = [{**rule_alert(lasts=True), "labels": {"alertname": "Down"}}]
    bench.fires("RuleEvaluationFailing", lasts=500)
    bench.release()

    assert {one["labels"].get("told", "") for one in bench.alerts()} == {""}


def test_a_rule_that_is_evaluated_once_an_hour_keeps_nothing_from_people_for_long(bench: Bench) -> None:
    bench.fires()
    bench.hold()
    bench.rules["Hot"] = [rule_alert()]
    for _ in range(int(GIVE_UP_SECONDS / 15) + 1):
        assert ALERTS_HELD in bench.firing()
        bench.release(evaluated=False)
    bench.release(evaluated=False)

    assert ALERTS_HELD not in bench.firing()


def test_what_fires_anew_is_not_mistaken(bench: Bench) -> None:
    bench.hold()
    bench.fires("Down", lasts=500)
    bench.rules["Down"] = [{**rule_alert(), "labels": {"alertname": "Down"}}]
    bench.release()
    assert [one["labels"].get("told", "") for one in bench.alerts()] == [""]


def test_an_alertmanager_that_is_away_meanwhile_gets_it_when_it_is_back(bench: Bench) -> None:
    bench.fires()
    bench.hold(seconds=60)
    bench.down = True
    bench.hold(seconds=60)
    bench.alertmanager.clear()
    bench.down = False
    bench.hold(seconds=5)
    assert bench.firing() == [ALERTS_HELD, "Hot"]
    bench.down = True
    bench.release()
    bench.down = False
    bench.release()
    assert bench.firing() == []


def test_a_prometheus_that_cannot_be_asked_does_not_keep_alerts_from_people_for_long(bench: Bench) -> None:
    bench.fires()
    bench.hold()
    bench.unasked = True
    for _ in range(int(GIVE_UP_SECONDS / 15) + 2):
        bench.release()
    assert bench.firing() == ["Hot"]
    bench.wall.advance(LASTS_SECONDS)
    assert bench.firing() == []


def test_one_whose_rule_is_gone_is_not_told_as_ended_by_us(bench: Bench) -> None:
    bench.fires()
    bench.hold()
    del bench.rules["Hot"]
    bench.release()
    assert bench.firing() == ["Hot"]
    bench.wall.advance(LASTS_SECONDS)
    assert bench.firing() == []


@pytest.mark.parametrize("odd", [None, [{}], [3], [{"rules": [{}]}], [{"rules": None, "file": 1, "name": 2}]])
def test_an_odd_answer_costs_no_more(bench: Bench, odd: Any) -> None:
    bench.fires()
    bench.hold()
    bench.held._rules = lambda: odd
    bench.release()
    assert bench.firing() == [ALERTS_HELD, "Hot"]
