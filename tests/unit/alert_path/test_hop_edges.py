"""The limits of each hop: what is just in order, and what is a moment beyond it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from vv_exporter.alert_path.hops import (
    AlertmanagerState,
    Finding,
    Hop,
    Observation,
    PrometheusState,
    find_broken_hop,
    is_blind,
)
from vv_exporter.render.intervals import delivery_interval, resend_delay

UPTIME = 86_400.0
# Intervals of which no sum of some is that of others, so that a limit can be made of the right ones only.
WELL = PrometheusState(
    uptime=UPTIME,
    scrape_interval=7.0,
    evaluation_interval=11.0,
    resend_delay=45.0,
    is_target=True,
    scrape_error="",
    stored_age=8.0,
    stored_error="",
    has_rule=True,
    rule_error="",
    fired_age=15.0,
    alertmanagers=1,
    sending_fails=False,
)
HOLDS = AlertmanagerState(uptime=UPTIME, held_age=40.0, delivering_fails=False)


def find(
    prometheus: PrometheusState | str = WELL, alertmanager: AlertmanagerState | str = HOLDS, **others: Any
) -> Finding:
    return find_broken_hop(observed(prometheus, alertmanager, **others))


def observed(
    prometheus: PrometheusState | str = WELL, alertmanager: AlertmanagerState | str = HOLDS, **others: Any
) -> Observation:
    given = {"after": 180.0, "scrape_interval": 7.0, "scraped_age": 8.0, "uptime": UPTIME, **others}
    return Observation(prometheus=prometheus, alertmanager=alertmanager, **given)


@pytest.mark.parametrize(("age", "hop"), [(19.0, Hop.DELIVER), (19.1, Hop.SCRAPE)])
def test_two_scrapes_and_five_seconds_without_one_are_in_order(age: float, hop: Hop) -> None:
    assert find(scraped_age=age).hop == hop


@pytest.mark.parametrize(("age", "hop"), [(8.0, Hop.DELIVER), (8.1, Hop.SCRAPE)])
def test_a_scrape_that_failed_is_late_a_second_after_its_time(age: float, hop: Hop) -> None:
    assert find(WELL._replace(scrape_error="refused"), scraped_age=age).hop == hop


@pytest.mark.parametrize(("age", "hop"), [(19.0, Hop.DELIVER), (19.1, Hop.STORE)])
def test_what_is_stored_may_be_two_scrapes_and_five_seconds_old(age: float, hop: Hop) -> None:
    assert find(WELL._replace(stored_age=age)).hop == hop


@pytest.mark.parametrize(("age", "hop"), [(41.0, Hop.DELIVER), (41.1, Hop.EVALUATE)])
def test_what_a_rule_fires_may_be_two_scrapes_two_evaluations_and_five_seconds_old(age: float, hop: Hop) -> None:
    assert find(WELL._replace(fired_age=age)).hop == hop


@pytest.mark.parametrize(
    ("resend", "age", "hop"),
    [(45.0, 86.0, Hop.DELIVER), (45.0, 86.1, Hop.SEND), (3.0, 52.0, Hop.DELIVER), (3.0, 52.1, Hop.SEND)],
)
def test_what_alertmanager_holds_may_be_older_by_a_resend_or_by_an_evaluation(
    resend: float, age: float, hop: Hop
) -> None:
    assert find(WELL._replace(resend_delay=resend), HOLDS._replace(held_age=age)).hop == hop


@pytest.mark.parametrize(("uptime", "certain"), [(40.9, False), (41.0, True)])
@pytest.mark.parametrize(
    "state",
    [
        WELL._replace(scrape_error="refused"),
        WELL._replace(stored_age=None),
        WELL._replace(fired_age=None),
        WELL._replace(fired_age=None, stored_age=None, stored_error="422"),
        WELL._replace(alertmanagers=0),
    ],
)
@pytest.mark.parametrize("who", ["exporter", "Prometheus"])
def test_who_was_just_started_has_two_scrapes_two_evaluations_and_five_seconds(
    state: PrometheusState, uptime: float, certain: bool, who: str
) -> None:
    given = state._replace(uptime=uptime) if who == "Prometheus" else state
    uptimes = {"uptime": uptime} if who == "exporter" else {}
    age = 15.0 if state.scrape_error else 8.0

    assert find(given, HOLDS._replace(held_age=None), scraped_age=age, **uptimes).certain == certain


@pytest.mark.parametrize(("uptime", "certain"), [(95.0, False), (95.1, True)])
def test_an_alertmanager_that_was_just_started_is_given_two_resends_and_five_seconds(
    uptime: float, certain: bool
) -> None:
    assert find(WELL, AlertmanagerState(uptime, None, False)) == Finding(
        Hop.SEND, "Prometheus does not get the Watchdog to Alertmanager", certain
    )
    assert find(WELL._replace(uptime=40.0), AlertmanagerState(uptime, None, False)).certain is False
    assert find(WELL._replace(uptime=40.0, sending_fails=True), AlertmanagerState(uptime, None, False)).certain is True


def test_one_alertmanager_is_enough_and_none_is_told() -> None:
    assert find(WELL._replace(alertmanagers=1)).hop == Hop.DELIVER
    assert find(WELL._replace(alertmanagers=0)).hop == Hop.SEND


@pytest.mark.parametrize(("fails", "certain"), [(True, True), (False, False)])
def test_what_is_held_and_not_delivered_is_certain_when_delivering_fails(fails: bool, certain: bool) -> None:
    assert find(WELL, HOLDS._replace(delivering_fails=fails)).certain == certain
    silent = find("silent", HOLDS._replace(delivering_fails=fails), scraped_age=3.0, unanswered=60.0)
    assert (silent.hop, silent.certain) == (Hop.DELIVER, certain)


class TestASilentPrometheus:
    @pytest.mark.parametrize(
        ("scraped", "unanswered", "hop"),
        [
            (10.0, 10.0, Hop.SCRAPE),
            (9.9, 10.0, Hop.DELIVER),
            (19.0, 60.0, Hop.SCRAPE),
            (18.9, 60.0, Hop.DELIVER),
        ],
    )
    def test_scrapes_if_it_did_since_it_last_answered_within_the_limit(
        self, scraped: float, unanswered: float, hop: Hop
    ) -> None:
        assert find("silent", scraped_age=scraped, unanswered=unanswered).hop == hop

    @pytest.mark.parametrize(("scraped", "certain"), [(19.0, False), (19.1, True)])
    def test_is_certain_after_two_scrapes_and_five_seconds(self, scraped: float, certain: bool) -> None:
        assert find("silent", scraped_age=scraped, unanswered=5.0) == Finding(Hop.SCRAPE, "silent", certain)

    @pytest.mark.parametrize(("held", "hop"), [(180.0, Hop.DELIVER), (180.1, Hop.SEND), (None, Hop.SEND)])
    def test_sends_if_what_alertmanager_holds_is_within_the_whole_limit(self, held: float | None, hop: Hop) -> None:
        found = find("silent", HOLDS._replace(held_age=held), scraped_age=3.0, unanswered=60.0)

        assert (found.hop, found.certain) == (hop, False)

    def test_that_never_scraped_is_as_old_as_the_exporter(self) -> None:
        assert find("silent", scraped_age=None, uptime=19.1, unanswered=5.0).certain
        assert not find("silent", scraped_age=None, uptime=19.0, unanswered=5.0).certain


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize(("more", "blind"), [(0.0, True), (-0.1, False)])
def test_blind_is_who_has_had_nothing_for_a_quarter_of_the_limit(factor: int, more: float, blind: bool) -> None:
    age = 45.0 * factor + more
    silent = observed("silent", scraped_age=age, unanswered=5.0, after=180.0 * factor)
    stuck = observed(WELL._replace(stored_age=age), after=180.0 * factor)

    assert is_blind(silent, find_broken_hop(silent)) == blind
    assert is_blind(stuck, find_broken_hop(stuck)) == blind


def test_nobody_is_blind_who_is_not_certain_or_whose_fault_lies_elsewhere() -> None:
    silent, other = observed("silent", scraped_age=50.0), observed(WELL._replace(stored_age=50.0))

    assert not is_blind(silent, Finding(Hop.SCRAPE, "", certain=False))
    assert not is_blind(silent, Finding(Hop.SEND, "", certain=True))
    assert not is_blind(other, Finding(Hop.EVALUATE, "", certain=True))
    # Nothing stored at all is as young as can be: it was just started.
    empty = observed(WELL._replace(stored_age=None))
    assert not is_blind(empty, Finding(Hop.STORE, "", certain=True))


@pytest.mark.parametrize(
    ("changes", "after", "patience"),
    [
        ({}, 180.0, 30.0),
        ({"resend_delay": 45.0}, 60.0, 30.0 + 0.0),
        ({"resend_delay": 45.0}, 20.0, 7 + 11 + 45 + 2 * (20 / 6) + 5 - 20),
        ({"resend_delay": 3.0}, 4.0, 7 + 11 + 11 + 2 * 1.0 + 5 - 4),
        ({"resend_delay": 45.0, "uptime": 40.9}, 20.0, 2 * (7 + 11) + 45 + 2 * (20 / 6) + 5 - 20),
        ({"resend_delay": 600.0}, 180.0, 7 + 11 + 600 + 2 * 30 + 5 - 180),
    ],
)
def test_patience_is_what_a_beat_may_take_beyond_the_limit(
    changes: dict[str, float], after: float, patience: float
) -> None:
    found = find(WELL._replace(**changes), after=after)  # type: ignore[arg-type]

    assert math.isclose(found.patience, patience)


def test_the_intervals_that_are_rendered() -> None:
    assert [delivery_interval(after) for after in (3.0, 6.0, 12.0, 180.0, 240.0)] == [1.0, 1.0, 2.0, 30.0, 30.0]
    assert [resend_delay(after) for after in (4.0, 180.0, 184.0)] == [1.0, 45.0, 45.0]
