"""A clock that is set, before or while containers fail: the self-monitor restarts and gives up as if it never were."""

import random
from pathlib import Path

import pytest

from tests.support.clocks import Clocks
from tests.unit.supervisor.site import Site

DAY = 86400.0
WELL = {"state": "running"}


def site(folder: Path) -> Site:
    folder.mkdir(exist_ok=True)
    return Site(folder, clock=Clocks())


def clocks(site: Site) -> Clocks:
    assert isinstance(site.clock, Clocks)
    return site.clock


@pytest.mark.parametrize("error", [-DAY, -3600.0, -30.0, 30.0, 3600.0, DAY])
@pytest.mark.parametrize("rounds", range(1, 12))
def test_a_container_that_always_fails_is_given_up_in_time(tmp_path: Path, error: float, rounds: int) -> None:
    one = site(tmp_path)
    one.rounds(rounds)
    clocks(one).set_error(error)
    one.rounds(60)

    assert one.calls == ["start"] * 3
    assert len(one.told("container.gave_up")) == 1


@pytest.mark.parametrize("ahead", [DAY, 365 * DAY])
def test_restarts_that_a_clock_ahead_wrote_neither_hinder_nor_hasten(tmp_path: Path, ahead: float) -> None:
    """A day ahead, it was restarted twice; after a reboot the clock is right, and it fails once more."""
    one = site(tmp_path)
    clocks(one).set_error(ahead)
    one.rounds(5)
    assert len(one.calls) == 2
    one.change(**WELL)
    one.store.close()
    clocks(one).reboot(off=2 * 3600, error=0.0)
    again = Site.__new__(Site)
    again.__dict__.update(one.__dict__)
    again.store = type(one.store)(tmp_path / "state.db", clocks(one), one.moment)
    again.calls, again.after_start = [], dict(WELL)
    again.restart()
    again.rounds(3)
    again.change(state="exited")
    again.rounds(60)

    assert again.calls == ["start"]
    assert again.told("container.gave_up") == []


def test_a_rare_failure_is_never_the_last_whatever_the_clock_does(tmp_path: Path) -> None:
    for seed in range(50):
        dice, one = random.Random(seed), site(tmp_path / str(seed))
        one.after_start = dict(WELL)
        for failures in range(1, 7):
            one.change(state="exited")
            one.rounds(3)
            clocks(one).set_error(dice.choice([0.0, dice.uniform(-DAY, DAY)]))
            one.rounds(20)
            assert one.calls == ["start"] * failures, seed
            clocks(one).advance(3700)
            one.rounds(2)
            clocks(one).set_error(dice.choice([0.0, dice.uniform(-3 * DAY, 3 * DAY)]))
            one.rounds(2)
        assert one.told("container.gave_up") == [], seed


@pytest.mark.exhaustive
def test_a_container_that_keeps_failing_is_always_given_up(tmp_path: Path) -> None:
    for seed in range(100):
        dice, one = random.Random(seed), site(tmp_path / str(seed))
        for _ in range(60):
            one.rounds(1)
            if dice.random() < 0.2:
                clocks(one).set_error(dice.choice([0.0, dice.uniform(-2 * DAY, 2 * DAY)]))
            if dice.random() < 0.05:
                one.restart()
        assert one.calls == ["start"] * 3, seed
        assert len(one.told("container.gave_up")) == 1, seed


def test_a_signal_of_a_time_to_come_does_not_excuse_a_container_for_a_day(tmp_path: Path) -> None:
    one = site(tmp_path)
    killed = int((clocks(one).wall() + DAY) * 1e9)
    one.change(state="running", health="unhealthy", killed=killed, wanted=True)
    one.rounds(10)

    assert one.calls[:1] == ["restart"]
