"""What the rules say of alerts that were held, of a few alerts at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from vv_exporter.alert_path import held as module
from vv_exporter.alert_path.held import HeldAlerts, Verdict, evaluations, identity, reach_verdict
from vv_exporter.alert_path.questions import QuestionError
from vv_exporter.common.clock import isoformat
from vv_exporter.settings import load

NOTHING_BEFORE: dict[tuple[str, str, int], str] = {}


def alert(name: str | None = "Hot", **labels: str) -> dict[str, Any]:
    named = {} if name is None else {"alertname": name}
    return {"labels": {**named, **labels}, "annotations": {}, "startsAt": "s"}


def rule(name: str = "Hot", *alerts: dict[str, Any], at: str = "1") -> dict[str, Any]:
    return {"name": name, "lastEvaluation": at, "alerts": list(alerts)}


def active(state: str = "firing", since: str | None = None, **labels: str) -> dict[str, Any]:
    kept = {} if since is None else {"keepFiringSince": since}
    return {"state": state, "labels": {"alertname": "Hot", **labels}, **kept}


def verdict(
    held: list[dict[str, Any]],
    *rules: dict[str, Any],
    doubtful: list[dict[str, Any]] | None = None,
    before: dict[tuple[str, str, int], str] | None = None,
) -> Verdict:
    groups = [{"file": "f", "name": "g", "rules": list(rules)}]
    return reach_verdict(
        {identity(one): one for one in held},
        {identity(one): one for one in doubtful or ()},
        groups,
        NOTHING_BEFORE if before is None else before,
    )


HELD = alert(x="1")


@pytest.mark.parametrize(
    ("rules", "firing", "ended"),
    [
        ([rule("Hot", active(x="1"))], True, False),
        ([rule("Hot", active("pending", x="1"))], False, False),
        ([rule("Hot", active(x="2"))], False, True),
        ([rule("Hot")], False, True),
        ([{"name": "Hot", "lastEvaluation": "1"}], False, True),
        ([rule("Hot"), rule("Hot", active(x="1"))], True, False),
        ([rule("Other")], True, False),
        ([rule("Hot", active("pending", x="1"), active("firing", x="1"))], True, False),
    ],
)
def test_what_fires_is_prometheus_again_and_what_is_gone_has_ended(
    rules: list[dict[str, Any]], firing: bool, ended: bool
) -> None:
    found = verdict([HELD], *rules)

    assert (found.firing == {identity(HELD)}, found.ended == {identity(HELD)}) == (firing, ended)


def test_nothing_ends_by_a_rule_that_was_not_evaluated_anew() -> None:
    before = evaluations([{"file": "f", "name": "g", "rules": [rule("Cold"), rule("Hot")]}])
    assert before == {("f", "g", 0): "1", ("f", "g", 1): "1"}

    waiting = verdict([HELD], rule("Cold", at="2"), rule("Hot", at="1"), before=before)
    assert (waiting.ended, waiting.certain) == (set(), False)
    again = verdict([HELD], rule("Cold", at="2"), rule("Hot", at="2"), before=before)
    assert (again.ended, again.certain) == ({identity(HELD)}, True)
    assert verdict([alert("Cold")], rule("Cold", at="2"), rule("Hot", at="1"), before=before).ended


def test_labels_that_prometheus_adds_on_the_way_do_not_matter() -> None:
    assert verdict([alert(x="1", device="edge-7")], rule("Hot", active(x="1"))).firing
    assert verdict([alert(x="1")], rule("Hot", active(x="1", severity="error"))).firing
    assert not verdict([alert(x="1")], rule("Hot", active(x="2", severity="error"))).firing


@pytest.mark.parametrize(
    ("state", "since", "mistaken"),
    [
        ("firing", "2026-01-01T00:00:00Z", True),
        ("firing", "0001-01-01T00:00:00Z", False),
        ("firing", None, False),
        ("pending", "2026-01-01T00:00:00Z", False),
    ],
)
def test_what_only_lasts_is_mistaken_unless_it_was_held(state: str, since: str | None, mistaken: bool) -> None:
    rules = rule("Hot", active(state, since, x="1"))

    assert bool(verdict([], rules, doubtful=[HELD]).mistaken) == mistaken
    assert verdict([HELD], rules, doubtful=[HELD]).mistaken == {}


def test_an_alert_without_a_name_is_nobodys_here() -> None:
    assert verdict([alert(None)], rule("Hot")).firing == {()}


def test_an_alert_is_known_by_its_labels_in_any_order() -> None:
    assert identity({"labels": {"b": "2", "a": "1"}}) == (("a", "1"), ("b", "2"))


class Servers:
    """An Alertmanager with one alert that was held, and rules that say that it has ended."""

    def __init__(self) -> None:
        self.now, self.seconds = 1_700_000_000.0, 1000.0
        self.sent: list[dict[str, Any]] = []
        self.unasked = False
        settings = load({"VV_STATE_DIR": "/nonexistent", "VV_DEVICE_ID": "edge-7"})
        self.held = HeldAlerts(self, self.rules, settings, lambda: self.now, lambda: self.seconds)

    def rules(self) -> list[dict[str, Any]]:
        if self.unasked:
            raise QuestionError("Prometheus does not answer")
        return [{"file": "f", "name": "g", "rules": [rule("Hot", at=str(self.seconds))]}]

    def alerts(self) -> list[dict[str, Any]]:
        return [alert(device="edge-7")]

    def send(self, alerts: Sequence[dict[str, Any]]) -> None:
        self.sent += alerts

    def ends(self, name: str) -> list[str]:
        return [one["endsAt"] for one in self.sent if one["labels"]["alertname"] == name]


def test_what_has_ended_ends_now() -> None:
    servers = Servers()
    servers.held.hold(blind=False)
    assert servers.ends("Hot") == [isoformat(servers.now + 300)]
    servers.held.release()
    servers.seconds += 5
    servers.held.release()

    assert servers.ends("Hot")[-1] == isoformat(servers.now)


@pytest.mark.parametrize(("after", "given_up"), [(119.0, False), (120.0, False), (120.1, True)])
def test_when_nobody_can_be_asked_it_is_given_up_after_two_minutes(after: float, given_up: bool) -> None:
    servers = Servers()
    servers.held.hold(blind=True)
    servers.unasked = True
    servers.held.release()
    servers.seconds += after
    servers.sent.clear()
    servers.held.release()

    assert servers.ends("AlertsHeld") == ([isoformat(servers.now)] if given_up else [])


def test_the_times_are_those_of_the_documents() -> None:
    """Five minutes of Prometheus' lookback, and what the rules keep."""
    assert (module.LASTS_SECONDS, module.MISTAKEN_LASTS_SECONDS) == (300.0, 60.0)
    assert (module.OUTAGE_SHOWS_SECONDS, module.GIVE_UP_SECONDS) == (420.0, 120.0)
