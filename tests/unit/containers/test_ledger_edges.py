"""The edges of what the ledger takes for the same, for near, and for late: just inside, at, and just beyond each."""

from typing import Any

import pytest

from tests.unit.containers.ledgers import Ledger, event, inspection
from vv_exporter.containers.inspections import fold_inspection, fold_listed, fold_missing
from vv_exporter.containers.ledger import engine_restarted, engine_settled, fold_event, settle
from vv_exporter.containers.observed import SECOND, Listed
from vv_exporter.containers.records import GONE, MAX_CLAIMS, Claim, ContainerRecord, Held, all_series, by_id
from vv_exporter.metrics.containers import EXITS, OOM_KILLS, RESTARTS


@pytest.fixture
def ledger() -> Ledger:
    """It saw the container start at 100, and the last event at 100.001."""
    ledger = Ledger()
    ledger.event(event("start", 100.001), inspection())
    return ledger


def record(**more: Any) -> ContainerRecord:
    values: dict[str, Any] = {"name": "web", "id": "1", "state": "running", "started": 100 * SECOND, "wanted": True}
    return ContainerRecord(**(values | more))


def ledger_of(one: ContainerRecord) -> Ledger:
    ledger = Ledger()
    ledger.records[one.name] = one
    return ledger


def listed(state: str = "running", **more: Any) -> Listed:
    return Listed("1", "web", state, **{"health": "", "one_off": False, **more})


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (-1, "error"),
        (0, "ok"),
        (1, "error"),
        (127, "error"),
        (128, "error"),
        (129, "signal"),
        (192, "signal"),
        (193, "error"),
    ],
)
def test_an_exit_by_a_signal_is_128_and_one_of_64(ledger: Ledger, code: int, reason: str) -> None:
    ledger.event(event("die", 200, exitCode=str(code)))

    assert ledger.exits() == {reason: 1}


def test_a_death_that_tells_no_code_ended_well(ledger: Ledger) -> None:
    ledger.event(event("die", 200))

    assert ledger.exits() == {"ok": 1}
    assert ledger.records["web"].exit_code == 0


@pytest.mark.parametrize(("later", "oom"), [(0, 1), (9.9, 1), (10, 0), (-1, 0)])
def test_a_memory_event_explains_a_death_within_ten_seconds(ledger: Ledger, later: float, oom: int) -> None:
    ledger.event(event("oom", 150))
    ledger.event(event("die", 150 + later, exitCode="1"))

    assert ledger.oom_kills() == oom


@pytest.mark.parametrize(("later", "oom"), [(0, 0), (59.9, 0), (60, 1), (-1, 1)])
def test_an_operators_signal_explains_a_death_within_a_minute(ledger: Ledger, later: float, oom: int) -> None:
    ledger.event(event("kill", 200, signal="15"))
    ledger.event(event("oom", 200 + later))
    ledger.event(event("die", 200 + later, exitCode="137"))

    assert ledger.oom_kills() == oom


@pytest.mark.parametrize(
    ("flagged", "code", "oom"), [(True, 137, 1), (True, 1, 0), (True, 136, 0), (True, 138, 0), (False, 137, 0)]
)
def test_dockers_mark_of_a_memory_kill_counts_for_an_end_by_sigkill(
    ledger: Ledger, flagged: bool, code: int, oom: int
) -> None:
    after = inspection(state="exited", exit_code=code, oom_killed=flagged, finished=200)
    ledger.event(event("die", 200, exitCode=str(code)), after)

    assert ledger.oom_kills() == oom


@pytest.mark.parametrize(("finished", "oom"), [(199, 1), (200, 1), (200.1, 0)])
def test_an_inspection_of_a_later_end_says_nothing_of_this_one(ledger: Ledger, finished: float, oom: int) -> None:
    after = inspection(state="exited", exit_code=137, oom_killed=True, finished=finished)
    ledger.event(event("die", 200, exitCode="137"), after)

    assert ledger.oom_kills() == oom


def test_an_inspection_of_the_next_run_says_nothing_of_an_end(ledger: Ledger) -> None:
    ledger.event(event("die", 200, exitCode="137"), inspection(started=201, finished=150, oom_killed=True))

    assert (ledger.oom_kills(), ledger.exits()) == (0, {"signal": 1})


@pytest.mark.parametrize(("later", "oom"), [(0, 1), (1.9, 1), (2, 0), (-0.1, 0)])
def test_a_memory_event_comes_at_most_two_seconds_after_the_death(ledger: Ledger, later: float, oom: int) -> None:
    ledger.event(event("die", 200, exitCode="137"))
    ledger.event(event("oom", 200 + later))

    assert ledger.oom_kills() == oom
    assert ledger.records["web"].oom_counted == bool(oom)


@pytest.mark.parametrize("code", ["1", "136", "138"])
def test_a_memory_event_after_a_death_of_another_kind_explains_nothing(ledger: Ledger, code: str) -> None:
    ledger.event(event("die", 200, exitCode=code))
    ledger.event(event("oom", 200.1))

    assert ledger.oom_kills() == 0


def test_a_memory_event_after_an_operators_kill_explains_nothing(ledger: Ledger) -> None:
    ledger.event(event("kill", 199, signal="9"))
    ledger.event(event("die", 200, exitCode="137"))
    ledger.event(event("oom", 200.1))

    assert ledger.oom_kills() == 0


def test_a_death_that_a_memory_event_explains_is_not_explained_again_by_the_next(ledger: Ledger) -> None:
    ledger.event(event("oom", 199.9))
    ledger.event(event("die", 200, exitCode="137"))
    ledger.event(event("oom", 200.1))

    assert (ledger.oom_kills(), ledger.exits()) == (1, {"oom": 1})


@pytest.mark.parametrize(("later", "known"), [(0, True), (9.9, True), (10, False), (-0.1, False)])
def test_a_start_event_is_of_a_run_that_began_within_ten_seconds_before(later: float, known: bool) -> None:
    ledger = Ledger()
    ledger.event(event("start", 100 + later), inspection(health="starting"))

    started = ledger.records["web"].started
    assert (started == 100 * SECOND, ledger.records["web"].health) == (
        (True, "starting") if known else (later == 0, "")
    )


@pytest.mark.parametrize(("later", "counted"), [(9.9, {}), (10, {"manual": 1}), (10.1, {"manual": 1})])
def test_a_run_that_an_inspection_told_of_covers_its_start_event_for_ten_seconds(
    ledger: Ledger, later: float, counted: dict[str, int]
) -> None:
    ledger.inspection(inspection(started=200, policy="no"))
    ledger.settle()
    before = sum(ledger.restarts().values())

    ledger.event(event("start", 200 + later))
    ledger.settle()

    assert sum(ledger.restarts().values()) - before == sum(counted.values())


@pytest.mark.parametrize(("at", "again"), [(299.9, 0), (300, 1)])
def test_a_start_that_is_older_than_an_end_that_an_inspection_told_of_is_known(
    ledger: Ledger, at: float, again: int
) -> None:
    ledger.inspection(inspection(started=200, finished=300, state="exited", exit_code=1, policy="no"))
    ledger.settle()
    before = sum(ledger.restarts().values())

    ledger.event(event("start", at))
    ledger.settle()

    assert sum(ledger.restarts().values()) - before == again


def test_a_start_whose_inspection_shows_a_run_before_the_known_one_is_known(ledger: Ledger) -> None:
    ledger.inspection(inspection(started=300, restart_count=1))
    before = ledger.totals()
    ledger.event(event("start", 200), inspection(started=199.9))

    assert ledger.totals() == before
    assert ledger.records["web"].started == 300 * SECOND


def test_what_an_inspection_has_moved_is_ahead_until_an_event_has_caught_up(ledger: Ledger) -> None:
    ledger.inspection(inspection(started=300, restart_count=1))
    assert ledger.records["web"].ahead
    ledger.event(event("start", 300.001))

    assert not ledger.records["web"].ahead
    # Not ahead any more: a clock that was set back hides nothing.
    ledger.event(event("die", 299, exitCode="1"))
    assert ledger.exits() == {"error": 1}
    assert ledger.records["web"].state == "restarting"


@pytest.mark.parametrize(("at", "counted"), [(299.9, {"error": 1}), (300, {"error": 1})])
def test_an_exit_before_and_one_at_the_start_that_an_inspection_told_of_count_once(
    ledger: Ledger, at: float, counted: dict[str, int]
) -> None:
    ledger.inspection(inspection(started=300, restart_count=1))
    ledger.event(event("die", at, exitCode="1"))

    assert ledger.exits() == counted
    assert (ledger.records["web"].state == "running") == (at < 300)


def test_an_exit_at_the_very_start_is_of_the_run_that_an_inspection_showed_ended(ledger: Ledger) -> None:
    ledger.inspection(inspection(started=300, finished=310, state="exited", exit_code=1, policy="no"))
    before = ledger.exits()
    ledger.event(event("die", 300, exitCode="1"))

    assert ledger.exits() == before == {"error": 1}


def test_with_a_death_events_have_caught_up(ledger: Ledger) -> None:
    ledger.inspection(inspection(started=300, restart_count=1))
    ledger.event(event("die", 400, exitCode="1"))

    assert not ledger.records["web"].ahead
    assert ledger.records["web"].finished == 400 * SECOND


@pytest.mark.parametrize("action", ["oom", "kill", "pause", "health_status"])
def test_of_the_run_before_only_its_exit_counts(ledger: Ledger, action: str) -> None:
    ledger.inspection(inspection(started=300, restart_count=1))
    before = ledger.records["web"]
    ledger.event(event(action, 200, signal="9"))

    assert (ledger.exits(), ledger.oom_kills(), ledger.records["web"]) == ({}, 0, before)


@pytest.mark.parametrize(("at", "stopped"), [(299.9, False), (300, True)])
def test_an_operators_stop_of_the_run_that_has_ended_is_known_though_the_end_was_inspected(
    ledger: Ledger, at: float, stopped: bool
) -> None:
    ledger.inspection(inspection(started=300, finished=310, state="exited", exit_code=1, error="none"))
    ledger.event(event("stop", at))

    assert ledger.records["web"].stopped == stopped


def test_a_stop_of_an_engine_that_comes_up_is_no_operators(ledger: Ledger) -> None:
    ledger.inspection(inspection(started=300, finished=310, state="exited", exit_code=1, error="none"))
    ledger.engine_restarted()
    ledger.event(event("stop", 305))
    ledger.event(event("stop", 311))

    assert not ledger.records["web"].stopped


def test_an_unknown_container_is_known_by_its_start_alone() -> None:
    assert fold_event({}, event("die", 1, exitCode="1"), None, 1.0).records == {}
    assert fold_event({}, event("oom", 1), None, 1.0).counts == ()


def test_one_that_is_gone_before_anything_was_known_of_it_was_run_to_remove_itself() -> None:
    of = {"image": "web:2", "com.docker.compose.project": "site", "com.docker.compose.service": "front"}
    gone = fold_event({}, event("start", 1, **of), None, 1.0).records["web"]
    silent = fold_event({}, event("start", 1, **of), None, 1.0, unanswered=True).records["web"]

    assert gone is not None
    assert silent is not None
    assert (gone.auto_remove, gone.listed_only, gone.wanted) == (True, False, False)
    assert (silent.auto_remove, silent.listed_only, silent.wanted) == (False, True, True)
    assert (silent.image, silent.project, silent.service) == ("web:2", "site", "front")


class TestClaims:
    """The self-monitor's word, and the start that it is about."""

    def settled(self, held: Held, claims: dict[str, Claim], now: float) -> tuple[dict[str, int], list[str], int]:
        change, used = settle([record(held=(held,))], claims, now)
        left = change.records.get("web")
        causes = {count.labels[1]: count.amount for count in change.counts}
        return causes, used, 1 if left is None else len(left.held)

    @pytest.mark.parametrize(("after", "cause"), [(-0.1, "manual"), (0, "self_monitor"), (120, "self_monitor")])
    @pytest.mark.parametrize("at", [1000])
    def test_reach_two_minutes(self, at: float, after: float, cause: str) -> None:
        held = Held("1", int((at + after) * SECOND), until=0)

        assert self.settled(held, {"a": Claim("1", at)}, at)[0] == {cause: 1}

    def test_reach_no_longer(self) -> None:
        held = Held("1", int(1120.1 * SECOND), until=0)

        assert self.settled(held, {"a": Claim("1", 1000.0)}, 1121)[:2] == ({"manual": 1}, [])

    @pytest.mark.parametrize(("now", "kept"), [(1240, True), (1240.1, False)])
    @pytest.mark.parametrize("claim", [Claim("1", 1000.0), Claim("1", 5.0, noted=1000.0)])
    def test_are_kept_for_four(self, claim: Claim, now: float, kept: bool) -> None:
        assert settle([], {"a": claim}, now)[1] == ([] if kept else ["a"])

    @pytest.mark.parametrize(
        ("left", "causes"),
        [(5, {}), (0.1, {}), (0, {"manual": 1}), (-1, {"manual": 1}), (5.1, {"manual": 1})],
    )
    def test_a_start_waits_for_one_for_five_seconds(self, left: float, causes: dict[str, int]) -> None:
        held = Held("1", 1000 * SECOND, until=1000 + left)

        assert self.settled(held, {}, 1000.0) == (causes, [], 0 if causes else 1)

    def test_a_start_through_the_api_waits_from_its_own_time_on(self, ledger: Ledger) -> None:
        ledger.event(event("kill", 199, signal="15"))
        ledger.event(event("die", 200, exitCode="143"))
        ledger.event(event("start", 201))

        assert ledger.records["web"].held == (Held("1", 201 * SECOND, until=206.0),)

    def test_each_is_for_one_start_and_the_others_wait_on(self) -> None:
        starts = tuple(Held("1", at * SECOND, until=1104) for at in (1000, 1001, 1002))
        change, used = settle([record(held=starts)], {"a": Claim("1", 999.0), "b": Claim("2", 999.0)}, 1100)

        left = change.records["web"]
        assert left is not None
        assert (used, left.held) == (["a"], starts[1:])
        assert [count.labels for count in change.counts] == [("web", "self_monitor")]

    def test_what_waits_changes_nothing(self) -> None:
        change, used = settle([record(held=(Held("1", 1, until=1004),)), record(name="other")], {}, 1000.0)

        assert (change.records, change.counts, used) == ({}, (), [])

    def test_a_thousand_are_kept(self) -> None:
        assert MAX_CLAIMS == 1000


class TestTheWayDownOfAnEngine:
    def marked(self, lost: float | None, **more: Any) -> ContainerRecord:
        other = record(name="other", id="2", killed=210 * SECOND, stopped=True, wanted=False)
        one = record(**{"stopped": True, "wanted": False, "state": "exited", "killed": 210 * SECOND, **more})
        changed = engine_restarted([one, other], None if lost is None else int(lost * SECOND)).records["web"]
        assert changed is not None
        assert changed.booting
        return changed

    @pytest.mark.parametrize(("lost", "by_engine"), [(210, True), (269.9, True), (270, True), (270.1, False)])
    def test_takes_a_minute_at_most(self, lost: float, by_engine: bool) -> None:
        assert (self.marked(lost).stopped, self.marked(lost).wanted) == (not by_engine, by_engine)

    @pytest.mark.parametrize(("killed", "by_engine"), [(207.9, False), (208, True), (210, True)])
    def test_signals_all_within_two_seconds(self, killed: float, by_engine: bool) -> None:
        one = self.marked(211, killed=int(killed * SECOND))

        assert (one.stopped, one.wanted) == (not by_engine, by_engine)

    def test_that_nobody_witnessed_leaves_stops_an_operators(self) -> None:
        assert self.marked(None).stopped

    def test_leaves_alone_what_was_not_stopped_and_what_removes_itself(self) -> None:
        assert not self.marked(211, stopped=False).wanted
        assert not self.marked(211, auto_remove=True).wanted
        assert self.marked(211, stopped=False, wanted=True).wanted

    def test_nothing_was_signalled_where_nothing_is_known(self) -> None:
        assert engine_restarted([], 5).records == {}
        one = engine_restarted([record(stopped=True, wanted=False)], 60 * SECOND).records["web"]
        assert one is not None
        assert one.wanted  # a signal at the beginning of time, a minute before: no clock shows that

    def test_is_over_when_all_were_inspected(self) -> None:
        settled = engine_settled([record(booting=True), record(name="other", id="2")]).records

        assert settled == {"web": record()}


@pytest.mark.parametrize(
    ("policy", "retries", "made", "code", "covered"),
    [
        ("no", 0, 0, 1, False),
        ("always", 0, 0, 0, True),
        ("unless-stopped", 0, 0, 0, True),
        ("on-failure", 0, 0, 0, False),
        ("on-failure", 0, 0, 1, True),
        ("on-failure", 0, 99, 1, True),  # 0 is no limit
        ("on-failure", 1, 0, 1, True),
        ("on-failure", 1, 1, 1, False),
        ("on-failure", 3, 2, 1, True),
        ("on-failure", 3, 3, 1, False),
        ("on-failure", 3, 4, 1, False),
    ],
)
def test_the_policy_starts_it_again(policy: str, retries: int, made: int, code: int, covered: bool) -> None:
    ledger = ledger_of(record(policy=policy, max_retries=retries, restart_count=made))
    ledger.event(event("die", 200, exitCode=str(code)))

    assert ledger.records["web"].state == ("restarting" if covered else "exited")
    ledger.event(event("start", 201))
    ledger.settle()
    assert ledger.restarts() == ({"policy": 1} if covered else {"manual": 1})
    assert ledger.records["web"].restart_count == (made + 1 if covered else 0)


@pytest.mark.parametrize(
    ("changes", "code", "wanted"),
    [
        ({}, 0, False),
        ({}, 1, True),
        ({"policy": "always"}, 0, True),
        ({"killed": 150 * SECOND}, 0, True),  # an operator's signal: whether it was a stop comes with the next event
        ({"booting": True}, 0, True),
        ({"wanted": False}, 1, False),
    ],
)
def test_what_ended_well_by_itself_is_not_wanted_any_more(changes: dict[str, Any], code: int, wanted: bool) -> None:
    ledger = ledger_of(record(**{"policy": "no", **changes}))
    ledger.event(event("die", 200, exitCode=str(code)))

    assert ledger.records["web"].wanted == wanted


def test_a_lost_death_under_on_failure_is_taken_for_one_that_the_policy_covers() -> None:
    ledger = ledger_of(record(policy="on-failure", exit_code=0))
    ledger.event(event("start", 201))

    assert ledger.restarts() == {"policy": 1}


def test_what_was_signalled_or_stopped_is_not_started_by_the_policy() -> None:
    for changes in ({"killed": SECOND}, {"stopped": True}):
        ledger = ledger_of(record(policy="always", **changes))
        ledger.event(event("start", 201))
        ledger.settle()
        assert ledger.restarts() == {"manual": 1}


def test_an_engine_that_comes_up_starts_what_it_had_signalled_itself() -> None:
    ledger = ledger_of(record(policy="always", killed=SECOND, booting=True, state="exited"))
    ledger.event(event("start", 201))

    assert ledger.restarts() == {"daemon": 1}
    assert not ledger.records["web"].booting


def test_an_engine_that_comes_up_starts_always_what_an_operator_stopped() -> None:
    for policy, cause in (("always", "daemon"), ("unless-stopped", "manual")):
        ledger = ledger_of(record(policy=policy, stopped=True, booting=True, state="exited"))
        ledger.event(event("start", 201))
        ledger.settle()
        assert ledger.restarts() == {cause: 1}


@pytest.mark.parametrize(
    ("known", "shown", "restarts"), [(0, 1, {"policy": 1}), (0, 3, {"policy": 3}), (2, 3, {"policy": 1})]
)
def test_a_start_counts_as_many_restarts_as_dockers_count_grew(
    known: int, shown: int, restarts: dict[str, int]
) -> None:
    ledger = ledger_of(record(policy="always", restart_count=known))
    ledger.event(event("start", 201), inspection(started=200.9, restart_count=shown))

    assert (ledger.restarts(), ledger.records["web"].restart_count) == (restarts, shown)


def test_a_start_that_docker_does_not_count_is_no_policys_though_it_covers_the_end() -> None:
    ledger = ledger_of(record(policy="always", restart_count=3))
    ledger.event(event("start", 201), inspection(started=200.9, restart_count=0))
    ledger.settle()

    assert (ledger.restarts(), ledger.records["web"].restart_count) == ({"manual": 1}, 0)


def test_an_inspection_that_shows_the_policy_overruled_tells_no_count() -> None:
    """It has started and ended again meanwhile: whether Docker's count includes this start is not known."""
    ledger = ledger_of(record(policy="always", restart_count=1, state="exited", exit_code=1))
    after = inspection(started=200.9, state="exited", exit_code=1, restart_count=5, finished=203)
    ledger.event(event("start", 201), after)

    assert (ledger.restarts(), ledger.records["web"].restart_count) == ({"policy": 1}, 2)
    assert ledger.records["web"].health == ""


def test_the_first_start_of_a_container_is_no_restart() -> None:
    for state, started, listed_only, restarts in (
        ("created", 0, False, {}),
        ("created", 0, True, {}),
        ("exited", 0, True, {"manual": 1}),
        ("exited", 50, False, {"manual": 1}),
    ):
        ledger = ledger_of(record(state=state, started=started, listed_only=listed_only))
        ledger.event(event("start", 201))
        ledger.settle()
        assert ledger.restarts() == restarts


def test_a_start_begins_a_run_of_which_nothing_is_known() -> None:
    before = record(
        state="exited", exit_code=3, health="unhealthy", streak=4, stopped=True, killed=1, oom=2, oom_counted=True,
        resumed=3, unseen_exit=True, booting=True, gone_at=5.0, wanted=False,
    )  # fmt: skip
    ledger = ledger_of(before)
    ledger.event(event("start", 201))

    after = ledger.records["web"]
    assert after == record(exit_code=3, started=201 * SECOND, held=after.held)


def test_a_start_takes_what_an_inspection_says_of_its_health(ledger: Ledger) -> None:
    ledger.event(event("start", 300), inspection(started=299.9, health="unhealthy", streak=2))
    assert (ledger.records["web"].health, ledger.records["web"].streak) == ("unhealthy", 2)

    ended = inspection(started=399.9, health="unhealthy", streak=2, state="exited", finished=400.5)
    ledger.event(event("start", 400), ended)
    assert (ledger.records["web"].health, ledger.records["web"].streak) == ("", 0)


class TestHealth:
    @pytest.mark.parametrize(("detail", "streak"), [("healthy", 0), ("unhealthy", 2), ("starting", 2)])
    def test_keeps_its_streak_until_it_is_healthy(self, detail: str, streak: int) -> None:
        ledger = ledger_of(record(health="starting", streak=2))
        ledger.event(event("health_status", 110, detail=detail))

        assert (ledger.records["web"].health, ledger.records["web"].streak) == (detail, streak)

    def test_takes_the_streak_of_an_inspection_that_agrees(self) -> None:
        for after, streak in (
            (inspection(health="unhealthy", streak=5), 5),
            (inspection(health="healthy", streak=5), 2),
            (inspection(health="unhealthy", streak=5, state="exited"), 2),
        ):
            ledger = ledger_of(record(streak=2))
            ledger.event(event("health_status", 110, detail="unhealthy"), after)
            assert ledger.records["web"].streak == streak

    def test_of_a_check_that_began_when_the_pause_ended_is_believed(self) -> None:
        ledger = ledger_of(record(resumed=120 * SECOND))
        ledger.inspection(inspection(health="unhealthy", streak=3, probed=120 * SECOND), 130)

        assert (ledger.records["web"].health, ledger.records["web"].streak) == ("unhealthy", 3)

    def test_is_none_while_it_is_paused_whatever_is_told(self) -> None:
        for after in (None, inspection(health="unhealthy", streak=5)):
            ledger = ledger_of(record(state="paused"))
            ledger.event(event("health_status", 110, detail="unhealthy"), after)
            assert (ledger.records["web"].health, ledger.records["web"].streak) == ("", 0)

    def test_is_nothing_without_a_detail_and_for_what_does_not_run(self) -> None:
        ledger = ledger_of(record(health="healthy"))
        ledger.event(event("health_status", 110))
        assert ledger.records["web"].health == ""

        ledger = ledger_of(record(state="exited"))
        ledger.event(event("health_status", 110, detail="unhealthy"))
        assert ledger.records["web"].health == ""

    def test_is_taken_from_an_inspection_with_its_streak(self, ledger: Ledger) -> None:
        ledger.inspection(inspection(health="unhealthy", streak=7), 130)

        assert (ledger.records["web"].health, ledger.records["web"].streak) == ("unhealthy", 7)


class TestSignals:
    @pytest.mark.parametrize("number", ["1", "10", "12", "18", "28"])
    def test_that_end_nothing_are_not_noted(self, ledger: Ledger, number: str) -> None:
        ledger.event(event("kill", 150, signal=number))

        assert ledger.records["web"].killed == 0

    def test_the_first_of_several_is_the_time(self, ledger: Ledger) -> None:
        ledger.event(event("kill", 150, signal="15"))
        ledger.event(event("kill", 160, signal="9"))

        assert ledger.records["web"].killed == 150 * SECOND

    def test_to_what_has_ended_are_not_noted(self) -> None:
        ledger = ledger_of(record(state="exited"))
        ledger.event(event("kill", 150, signal="9"))

        assert ledger.records["web"].killed == 0


def test_a_pause_hides_the_health_and_its_end_brings_none(ledger: Ledger) -> None:
    ledger.event(event("health_status", 105, detail="unhealthy"), inspection(health="unhealthy", streak=3))
    ledger.event(event("pause", 110))
    paused = ledger.records["web"]
    ledger.event(event("unpause", 120))

    assert (paused.state, paused.health, paused.streak) == ("paused", "", 0)
    assert (ledger.records["web"].state, ledger.records["web"].resumed) == ("running", 120 * SECOND)


def test_a_stop_before_its_death_leaves_it_running_and_after_it_ends_it(ledger: Ledger) -> None:
    ledger.event(event("stop", 200))
    before = ledger.records["web"]
    ledger.event(event("die", 200.1, exitCode="143"))
    ledger.event(event("stop", 200.2))
    after = ledger.records["web"]

    assert (before.state, before.stopped, before.wanted) == ("running", True, False)
    assert (after.state, after.stopped, after.wanted, after.health, after.streak) == ("exited", True, False, "", 0)


def test_a_stop_in_the_back_off_ends_it() -> None:
    ledger = ledger_of(record(state="restarting", health="unhealthy", streak=2))
    ledger.event(event("stop", 200))

    assert (ledger.records["web"].state, ledger.records["web"].health, ledger.records["web"].streak) == (
        "exited",
        "",
        0,
    )


def test_an_update_is_taken_from_an_inspection_alone(ledger: Ledger) -> None:
    ledger.event(event("update", 150))
    assert ledger.records["web"].policy == "always"
    ledger.event(event("update", 150), inspection(policy="on-failure", max_retries=4, image="web:2"))

    one = ledger.records["web"]
    assert (one.policy, one.max_retries, one.image, one.state) == ("on-failure", 4, "web:2", "running")


def test_an_action_that_means_nothing_changes_nothing(ledger: Ledger) -> None:
    before = ledger.records["web"]
    ledger.event(event("exec_start", 150, signal="9"))

    assert ledger.records["web"] == before


class TestGone:
    @pytest.mark.parametrize(
        ("changes", "wanted"), [({}, True), ({"auto_remove": True}, False), ({"listed_only": True}, False)]
    )
    def test_stays_wanted_unless_it_removes_itself_or_was_never_inspected(
        self, changes: dict[str, Any], wanted: bool
    ) -> None:
        before = record(health="unhealthy", streak=3, ahead=True, **changes)
        for change in (fold_missing(before, 77.0), fold_event({"web": before}, event("destroy", 200), None, 77.0)):
            gone = change.records["web"]
            assert gone is not None
            assert (gone.state, gone.health, gone.streak, gone.gone_at) == (GONE, "", 0, 77.0)
            assert (gone.ahead, gone.wanted) == (False, wanted)

    def test_is_not_found_by_its_id(self) -> None:
        assert by_id([record(state=GONE)], "1") is None
        assert by_id([record(state="exited")], "1") is not None
        assert by_id([record()], "2") is None


class TestRenamed:
    def test_it_takes_what_the_old_bearer_of_the_name_left(self) -> None:
        old = record(name="store", id="0", state=GONE, wanted=True, exit_code=4, held=(Held("0", 1, 2.0),))
        one = record(wanted=False, held=(Held("1", 3, 4.0),))
        moved = fold_event({"web": one, "store": old}, event("rename", 150, name="store"), None, 1.0).records

        assert moved["web"] is None
        assert moved["store"] == record(name="store", exit_code=4, held=(Held("0", 1, 2.0), Held("1", 3, 4.0)))

    def test_its_own_exit_code_counts_for_more(self) -> None:
        old = record(name="store", id="0", state=GONE, wanted=False, exit_code=4)
        one = record(exit_code=0, state="exited", wanted=False)
        moved = fold_event({"web": one, "store": old}, event("rename", 150, name="store"), None, 1.0).records["store"]

        assert moved is not None
        assert (moved.exit_code, moved.wanted) == (0, False)

    def test_to_the_same_name_changes_nothing(self) -> None:
        assert fold_event({"web": record()}, event("rename", 150), None, 1.0).records == {}

    def test_in_a_gap_it_is_inspected_under_the_new_name(self) -> None:
        now = inspection(name="store", started=300, restart_count=2)
        change = fold_inspection({"web": record(policy="always")}, now, 1, 400.0)

        assert change.records["web"] is None
        assert change.records["store"] is not None
        assert change.records["store"].started == 300 * SECOND
        assert [(count.labels, count.amount) for count in change.counts] == [(("store", "policy"), 2)]


class TestRecreated:
    def test_it_goes_on_with_what_was_wanted_and_waits(self) -> None:
        held = (Held("1", 1, 2.0),)
        old = record(state=GONE, exit_code=9, held=held, booting=True, streak=4, killed=3, image="old")
        new = fold_inspection({"web": old}, inspection(id="2", started=0, state="created"), 1, 5.0).records["web"]

        assert new is not None
        assert (new.wanted, new.exit_code, new.held, new.booting) == (True, 9, held, True)
        assert (new.streak, new.killed, new.image) == (0, 0, "web:1")


class TestFirstSeen:
    def seen(self, since: float = 0, **changes: Any) -> tuple[ContainerRecord, Any]:
        change = fold_inspection({}, inspection(**changes), int(since * SECOND), 5.0)
        one = change.records["web"]
        assert one is not None
        return one, {(count.metric, *count.labels): count.amount for count in change.counts}

    def test_what_it_is_like(self) -> None:
        one, counts = self.seen(health="unhealthy", streak=2, restart_count=3, policy="always")

        assert (one.state, one.started, one.finished, one.restart_count) == ("running", 100 * SECOND, 0, 3)
        assert (one.health, one.streak, one.wanted, one.ahead) == ("unhealthy", 2, True, True)
        assert (one.exit_code, one.unseen_exit, counts) == (None, False, {})

    def test_paused_it_has_no_health(self) -> None:
        one, _ = self.seen(state="paused", health="unhealthy", streak=2)

        assert (one.health, one.streak, one.wanted) == ("", 0, True)

    @pytest.mark.parametrize(
        ("state", "remove", "wanted"),
        [("running", False, True), ("running", True, False), ("restarting", False, True), ("exited", False, False)],
    )
    def test_it_is_wanted_while_it_lives_and_does_not_remove_itself(
        self, state: str, remove: bool, wanted: bool
    ) -> None:
        assert self.seen(state=state, auto_remove=remove)[0].wanted == wanted

    @pytest.mark.parametrize(("since", "counted"), [(0, 0), (1e-9, 3), (98.9, 3), (99, 0), (99.1, 0)])
    def test_restarts_by_policy_count_of_one_that_was_created_after_the_last_event(
        self, since: float, counted: int
    ) -> None:
        counts = self.seen(since, restart_count=3)[1]

        assert counts == ({(RESTARTS, "web", "policy"): counted} if counted else {})

    @pytest.mark.parametrize(("since", "counted"), [(0, False), (1e-9, True), (99.9, True), (100, False)])
    def test_its_end_counts_if_it_was_started_after_the_last_event(self, since: float, counted: bool) -> None:
        one, counts = self.seen(since, state="exited", exit_code=137, oom_killed=True, finished=150, policy="no")

        assert counts == ({(EXITS, "web", "oom"): 1, (OOM_KILLS, "web"): 1} if counted else {})
        assert (one.exit_code, one.unseen_exit) == (137, not counted)

    def test_one_that_never_ran_has_no_exit_code(self) -> None:
        one, counts = self.seen(1, state="created", started=0, exit_code=0)

        assert (one.exit_code, one.unseen_exit, counts) == (None, False, {})

    def test_an_end_that_was_not_counted_counts_when_its_event_comes_once(self) -> None:
        ledger = Ledger()
        ledger.inspection(inspection(state="exited", exit_code=1, finished=150, policy="no"))
        for _ in range(2):
            ledger.event(event("die", 150, exitCode="1"))

        assert ledger.exits() == {"error": 1}
        assert (ledger.records["web"].ahead, ledger.records["web"].unseen_exit) == (False, False)


class TestInspectedAgain:
    @pytest.mark.parametrize(("known", "stale"), [(109.9, False), (110, True)])
    def test_one_of_a_run_ten_seconds_before_is_stale(self, known: float, stale: bool) -> None:
        before = record(started=int(known * SECOND))
        after = fold_inspection({"web": before}, inspection(image="web:2"), 1, 200.0).records["web"]

        assert after is not None
        assert after.image == ("" if stale else "web:2")

    def test_one_that_shows_it_running_though_it_has_ended_is_stale(self) -> None:
        before = record(state="exited")

        assert fold_inspection({"web": before}, inspection(image="web:2"), 1, 200.0).records["web"] == before

    def test_a_newer_run_is_never_stale(self) -> None:
        after = fold_inspection({"web": record(state="exited")}, inspection(started=100.1), 1, 200.0).records["web"]

        assert after is not None
        assert (after.state, after.ahead, after.started) == ("running", True, int(100.1 * SECOND))

    def test_the_end_of_a_pause_is_seen_when_it_is_looked_at(self) -> None:
        for state, resumed in (("running", 200 * SECOND), ("paused", 0)):
            after = fold_inspection({"web": record(state="paused")}, inspection(state=state), 1, 200.0).records["web"]
            assert after is not None
            assert (after.state, after.resumed) == (state, resumed)
        after = fold_inspection({"web": record()}, inspection(), 1, 200.0).records["web"]
        assert after is not None
        assert after.resumed == 0

    def test_a_paused_one_has_no_health(self) -> None:
        shown = inspection(state="paused", health="unhealthy", streak=3)
        after = fold_inspection({"web": record()}, shown, 1, 200.0).records["web"]

        assert after is not None
        assert (after.health, after.streak) == ("", 0)

    def test_an_end_moves_it_ahead_and_tells_when_it_was(self) -> None:
        shown = inspection(state="exited", exit_code=3, finished=150, policy="no")
        change = fold_inspection({"web": record()}, shown, 1, 200.0)

        after = change.records["web"]
        assert after is not None
        assert (after.finished, after.ahead, after.state, after.exit_code) == (150 * SECOND, True, "exited", 3)
        assert [count.labels for count in change.counts] == [("web", "error")]

    @pytest.mark.parametrize(
        ("state", "booting", "error", "stopped"),
        [("restarting", False, "", True), ("restarting", True, "", False), ("restarting", False, "no device", False),
         ("exited", False, "", False)],
    )  # fmt: skip
    def test_one_that_came_to_rest_though_its_policy_covers_it_was_stopped(
        self, state: str, booting: bool, error: str, stopped: bool
    ) -> None:
        shown = inspection(state="exited", exit_code=1, error=error, finished=150)
        before = record(state=state, booting=booting, policy="always")
        after = fold_inspection({"web": before}, shown, 1, 200.0).records["web"]

        assert after is not None
        assert (after.stopped, after.wanted, after.state) == (stopped, not stopped, "exited")

    @pytest.mark.parametrize(
        ("known", "shown", "counted"),
        [
            (0, 1, {"policy": 1}),
            (2, 3, {"policy": 1}),
            (3, 3, {"manual": 1, "policy": 3}),
            (0, 0, {"manual": 1}),
        ],
    )
    def test_a_run_that_nobody_saw_begin(self, known: int, shown: int, counted: dict[str, int]) -> None:
        ledger = ledger_of(record(restart_count=known))
        ledger.inspection(inspection(started=300, restart_count=shown))
        ledger.settle()

        assert (ledger.restarts(), ledger.records["web"].restart_count) == (counted, shown)

    def test_the_first_run_of_one_that_was_never_started_counts_its_restarts_by_policy_alone(self) -> None:
        ledger = ledger_of(record(state="created", started=0, restart_count=1))
        ledger.inspection(inspection(started=300, restart_count=2))
        ledger.settle()

        assert ledger.restarts() == {"policy": 2}

    def test_under_an_engine_that_comes_up_the_policys_count_is_as_docker_shows_it(self) -> None:
        ledger = ledger_of(record(restart_count=1, booting=True, policy="always"))
        ledger.inspection(inspection(started=300, restart_count=2))

        assert ledger.restarts() == {"daemon": 1, "policy": 2}


class TestListed:
    """What the Engine's list shows of a container of which it answers no inspection."""

    def test_without_a_name_or_a_state_it_is_nothing(self) -> None:
        assert fold_listed({}, listed()._replace(name=""), 5.0).records == {}
        assert fold_listed({}, listed(state=""), 5.0).records == {}

    @pytest.mark.parametrize(
        ("state", "wanted", "ahead"),
        [("running", True, False), ("paused", True, False), ("restarting", True, True), ("exited", False, True)],
    )
    def test_one_that_was_not_known(self, state: str, wanted: bool, ahead: bool) -> None:
        shown = listed(state, image="i", project="p", service="s", opted="true", health="unhealthy", exit_code=None)
        one = fold_listed({}, shown, 5.0).records["web"]

        assert one is not None
        assert (one.image, one.project, one.service, one.opted) == ("i", "p", "s", "true")
        assert (one.state, one.wanted, one.ahead, one.listed_only) == (state, wanted, ahead, True)
        assert one.health == ("unhealthy" if state == "running" else "")

    def test_one_in_place_of_another_goes_on(self) -> None:
        old = record(id="0", state=GONE, exit_code=7)
        assert fold_listed({"web": old}, listed("exited"), 5.0).records["web"].exit_code == 7  # type: ignore[union-attr]
        for code in (0, 3):
            one = fold_listed({"web": old}, listed("exited", exit_code=code), 5.0).records["web"]
            assert one is not None
            assert (one.exit_code, one.wanted) == (code, True)

    @pytest.mark.parametrize(
        ("before", "wanted"),
        [
            ({"wanted": False}, False),  # it runs, and an operator is ending it
            ({"wanted": True}, True),
            ({"wanted": False, "state": "exited"}, True),
            ({"wanted": False, "state": "exited", "auto_remove": True}, False),
        ],
    )
    def test_one_that_runs_is_wanted_if_it_was_or_began(self, before: dict[str, Any], wanted: bool) -> None:
        one = fold_listed({"web": record(gone_at=3.0, **before)}, listed(), 5.0).records["web"]

        assert one is not None
        assert (one.state, one.wanted, one.gone_at) == ("running", wanted, 0.0)

    def test_its_health_is_that_of_the_list_but_for_a_pause(self) -> None:
        for before, shown, health, streak in (
            (record(streak=3), listed(health="unhealthy"), "unhealthy", 3),
            (record(streak=3), listed(health="healthy"), "healthy", 0),
            (record(health="healthy", resumed=1), listed(health="unhealthy"), "healthy", 0),
            (record(health="healthy"), listed("paused", health="unhealthy"), "", 0),
        ):
            one = fold_listed({"web": before}, shown, 5.0).records["web"]
            assert one is not None
            assert (one.health, one.streak) == (health, streak)

    def test_an_end_counts_by_its_code_at_the_time_of_the_look(self) -> None:
        change = fold_listed({"web": record(policy="no")}, listed("exited", exit_code=137), 5.0)

        one = change.records["web"]
        assert one is not None
        assert (one.finished, one.ahead, one.state, one.exit_code) == (5 * SECOND, True, "exited", 137)
        assert (one.oom_counted, [count.labels for count in change.counts]) == (False, [("web", "signal")])

    def test_the_state_is_the_lists_whatever_the_policy_would_do(self) -> None:
        one = fold_listed({"web": record(policy="always")}, listed("dead", exit_code=1), 5.0).records["web"]

        assert one is not None
        assert one.state == "dead"

    def test_without_a_code_or_when_it_had_ended_nothing_is_counted(self) -> None:
        for before, shown in (
            (record(health="healthy", streak=1), listed("exited")),
            (record(state="restarting", health="x", streak=1), listed("exited", exit_code=1)),
        ):
            change = fold_listed({"web": before}, shown, 5.0)
            one = change.records["web"]
            assert one is not None
            assert (one.state, one.health, one.streak, change.counts) == ("exited", "", 0, ())


class TestInspectedAtLast:
    """One that only the list had shown."""

    def test_what_it_did_before_is_not_counted(self) -> None:
        before = record(started=0, listed_only=True, restart_count=0)
        change = fold_inspection({"web": before}, inspection(restart_count=4, opted="true"), 1, 200.0)

        one = change.records["web"]
        assert one is not None
        assert (one.listed_only, one.started, one.restart_count, one.opted) == (False, 100 * SECOND, 4, "true")
        assert (one.wanted, change.counts) == (True, ())

    def test_a_start_that_an_event_told_of_stays(self) -> None:
        before = record(started=105 * SECOND, listed_only=True)
        one = fold_inspection({"web": before}, inspection(), 1, 200.0).records["web"]

        assert one is not None
        assert one.started == 105 * SECOND

    def test_it_is_not_wanted_if_it_removes_itself(self) -> None:
        for remove in (True, False):
            before = record(listed_only=True)
            one = fold_inspection({"web": before}, inspection(auto_remove=remove), 1, 200.0).records["web"]
            assert one is not None
            assert one.wanted != remove


def test_every_counter_of_a_container_begins_with_its_record() -> None:
    assert set(all_series("web")) == {
        *((RESTARTS, ("web", cause)) for cause in ("policy", "self_monitor", "manual", "daemon")),
        *((EXITS, ("web", reason)) for reason in ("ok", "error", "signal", "oom")),
        (OOM_KILLS, ("web",)),
    }
