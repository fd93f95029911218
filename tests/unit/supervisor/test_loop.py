"""What the self-monitor does: exactly as often as it may, wherever it is killed."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.supervisor.site import FAILED, KilledError, Site
from vv_exporter.containers.engine import EngineError, NoAnswerError
from vv_exporter.containers.records import GONE, ContainerRecord
from vv_exporter.supervisor import loop
from vv_exporter.supervisor.actions import RefusedError
from vv_exporter.supervisor.mailbox import Request
from vv_exporter.supervisor.publish import HEARTBEAT_SECONDS

LONG = 120  # rounds in which everything happens that will


def failed(**changes: Any) -> ContainerRecord:
    """The container of `Site`, in another state."""
    return replace(FAILED, **changes)


def test_a_container_that_always_fails_is_restarted_n_times_and_given_up(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.rounds(LONG)

    assert site.calls == ["start"] * 3
    assert [event["result"] for event in site.told("container.restarted")] == ["ok"] * 3
    (gave_up,) = site.told("container.gave_up")
    assert gave_up["restarts"] == 3
    assert gave_up["reason"] == "it ended with exit code 3"
    assert gave_up["log_tail"] == "starting\ndisk full"
    assert site.told("supervisor.checked")[-1]["containers"]["web"] == {"in_window": 3, "max": 3, "gave_up": True}


def test_what_runs_from_its_own_image_is_never_touched(tmp_path: Path) -> None:
    """A deployment may give it, the exporter and the pipeline one project, and their common image any name."""
    site = Site(tmp_path, failed(image="site:1", project="vv"), "self_monitor: {projects: [vv], containers: [web]}")
    site.own_id = "2"
    site.set(replace(FAILED, name="self-monitor", id="2", image="site:1", project="vv", state="running"))
    site.set(replace(FAILED, name="agent", id="3", image="agent:1", project="vv"))
    site.restart()
    site.rounds(5)

    assert [one["name"] for one in site.told("container.restarting")] == ["agent"]


@pytest.mark.parametrize("on_exhausted", ["leave", "stop"])
@pytest.mark.exhaustive
def test_a_kill_at_any_moment_changes_nothing(tmp_path: Path, on_exhausted: str) -> None:
    kill_at, more = 0, True
    while more:
        kill_at += 1
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        site = Site(folder, SELF_MONITOR_ON_EXHAUSTED=on_exhausted)
        site.kill_at = kill_at
        site.rounds(LONG)
        more = site.moments >= kill_at

        where = f"killed at moment {kill_at}"
        assert site.calls.count("start") == 3, where
        assert len(site.attempts()) == 3, where
        results = {(event["attempt"], event["result"]) for event in site.told("container.restarted")}
        assert results == {(attempt, "ok") for attempt in site.attempts()}, where
        assert len({event["reason"] for event in site.told("container.gave_up")}) == 1, where
        assert site.history.reported, where
        assert not site.history.stop_due, where
        assert ("stop" in site.calls) == (on_exhausted == "stop"), where
        site.store.close()
    assert kill_at > 30


def test_a_kill_while_the_engine_works_asks_no_second_time(tmp_path: Path) -> None:
    """The start that was asked for comes to pass after the self-monitor was killed."""
    site = Site(tmp_path)
    site.rounds()
    site.problem = KilledError()  # type: ignore[assignment]
    site.rounds()
    site.problem = None
    site.rounds(5)
    site.change(started=FAILED.started + 1)
    site.rounds(LONG)

    assert site.calls == ["start"] * 3
    assert len(site.attempts()) == 3


def test_an_answer_that_was_lost_asks_no_second_time(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.after_start = {"state": "running"}
    site.problem, site.lost = EngineError("timed out"), True
    site.rounds()
    with pytest.raises(EngineError, match="container web: timed out"):
        site.rounds()
    site.problem = None
    site.rounds(LONG)

    assert site.calls == ["start"]
    assert [event["result"] for event in site.told("container.restarted")] == ["ok"]


def test_a_request_that_was_lost_is_repeated_without_counting_it_again(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.after_start = {"state": "running"}
    site.problem = EngineError("timed out")
    site.rounds()
    with pytest.raises(EngineError):
        site.rounds()
    site.problem = None
    site.rounds(10)
    assert site.calls == ["start"]
    site.rounds(LONG)

    assert site.calls == ["start"] * 2
    assert len(site.attempts()) == 1
    assert len(site.history.restarts) == 1


def test_a_start_that_the_engine_refuses_counts(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.problem = RefusedError("no such file")
    site.rounds(LONG)

    assert site.calls == ["start"] * 3
    assert {event["error"] for event in site.told("container.restarted")} == {"no such file"}
    assert {event["result"] for event in site.told("container.restarted")} == {"failed"}
    assert len(site.told("container.gave_up")) == 1


def test_an_unhealthy_container_is_restarted_and_what_we_stopped_is_no_operators_stop(tmp_path: Path) -> None:
    site = Site(tmp_path, failed(state="running", health="unhealthy", streak=3))
    site.after_start = {"state": "exited", "stopped": True, "wanted": False, "started": FAILED.started, "health": ""}
    site.problem, site.lost = RefusedError("no space left on device"), True
    site.rounds(2)
    assert site.calls == ["restart"]
    site.problem, site.after_start = None, {"state": "running"}
    site.rounds(10)

    assert site.calls == ["restart", "start"]
    assert not site.history.owed
    site.change(state="exited", stopped=True, wanted=False)
    site.rounds(LONG)
    assert site.calls == ["restart", "start"]


def test_docker_starting_it_again_and_again_is_given_up_and_ended_if_wanted(tmp_path: Path) -> None:
    site = Site(tmp_path, failed(state="running", policy="always"), SELF_MONITOR_ON_EXHAUSTED="stop")
    site.rounds()
    for _ in range(3):
        site.restarted_by_docker()
        site.rounds()
    assert site.calls == []
    assert site.history.restarts[-1] == site.clock()
    site.restarted_by_docker()
    site.rounds(3)

    assert site.calls == ["policy no:0", "stop"]
    (gave_up,) = site.told("container.gave_up")
    assert "Docker keeps restarting it" in gave_up["reason"]


def test_restarts_by_docker_while_it_was_down_count_only_as_far_as_they_are_certain(tmp_path: Path) -> None:
    site = Site(tmp_path, failed(state="running", policy="always"))
    site.rounds()
    site.restarted_by_docker(9)
    site.restart()
    site.rounds()

    assert len(site.history.restarts) == 1
    site.restarted_by_docker(9)
    site.rounds()
    assert site.told("container.gave_up")


def test_resuming_starts_over_and_gives_back_what_was_taken(tmp_path: Path) -> None:
    site = Site(tmp_path, failed(policy="on-failure", max_retries=2), SELF_MONITOR_ON_EXHAUSTED="stop")
    site.rounds(LONG)
    assert site.calls == ["start"] * 3 + ["policy no:0", "stop"]
    path = site.mailbox.ask(Request("resume", "web"))
    site.after_start = {"state": "running"}
    site.rounds(10)

    assert not path.exists()
    assert site.calls[5:] == ["policy on-failure:2", "start"]
    assert len(site.told("container.resumed")) == 1
    assert len(site.history.restarts) == 1
    assert site.told("supervisor.checked")[-1]["containers"]["web"]["gave_up"] is False


def test_a_recreated_container_begins_anew(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.rounds(LONG)
    site.change(id="2", started=FAILED.started + 9)
    site.rounds(LONG)

    assert site.calls == ["start"] * 6
    assert [event["reason"] for event in site.told("container.resumed")] == ["the container was recreated"]


def test_a_forgotten_container_is_left_alone(tmp_path: Path) -> None:
    site = Site(tmp_path, failed(project="vv"), "self_monitor: {projects: [vv]}")
    site.rounds()
    site.mailbox.ask(Request("forget", "web"))
    site.rounds(LONG)

    assert site.calls == []


def test_one_that_was_removed_on_purpose_is_dropped_one_that_is_missed_is_not(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.rounds(LONG)
    site.change(state=GONE)
    site.rounds(2)
    assert site.told("supervisor.checked")[-1]["containers"]["web"]["gave_up"] is True
    site.change(wanted=False)
    site.rounds(2)

    assert site.told("supervisor.checked")[-1]["containers"] == {}


def test_a_program_is_missing_when_two_looks_in_a_row_do_not_find_it(tmp_path: Path) -> None:
    config = "self_monitor: {containers: [web], processes: {web: agent}}"
    site = Site(tmp_path, failed(state="running"), config)
    site.after_start = {"state": "running"}
    site.rounds(30)
    assert site.calls == []
    site.programs = False
    site.rounds(9)
    site.programs = True
    site.rounds(10)
    assert site.calls == []
    site.programs = False
    site.rounds(22)

    assert site.calls == ["restart"]


def test_an_engine_that_does_not_tell_of_a_program_calls_it_not_missing(tmp_path: Path) -> None:
    config = "self_monitor: {containers: [web], processes: {web: agent}}"
    site = Site(tmp_path, failed(state="running"), config)
    site.programs = NoAnswerError("timed out")
    site.rounds(LONG)
    assert site.calls == []
    site.after_start = {"state": "running", "health": "", "streak": 0}
    site.change(health="unhealthy", streak=3)
    site.rounds(10)

    assert site.calls == ["restart"], "its health is not looked at"


def test_a_container_of_which_the_engine_does_not_answer_is_not_asked_for_in_each_round(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.after_start = {"state": "running"}
    site.problem = NoAnswerError("timed out")
    failures = 0
    for _ in range(60):
        try:
            site.rounds()
        except EngineError:
            failures += 1
    assert 2 <= failures <= 6
    assert len(site.attempts()) == 1
    site.problem = None
    site.rounds(LONG)

    assert site.record.running


def test_without_an_engine_it_says_nothing_and_does_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.current = False
    site.rounds(LONG)

    assert site.events == []
    assert site.calls == []


def test_it_tells_that_it_lives_but_not_at_each_look(tmp_path: Path) -> None:
    site = Site(tmp_path, failed(state="running"))
    site.rounds(60)

    assert len(site.told("supervisor.checked")) == 60 / HEARTBEAT_SECONDS


def test_a_request_that_makes_no_sense_is_thrown_away(tmp_path: Path) -> None:
    site = Site(tmp_path)
    path = site.mailbox.ask(Request("resume", "nobody"))
    broken = path.with_name("0.json")
    broken.write_text('{"action": "explode", "name": "web"}')
    site.rounds()

    assert not path.exists()
    assert not broken.exists()
    assert site.told("container.resumed") == []


def test_of_more_containers_than_it_can_look_after_the_configured_stay_and_the_others_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "MAX_WATCHED_CONTAINERS", 2)
    site = Site(
        tmp_path,
        config="containers: {essential: [zz], expected: [yy]}\nself_monitor: {containers: [aa, bb, yy, zz]}",
    )
    for number, name in enumerate(("aa", "bb", "yy", "zz")):
        site.set(failed(name=name, id=f"{number}", state="running"))
    site.rounds()

    checked = site.told("supervisor.checked")[-1]
    assert set(checked["containers"]) == {"yy", "zz"}
    assert checked["left_out"] == 2
