"""What the self-monitor decides: N − 1, N, and the edges of the window."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import GONE, ContainerRecord
from vv_exporter.settings import load
from vv_exporter.supervisor.policy import Condition, GiveUp, Leave, Limits, Restart, Wait, condition, decide, recent
from vv_exporter.supervisor.state import Attempt, Supervised

NOW = 1_700_000_000.0
LIMITS = Limits(max_restarts=5, window=3600.0, first_wait=5.0, longest_wait=60.0)
FAILED = Condition("it ended with exit code 1")
WELL = Condition()
BY_DOCKER = Condition("it ended with exit code 1", by_docker=True)


def history(*ages: float, failing_for: float = 1e6, **more: object) -> Supervised:
    """One that was restarted so many seconds ago, and fails since."""
    restarts = tuple(NOW - age for age in ages)
    return Supervised(container="id", restarts=restarts, failing_since=NOW - failing_for, **more)  # type: ignore[arg-type]


def record(**more: object) -> ContainerRecord:
    values: dict[str, object] = {"name": "web", "id": "id", "state": "exited", "exit_code": 1, "wanted": True}
    return ContainerRecord(**(values | more))  # type: ignore[arg-type]


def fault(one: ContainerRecord, *, must_run: bool = False, owed: bool = False, missing: str = "") -> str:
    return condition(one, NOW, must_run=must_run, owed=owed, missing=missing).fault


def test_the_nth_restart_inside_the_window_is_the_last() -> None:
    assert decide(history(40, 30, 20, 10), FAILED, LIMITS, NOW) == Restart()
    assert decide(history(50, 40, 30, 20, 10), FAILED, LIMITS, NOW) == GiveUp()


@pytest.mark.parametrize(("age", "decision"), [(3599.9, GiveUp()), (3600.0, Restart()), (3600.1, Restart())])
def test_a_restart_counts_until_it_is_as_old_as_the_window(age: float, decision: object) -> None:
    assert decide(history(age, 40, 30, 20, 10), FAILED, LIMITS, NOW) == decision


def test_what_is_well_after_its_last_restart_is_not_given_up() -> None:
    assert decide(history(50, 40, 30, 20, 10), WELL, LIMITS, NOW) == Leave()


@pytest.mark.parametrize(("made", "wait"), [(0, 5), (1, 10), (2, 20), (3, 40), (4, 60)])
def test_the_wait_doubles_with_each_restart_up_to_a_limit(made: int, wait: float) -> None:
    past = range(made)

    assert decide(history(*past, failing_for=wait - 1), FAILED, LIMITS, NOW) == Wait(NOW + 1)
    assert decide(history(*past, failing_for=wait), FAILED, LIMITS, NOW) == Restart()


def test_nothing_is_given_up_before_an_operators_stop_would_be_known() -> None:
    past = (50, 40, 30, 20, 10)

    assert decide(history(*past, failing_for=4), FAILED, LIMITS, NOW) == Wait(NOW + 1)


def test_what_is_given_up_or_being_restarted_is_left() -> None:
    attempt = Attempt(id="1", at=NOW, before=0)

    assert decide(history(gave_up=NOW - 1), FAILED, LIMITS, NOW) == Leave()
    assert decide(history(attempt=attempt), FAILED, LIMITS, NOW) == Leave()


def test_what_docker_is_about_to_start_is_left_to_docker_until_it_was_too_often() -> None:
    assert decide(history(40, 30, 20, 10), BY_DOCKER, LIMITS, NOW) == Leave()
    assert decide(history(50, 40, 30, 20, 10), BY_DOCKER, LIMITS, NOW) == GiveUp()


def test_one_more_restart_by_docker_is_one_more_failure_though_nobody_saw_it() -> None:
    past = (50, 40, 30, 20, 10)

    assert decide(history(*past), WELL, LIMITS, NOW, restarted_by_docker=True) == Leave()
    assert decide(history(*past, 5), WELL, LIMITS, NOW, restarted_by_docker=True) == GiveUp()
    assert decide(history(*past, 5), WELL, LIMITS, NOW) == Leave()


@given(
    max_restarts=st.integers(1, 12),
    window=st.floats(10, 5000),
    first_wait=st.floats(0.1, 10),
    lives=st.lists(st.floats(0, 60), min_size=40, max_size=40),
)
def test_no_window_ever_holds_more_than_n_restarts(
    max_restarts: int, window: float, first_wait: float, lives: list[float]
) -> None:
    limits = Limits(max_restarts, window, first_wait, 60.0)
    now, one = NOW, Supervised(container="id")
    for life in lives:
        now += life
        one = Supervised(container="id", restarts=one.restarts, failing_since=now)
        decision = decide(one, FAILED, limits, now)
        while isinstance(decision, Wait):
            assert decision.until > now
            now = decision.until
            decision = decide(one, FAILED, limits, now)
        if decision == GiveUp():
            break
        assert decision == Restart()
        one = Supervised(container="id", restarts=(*one.restarts, now))

    for start in one.restarts:
        assert sum(0 <= other - start < window for other in one.restarts) <= max_restarts
    if now - NOW < window:
        assert len(one.restarts) == max_restarts


def test_restarts_that_do_not_count_any_more_are_forgotten() -> None:
    assert recent(history(5000, 3600, 3599, 1), LIMITS, NOW) == (NOW - 3599, NOW - 1)


def test_what_ended_though_it_should_run_has_failed() -> None:
    assert fault(record(exit_code=3)) == "it ended with exit code 3"
    assert fault(record(exit_code=137, oom_counted=True)) == "it was OOM-killed"
    assert fault(record(state="dead")) == "it ended with exit code 1"
    assert condition(record(state="restarting"), NOW, must_run=False, owed=False, missing="").by_docker


def test_what_runs_has_failed_when_it_is_unhealthy_or_lacks_its_program() -> None:
    assert fault(record(state="running")) == ""
    assert fault(record(state="running", health="starting")) == ""
    assert "3 failed health checks" in fault(record(state="running", health="unhealthy", streak=3))
    assert "agent does not run" in fault(record(state="running"), missing="agent")


def test_what_an_operator_did_is_respected() -> None:
    assert fault(record(wanted=False, stopped=True)) == ""
    assert fault(record(wanted=False, stopped=True), must_run=True) == ""
    assert fault(record(state="paused", health="unhealthy")) == ""
    assert fault(record(state="created")) == ""
    assert fault(record(state=GONE)) == ""


def test_an_unhealthy_container_that_an_operator_is_ending_is_left_to_end() -> None:
    signalled = int((NOW - 59) * SECOND)

    assert fault(record(state="running", health="unhealthy", killed=signalled)) == ""
    assert fault(record(state="running", health="unhealthy", killed=signalled - 2 * SECOND)) != ""
    assert fault(record(state="running", health="unhealthy", wanted=False)) == ""


def test_a_one_shot_that_succeeded_is_left_unless_it_is_listed() -> None:
    done = record(exit_code=0, wanted=False)

    assert fault(done) == ""
    assert fault(done, must_run=True) == "it ended with exit code 0"


@pytest.mark.parametrize(("code", "oom"), [*itertools.product((0, 1, 137, 139, 143), (False, True))])
def test_an_end_that_nobody_saw_is_left_if_it_looks_like_a_stop(code: int, oom: bool) -> None:
    unseen = record(exit_code=code, ahead=True, oom_counted=oom)

    assert (fault(unseen) == "") == (code in (0, 137, 143) and not oom)


def test_what_the_self_monitor_stopped_itself_is_not_an_operators_stop() -> None:
    assert "could not be started again" in fault(record(wanted=False, stopped=True), owed=True)


@pytest.mark.parametrize(("ago", "left"), [(0, True), (59.9, True), (60, False), (-0.1, False)])
def test_an_operators_signal_is_given_a_minute(ago: float, left: bool) -> None:
    one = record(state="running", health="unhealthy", killed=int((NOW - ago) * SECOND))

    assert (fault(one) == "") == left


def test_an_age_of_nothing_counts_and_a_time_to_come_does_not() -> None:
    assert recent(history(0, -1, 3600), LIMITS, NOW) == (NOW,)


def test_a_fault_that_was_first_seen_in_the_future_is_as_old_as_now() -> None:
    assert decide(history(failing_for=-100), FAILED, LIMITS, NOW) == Wait(NOW + 5)


def test_what_runs_and_is_listed_has_failed_without_having_been_seen_to_work() -> None:
    one = record(state="running", health="unhealthy", wanted=False)

    assert fault(one) == ""
    assert fault(one, must_run=True) != ""


def test_what_docker_is_about_to_start_again_failed_as_it_ended() -> None:
    found = condition(record(state="restarting", exit_code=4), NOW, must_run=False, owed=False, missing="")

    assert found == Condition("it ended with exit code 4", by_docker=True)
    assert fault(record(state="restarting", wanted=False)) == ""
    assert fault(record(state="restarting", stopped=True), must_run=True) == ""


def test_what_is_owed_a_start_fails_whatever_else_is_known_of_it() -> None:
    for state in ("exited", "restarting", "dead"):
        assert "could not be started again" in fault(record(state=state, stopped=True), owed=True)
    assert fault(record(state="paused"), owed=True) == ""
    assert not condition(record(), NOW, must_run=False, owed=True, missing="").by_docker


def test_the_limits_are_those_of_the_settings() -> None:
    limits = Limits.of(
        load(
            {
                "VV_STATE_DIR": "/nonexistent",
                "SELF_MONITOR_MAX_RESTARTS": "7",
                "SELF_MONITOR_WINDOW": "2h",
                "SELF_MONITOR_BACKOFF": "3s",
                "SELF_MONITOR_BACKOFF_MAX": "40s",
            }
        )
    )

    assert limits == Limits(7, 7200.0, 3.0, 40.0)
    assert [limits.wait(made) for made in (0, 1, 3, 4)] == [3, 6, 24, 40]
    assert Limits() == Limits.of(load({"VV_STATE_DIR": "/nonexistent"}))
