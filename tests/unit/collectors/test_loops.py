"""What is shown of the exporter's loops: those that work, fail, hang, were never begun, and one of two of a name."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.clock import Clock
from tests.support.scarcity import NoThreads
from tests.support.waiting import wait_until
from tests.unit.collectors.test_collectors import Series, series
from vv_exporter.collectors.loops import LoopsCollector
from vv_exporter.runtime import loop as module
from vv_exporter.runtime.loop import Loop, started
from vv_exporter.state.database import StoreError

LAST = "vv_exporter_loop_last_run_timestamp_seconds"
DUE = "vv_exporter_loop_due_timestamp_seconds"
SUCCESS = "vv_exporter_loop_last_run_success"
FAILURES = "vv_exporter_loop_failures_total"


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Loop]]:
    """Begins a loop of that work, which ends with the test."""
    monkeypatch.setattr(module, "AFTER_DEFECT", 0.01)
    begun: list[Loop] = []

    def begin(work: Callable[[], bool | None], name: str = "x", interval: float = 0.01) -> Loop:
        begun.append(Loop(name, f"the {name}", work, interval, at_once=True))
        begun[-1].start()
        return begun[-1]

    yield begin
    for one in begun:
        one.stop()


def shown(*loops: Loop, now: float = 1e9) -> Series:
    return series(LoopsCollector(Clock(now), lambda: loops).collect())


def test_one_that_works_shows_when_its_last_round_ended(begin: Callable[..., Loop]) -> None:
    loop = begin(lambda: None, interval=3600)
    wait_until(lambda: loop.last_round, 30, what="a round")
    last = loop.last_round
    assert last is not None

    found = shown(loop)

    assert found[LAST, "x"] == pytest.approx(1e9 - last.seconds_ago(), abs=30, rel=0)
    assert (found[SUCCESS, "x"], found[FAILURES, "x"]) == (1, 0)


def test_a_clock_that_was_set_is_followed(begin: Callable[..., Loop]) -> None:
    loop = begin(lambda: None, interval=3600)
    wait_until(lambda: loop.last_round, 30, what="a round")

    assert shown(loop, now=2e9)[LAST, "x"] > 1.9e9


@pytest.mark.parametrize("error", [StoreError("full"), OSError("gone"), RuntimeError("defect"), KeyError("k")])
def test_one_that_fails_each_time_is_counted_said_once_and_goes_on(
    begin: Callable[..., Loop], error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    failing = threading.Event()
    failing.set()

    def work() -> None:
        if failing.is_set():
            raise error

    caplog.set_level("INFO")
    loop = begin(work)
    wait_until(lambda: loop.failures >= 3, 30, what="three failures")
    found = shown(loop)
    failing.clear()
    wait_until(lambda: "works again" in caplog.text, 30, what="the end of the trouble")

    assert found[SUCCESS, "x"] == 0
    assert found[FAILURES, "x"] >= 3
    assert shown(loop)[SUCCESS, "x"] == 1
    assert caplog.text.count("the x: will try again: ") == 1
    assert caplog.text.count("the x: works again") == 1


def test_another_trouble_is_said_as_well(begin: Callable[..., Loop], caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = [OSError("gone"), OSError("gone"), ValueError("odd"), ValueError("odd")]

    def work() -> None:
        if errors:
            raise errors.pop(0)

    loop = begin(work)
    wait_until(lambda: not errors and loop.last_round and loop.last_round.succeeded, 30, what="the end of the troubles")

    assert [line for line in caplog.messages if "will try again" in line] == [
        "the x: will try again: gone",
        "the x: will try again: odd",
    ]


def test_an_error_that_is_expected_is_one_line_and_another_says_where_it_arose(
    begin: Callable[..., Loop], caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Exception] = [StoreError("full"), LookupError("odd")]

    def work() -> None:
        if errors:
            raise errors.pop(0)

    loop = begin(work)
    wait_until(lambda: not errors and loop.last_round and loop.last_round.succeeded, 30, what="the end of the troubles")

    assert [bool(one.exc_info) for one in caplog.records if "will try again" in one.message] == [False, True]


def test_one_that_hangs_shows_its_last_round_and_one_that_hangs_from_the_start_none(
    begin: Callable[..., Loop],
) -> None:
    released, rounds = threading.Event(), []

    def work() -> None:
        rounds.append(1)
        if len(rounds) > 1:
            released.wait(60)

    def hang() -> None:
        released.wait(60)

    once, never = begin(work, "once"), begin(hang, "never")
    wait_until(lambda: len(rounds) > 1, 30, what="the round that hangs")
    found = shown(once, never)
    released.set()

    assert found[LAST, "once"] > 0
    assert found[LAST, "never"] == 0
    assert (SUCCESS, "never") not in found


def test_one_that_hangs_or_has_died_falls_behind_and_one_that_works_does_not(
    begin: Callable[..., Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    released, rounds = threading.Event(), []

    def work() -> None:
        rounds.append(1)
        if len(rounds) > 1:
            released.wait(60)

    def die() -> None:
        raise SystemExit

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    hangs, dies, works = begin(work, "hangs"), begin(die, "dies"), begin(lambda: None, "works", 3600)
    wait_until(lambda: len(rounds) > 1 and not dies.alive and works.last_round, 30, what="what befalls them")
    stands = hangs.due, dies.due
    now = time.monotonic()
    monkeypatch.setattr("vv_exporter.collectors.loops.time.monotonic", lambda: now + 1000)
    found = shown(hangs, dies, works)
    released.set()

    assert (hangs.due, dies.due) != (float("inf"),) * 2
    assert stands[1] == dies.due
    assert found[DUE, "hangs"] == pytest.approx(1e9 - 1000, abs=31, rel=0)
    assert found[DUE, "dies"] == pytest.approx(1e9 - 1000, abs=31, rel=0)
    assert found[DUE, "works"] > 1e9 + 2000


def test_one_that_rests_is_due_later(begin: Callable[..., Loop], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTING", 3600.0)
    loop = begin(lambda: False)
    wait_until(lambda: loop.last_round and loop.due > time.monotonic() + 3000, 30, what="its rest")

    assert shown(loop)[DUE, "x"] > 1e9 + 3000


@pytest.mark.parametrize(("stop_seconds", "is_shown"), [(0.0, False), (1.0, False), (1.1, True), (8.0, True)])
def test_what_hangs_with_a_disk_or_a_dvr_is_never_late(stop_seconds: float, is_shown: bool) -> None:
    loop = Loop("x", "the x", lambda: None, 3600, stop_seconds=stop_seconds)
    loop.start()
    found = shown(loop)
    loop.stop()

    assert ((DUE, "x") in found) is is_shown
    assert (LAST, "x") in found


def test_those_that_were_started_and_not_stopped_are_shown(begin: Callable[..., Loop]) -> None:
    before = started()
    stopped, other = begin(lambda: None, "stopped"), begin(lambda: None, "other")
    again = begin(lambda: None, "stopped")
    stopped.stop()

    assert [one for one in started() if one not in before] == [again, other]


def test_one_whose_thread_cannot_be_had_is_shown_without_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vv_exporter.runtime.threads.start.__defaults__", (0.05,))
    NoThreads(monkeypatch, "lost")
    loop = Loop("lost", "the lost", lambda: None)

    with pytest.raises(RuntimeError, match="can't start new thread"):
        loop.start()

    assert loop in started()
    assert shown(loop)[LAST, "lost"] == 0
    assert shown(loop)[DUE, "lost"] <= 1e9
    loop.stop()
    assert loop not in started()
