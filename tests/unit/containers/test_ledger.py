"""Histories recorded from a real Engine: what is counted, and that no way of observing them counts otherwise."""

from typing import Any

import pytest

from tests.unit.containers.ledgers import (
    LATER,
    Ledger,
    Observation,
    event,
    histories,
    inspection,
    recorded,
    replay,
    swapped,
)
from vv_exporter.containers.ledger import settle
from vv_exporter.containers.observed import SECOND, Inspection
from vv_exporter.containers.records import GONE, Claim, ContainerRecord, Held
from vv_exporter.containers.runs import CLAIM_WAIT
from vv_exporter.metrics.containers import RESTARTS

RESTARTS_AND_EXITS: dict[str, dict[str, tuple[dict[str, int], dict[str, int]]]] = {
    "policy_crash_loop": {"web": ({"policy": 3}, {"error": 4})},
    "instant_crash_loop": {"web": ({"policy": 5}, {"error": 6})},
    "started_by_hand_after_the_policy_gave_up": {"web": ({"policy": 4, "manual": 1}, {"error": 6})},
    "docker_restart": {"web": ({"manual": 2}, {"signal": 2})},
    "docker_restart_in_back_off": {"web": ({"policy": 5, "manual": 1}, {"error": 7})},
    "stop_and_start": {"web": ({"manual": 1}, {"ok": 2})},
    "kill_and_start": {"web": ({"manual": 1}, {"signal": 1})},
    "out_of_memory": {"web": ({"policy": 2}, {"oom": 3})},
    "recreated_by_hand": {"web": ({}, {"signal": 1})},
    "recreated_by_compose": {"site-web-1": ({}, {"signal": 1})},
    "one_shots": {
        "succeeds": ({}, {"ok": 1}),
        "fails": ({}, {"error": 1}),
        "removes_itself": ({}, {"error": 1}),
    },
    "unhealthy": {"web": ({}, {})},
    "engine_shut_down": {
        "policy_no": ({}, {"signal": 1}),
        "policy_always": ({"daemon": 1}, {"signal": 1}),
        "policy_unless_stopped": ({"daemon": 1}, {"signal": 1}),
        "policy_on_failure": ({"daemon": 1}, {"signal": 1}),
        "stopped_always": ({"daemon": 1}, {"signal": 1}),
        "stopped_unless": ({}, {"signal": 1}),
    },
    "engine_crash": {
        "policy_no": ({}, {"signal": 1}),
        "policy_always": ({"daemon": 1}, {"signal": 1}),
        "policy_unless_stopped": ({}, {"signal": 1}),
        "policy_on_failure": ({"daemon": 1}, {"signal": 1}),
        "stopped_always": ({"daemon": 1}, {"signal": 1}),
        "stopped_unless": ({}, {"signal": 1}),
    },
    "power_cut": {
        "policy_no": ({}, {"error": 1}),
        "policy_always": ({"daemon": 1}, {}),
        "policy_unless_stopped": ({"daemon": 1}, {}),
        "policy_on_failure": ({"daemon": 1}, {}),
        "stopped_always": ({"daemon": 1}, {"signal": 1}),
        "stopped_unless": ({}, {"signal": 1}),
    },
}
WANTED = {
    "policy_crash_loop": {"web"},
    "stop_and_start": set(),
    "kill_and_start": {"web"},
    "out_of_memory": {"web"},
    "recreated_by_compose": {"site-web-1"},
    "one_shots": {"fails"},
    "docker_restart_in_back_off": set(),
    "engine_shut_down": {
        "policy_no",
        "policy_always",
        "policy_unless_stopped",
        "policy_on_failure",
        "stopped_always",
    },
}


VERSIONS = {"20.10", "26.1", "28.5"}


def scenario(history: str) -> str:
    """What happened, whatever the version of the Engine that told of it."""
    return history.split("/")[1]


def expected(history: str) -> dict[str, Any]:
    return RESTARTS_AND_EXITS[scenario(history)]


def counted(ledger: Ledger, history: str) -> dict[str, Any]:
    return {name: (ledger.restarts(name), ledger.exits(name)) for name in expected(history)}


def wanted(ledger: Ledger) -> set[str]:
    return {record.name for record in ledger.records.values() if record.wanted}


def test_every_recorded_history_has_its_expectation() -> None:
    assert {scenario(history) for history in histories()} == set(RESTARTS_AND_EXITS)
    assert {history.split("/")[0] for history in histories()} == VERSIONS


@pytest.mark.parametrize("history", histories())
def test_restarts_and_exits_are_exact(history: str) -> None:
    assert counted(replay(recorded(history)), history) == expected(history)


@pytest.mark.parametrize("history", histories())
def test_the_order_of_a_stop_and_its_death_changes_nothing(history: str) -> None:
    as_told = replay(recorded(history))
    ledger = replay(swapped(recorded(history)))

    assert counted(ledger, history) == expected(history)
    assert wanted(ledger) == wanted(as_told)
    assert {record.name: record.state for record in ledger.records.values()} == {
        record.name: record.state for record in as_told.records.values()
    }


@pytest.mark.parametrize("history", histories())
def test_a_look_between_a_stop_and_its_death_counts_nothing_twice(history: str) -> None:
    ledger = replay(swapped(recorded(history)), overtaking=True)

    assert counted(ledger, history) == expected(history)


@pytest.mark.parametrize("history", histories())
def test_events_alone_are_enough(history: str) -> None:
    ledger = replay(recorded(history), once=True)

    assert counted(ledger, history) == expected(history)


@pytest.mark.parametrize("history", histories())
def test_a_list_that_shows_what_cannot_be_inspected_counts_nothing_twice(history: str) -> None:
    ledger = replay(recorded(history), listed=True)

    for name, (restarts, exits) in expected(history).items():
        assert sum(ledger.restarts(name).values()) <= sum(restarts.values())
        assert sum(ledger.exits(name).values()) <= sum(exits.values())


@pytest.mark.parametrize("history", histories())
def test_an_inspection_that_overtakes_its_event_counts_nothing_twice(history: str) -> None:
    ledger = replay(recorded(history), overtaking=True)

    assert counted(ledger, history) == expected(history)


@pytest.mark.parametrize("history", histories())
def test_inspecting_again_and_again_counts_nothing(history: str) -> None:
    observations = recorded(history)
    ledger = replay(observations)
    before = ledger.totals()

    for _ in range(2):
        for one in _last_inspections(observations):
            ledger.inspection(one)
    ledger.settle()

    assert ledger.totals() == before


@pytest.mark.parametrize("history", histories())
def test_a_gap_at_any_place_never_counts_more_than_happened(history: str) -> None:
    observations = recorded(history)
    exact = replay(observations).totals()
    for gap in range(len(observations)):
        ledger = replay(_without_the_rest(observations, gap))

        for key, amount in ledger.totals().items():
            assert amount <= exact.get(key, 0), (gap, key)


@pytest.mark.parametrize("history", [history for history in histories() if scenario(history) in WANTED])
def test_what_ended_on_purpose_is_not_wanted(history: str) -> None:
    assert wanted(replay(recorded(history))) == WANTED[scenario(history)]


def _last_inspections(observations: list[Observation]) -> list[Inspection]:
    return list({one.id: one for one in observations if isinstance(one, Inspection)}.values())


def _without_the_rest(observations: list[Observation], gap: int) -> list[Observation]:
    """Up to the gap as it was, then only the last look at each container."""
    seen = observations[:gap]
    rest = observations[gap:]
    marks = [one for one in rest if isinstance(one, str)]
    return [*seen, *marks, *_last_inspections(rest)]


@pytest.fixture
def ledger() -> Ledger:
    """It saw the container start at 100, and the last event at 100.001."""
    ledger = Ledger()
    ledger.event(event("start", 100.001), inspection())
    return ledger


def test_restarts_by_policy_in_a_gap_are_as_many_as_dockers_count_grew(ledger: Ledger) -> None:
    ledger.inspection(inspection(started=500, restart_count=4))

    assert ledger.restarts() == {"policy": 4}


def test_a_restart_in_a_gap_that_docker_does_not_count_was_made_by_hand(ledger: Ledger) -> None:
    ledger.inspection(inspection(started=500, restart_count=0))
    ledger.settle()

    assert ledger.restarts() == {"manual": 1}


def test_a_count_that_was_reset_in_a_gap_tells_of_a_restart_by_hand_and_of_those_by_policy_after_it(
    ledger: Ledger,
) -> None:
    ledger.inspection(inspection(started=300, restart_count=5))
    ledger.inspection(inspection(started=500, restart_count=2))
    ledger.settle()

    assert ledger.restarts() == {"policy": 5 + 2, "manual": 1}


def test_a_restart_that_is_yet_to_come_is_not_counted(ledger: Ledger) -> None:
    ledger.inspection(inspection(state="restarting", exit_code=1, finished=110, restart_count=1))

    assert (ledger.restarts(), ledger.exits()) == ({}, {"error": 1})


def test_a_container_created_in_a_gap_brings_its_restarts_by_policy(ledger: Ledger) -> None:
    ledger.inspection(inspection(id="2", created=200, started=210, restart_count=3))

    assert ledger.restarts() == {"policy": 3}


def test_what_happened_before_anybody_looked_is_not_counted() -> None:
    ledger = Ledger()
    ledger.cursor = 1000 * SECOND
    ledger.inspection(inspection(restart_count=7, state="exited", exit_code=1, finished=200))

    assert ledger.totals() == {}
    assert not ledger.records["web"].wanted


def test_an_exit_in_a_gap_is_counted_by_the_code_that_is_left(ledger: Ledger) -> None:
    ledger.inspection(inspection(state="exited", exit_code=137, oom_killed=True, finished=200, policy="no"))

    assert (ledger.exits(), ledger.oom_kills()) == ({"oom": 1}, 1)
    assert ledger.records["web"].wanted


def test_a_policy_overruled_in_a_gap_means_an_operator(ledger: Ledger) -> None:
    ledger.inspection(inspection(state="exited", exit_code=143, finished=200, policy="unless-stopped"))

    assert not ledger.records["web"].wanted


def test_a_policy_that_could_not_start_the_container_again_leaves_it_wanted(ledger: Ledger) -> None:
    ledger.inspection(inspection(state="exited", exit_code=128, finished=200, error="no such device"))

    assert ledger.records["web"].wanted


def test_an_engine_that_came_back_and_started_containers_is_told_from_a_hand(ledger: Ledger) -> None:
    ledger.engine_restarted()
    ledger.inspection(inspection(started=500))
    ledger.engine_settled()
    ledger.inspection(inspection(started=900))
    ledger.settle()

    assert ledger.restarts() == {"daemon": 1, "manual": 1}


def test_a_container_without_policy_is_not_started_by_an_engine_that_came_back() -> None:
    ledger = Ledger()
    ledger.event(event("start", 100.001), inspection(policy="no"))
    ledger.engine_restarted()
    ledger.event(event("start", 500), None)
    ledger.settle()

    assert ledger.restarts() == {"manual": 1}


def test_stops_of_an_engine_on_its_way_down_are_not_an_operators(ledger: Ledger) -> None:
    for action, at in (("kill", 200.0), ("die", 200.1), ("stop", 200.2)):
        ledger.event(event(action, at, exitCode="143", signal="15"))
    stopped = ledger.records["web"].wanted
    ledger.engine_restarted(lost=201 * SECOND)

    assert (stopped, ledger.records["web"].wanted) == (False, True)


def test_a_stop_long_before_the_engine_went_down_stays_an_operators(ledger: Ledger) -> None:
    for action, at in (("kill", 200.0), ("die", 200.1), ("stop", 200.2)):
        ledger.event(event(action, at, exitCode="143", signal="15"))
    ledger.engine_restarted(lost=2000 * SECOND)

    assert not ledger.records["web"].wanted


def test_a_restart_that_the_self_monitor_announced_is_its_own(ledger: Ledger) -> None:
    ledger.claims["journal-1"] = Claim(container="1", at=199.0)
    _docker_restart(ledger, 200.0)
    _docker_restart(ledger, 300.0)
    ledger.settle(now=300.0 + CLAIM_WAIT + 1)

    assert ledger.restarts() == {"self_monitor": 1, "manual": 1}
    assert ledger.claims == {}


def test_the_announcement_may_come_a_moment_after_the_restart(ledger: Ledger) -> None:
    _docker_restart(ledger, 200.0)
    ledger.settle(now=200.0 + CLAIM_WAIT - 1)
    assert ledger.restarts() == {}

    ledger.claims["journal-1"] = Claim(container="1", at=199.0)
    ledger.settle(now=200.0 + CLAIM_WAIT)

    assert ledger.restarts() == {"self_monitor": 1}


def test_an_announcement_for_another_container_claims_nothing(ledger: Ledger) -> None:
    ledger.claims["journal-1"] = Claim(container="2", at=199.0)
    _docker_restart(ledger, 200.0)
    ledger.settle(now=210.0)

    assert ledger.restarts() == {"manual": 1}


def test_an_announcement_that_led_to_nothing_is_forgotten(ledger: Ledger) -> None:
    ledger.claims["journal-1"] = Claim(container="1", at=199.0)
    ledger.settle(now=1000.0)

    assert ledger.claims == {}


def test_an_announcement_that_comes_a_day_late_waits_for_the_engine_to_tell_of_the_restart(ledger: Ledger) -> None:
    ledger.claims["journal-1"] = Claim(container="1", at=199.0, noted=90_000.0)
    ledger.settle(now=90_001.0)
    _docker_restart(ledger, 200.0)
    ledger.settle(now=90_002.0)

    assert ledger.restarts() == {"self_monitor": 1}


def _docker_restart(ledger: Ledger, at: float) -> None:
    ledger.event(event("kill", at, signal="15"))
    ledger.event(event("die", at + 0.1, exitCode="143"))
    ledger.event(event("stop", at + 0.2))
    ledger.event(event("start", at + 0.3), inspection(started=at + 0.25, finished=at + 0.1))


def test_a_memory_event_that_comes_after_the_death_counts_one_kill(ledger: Ledger) -> None:
    ledger.event(event("die", 200, exitCode="137"))
    ledger.event(event("oom", 200.1))
    ledger.event(event("oom", 200.2))

    assert ledger.oom_kills() == 1


def test_a_child_killed_for_memory_long_ago_does_not_explain_a_later_exit(ledger: Ledger) -> None:
    ledger.event(event("oom", 150))
    ledger.event(event("die", 200, exitCode="1"))

    assert (ledger.exits(), ledger.oom_kills()) == ({"error": 1}, 0)


def test_docker_kill_after_a_memory_event_is_a_signal(ledger: Ledger) -> None:
    ledger.event(event("oom", 199))
    ledger.event(event("kill", 200, signal="9"))
    ledger.event(event("die", 200.1, exitCode="137"))

    assert (ledger.exits(), ledger.oom_kills()) == ({"signal": 1}, 0)


def test_a_signal_that_ends_nothing_does_not_hide_a_crash(ledger: Ledger) -> None:
    ledger.event(event("kill", 150, signal="1"))
    ledger.event(event("oom", 199))
    ledger.event(event("die", 200, exitCode="137"))
    ledger.event(event("start", 201))

    assert (ledger.exits(), ledger.restarts()) == ({"oom": 1}, {"policy": 1})


def test_a_lost_death_does_not_hide_the_restart(ledger: Ledger) -> None:
    ledger.event(event("start", 500), inspection(started=499.9, restart_count=1))

    assert ledger.restarts() == {"policy": 1}


def test_events_that_come_after_an_inspection_that_covers_them_add_the_exit_that_it_could_not_see(
    ledger: Ledger,
) -> None:
    ledger.inspection(inspection(started=300, restart_count=1))
    ledger.event(event("die", 299, exitCode="1"))
    ledger.event(event("start", 300.001))
    ledger.event(event("die", 400, exitCode="1"))
    ledger.event(event("start", 401))

    assert (ledger.restarts(), ledger.exits()) == ({"policy": 2}, {"error": 2})


def test_a_clock_that_is_set_back_hides_no_restart(ledger: Ledger) -> None:
    ledger.event(event("die", 50, exitCode="1"))
    ledger.event(event("start", 51))

    assert (ledger.restarts(), ledger.exits()) == ({"policy": 1}, {"error": 1})


def test_an_old_inspection_does_not_take_back_what_events_told(ledger: Ledger) -> None:
    ledger.event(event("die", 200, exitCode="0"))
    ledger.event(event("stop", 200.1))
    ledger.inspection(inspection())

    assert ledger.records["web"].state == "exited"


def test_a_recreated_container_counts_on(ledger: Ledger) -> None:
    _docker_restart(ledger, 200.0)
    ledger.event(event("kill", 300, signal="9"))
    ledger.event(event("die", 300.1, exitCode="137"))
    ledger.event(event("destroy", 300.2))
    ledger.event(event("start", 310, container="2"), inspection(id="2", started=309.9))
    ledger.event(event("die", 320, container="2", exitCode="1"))
    ledger.event(event("start", 321, container="2"))
    ledger.settle()

    assert (ledger.restarts(), ledger.exits()) == ({"manual": 1, "policy": 1}, {"signal": 2, "error": 1})


def test_a_container_that_is_removed_while_it_was_wanted_stays_wanted(ledger: Ledger) -> None:
    ledger.event(event("kill", 300, signal="9"))
    ledger.event(event("die", 300.1, exitCode="137"))
    ledger.event(event("destroy", 300.2))

    record = ledger.records["web"]
    assert (record.state, record.wanted, record.running) == (GONE, True, False)


def test_a_container_that_is_renamed_takes_its_record_with_it(ledger: Ledger) -> None:
    ledger.event(event("rename", 200, name="store", oldName="/web"))

    assert list(ledger.records) == ["store"]
    assert ledger.records["store"].running


def test_a_rename_in_a_gap_is_found_by_the_id(ledger: Ledger) -> None:
    ledger.inspection(inspection(name="store"))

    assert list(ledger.records) == ["store"]
    assert ledger.totals() == {}


def test_health_is_known_while_it_runs_only() -> None:
    ledger = Ledger()
    ledger.event(event("start", 100.001), inspection(health="starting"))
    ledger.event(event("health_status", 110, detail="unhealthy"), inspection(health="unhealthy", streak=3))
    while_running = ledger.records["web"]
    ledger.event(event("die", 120, exitCode="1"))

    assert (while_running.health, while_running.streak) == ("unhealthy", 3)
    assert ledger.records["web"].health == ""


class TestAPausedContainer:
    """What its health check says is of before: the pause itself lets the check fail that it interrupts."""

    def unhealthy(self, probed: float, **changes: Any) -> Inspection:
        return inspection(health="unhealthy", streak=3, probed=int(probed * SECOND), **changes)

    def test_has_no_health(self, ledger: Ledger) -> None:
        ledger.inspection(self.unhealthy(109))
        ledger.event(event("pause", 110))
        assert (ledger.records["web"].state, ledger.records["web"].health) == ("paused", "")

        ledger.event(event("health_status", 112, detail="unhealthy"), self.unhealthy(109, state="paused"))
        ledger.inspection(self.unhealthy(109, state="paused"), 113)
        assert (ledger.records["web"].state, ledger.records["web"].health) == ("paused", "")

    @pytest.mark.parametrize("seen", ["event", "inspection"])
    def test_has_one_again_when_it_was_checked_after_the_pause(self, ledger: Ledger, seen: str) -> None:
        ledger.event(event("pause", 110))
        if seen == "event":
            ledger.event(event("unpause", 120))
        else:
            ledger.inspection(self.unhealthy(109), 120)
        ledger.event(event("health_status", 121, detail="unhealthy"), self.unhealthy(109))
        ledger.inspection(self.unhealthy(119.9), 122)
        assert (ledger.records["web"].state, ledger.records["web"].health) == ("running", "")

        ledger.inspection(self.unhealthy(125), 128)
        assert (ledger.records["web"].health, ledger.records["web"].streak) == ("unhealthy", 3)

    def test_is_believed_where_the_engine_does_not_say_when_it_checked(self, ledger: Ledger) -> None:
        ledger.event(event("pause", 110))
        ledger.event(event("unpause", 120))
        ledger.inspection(inspection(health="unhealthy", streak=3), 121)

        assert ledger.records["web"].health == "unhealthy"

    def test_begins_anew_with_its_next_start(self, ledger: Ledger) -> None:
        ledger.event(event("pause", 110))
        ledger.event(event("unpause", 120))
        ledger.event(event("die", 130, exitCode="1"))
        ledger.event(event("start", 131))

        assert ledger.records["web"].resumed == 0

    def test_first_seen_paused_has_no_health(self) -> None:
        ledger = Ledger()
        ledger.inspection(self.unhealthy(109, state="paused"))

        assert (ledger.records["web"].state, ledger.records["web"].health) == ("paused", "")


def test_a_start_is_given_its_cause_also_when_the_clock_was_set_back() -> None:
    held = ContainerRecord(name="web", id="1", held=(Held("1", 1, until=LATER + 86_400),))

    change, _ = settle([held], {}, LATER)

    assert [(count.metric, count.labels) for count in change.counts] == [(RESTARTS, ("web", "manual"))]
