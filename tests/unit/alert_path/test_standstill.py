"""A machine that was suspended, or all of whose processes were stopped: what was meant is told, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.unit.alert_path.simulated import Rule, World
from vv_exporter.alert_path.beats import LONGEST_STEP_SECONDS
from vv_exporter.alert_path.leases import ABANDONED_SECONDS, LEASE_SECONDS
from vv_exporter.alert_path.standstill import HARMLESS_SECONDS, Pause, Standstill
from vv_exporter.delivery.accounts import ACCOUNTS
from vv_exporter.state.timeline import HISTORY

TEN_MINUTES = 600.0
ORDERS = ("apem", "pema", "empa", "mape", "aepm")
"""Who works first on waking: Alertmanager, Prometheus (which evaluates before its next scrape), the exporter, and
whatever messages are on their way."""


def rules() -> list[Rule]:
    return [Rule("Lasting", 0.0, "critical"), Rule("Slow", 300.0, "error"), Rule("Ending", 0.0, "critical")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, rules(), with_path=True)
    world.work(120)
    yield world
    world.stop_exporter()


def fire(world: World, *names: str) -> None:
    for rule in world.rules:
        if rule.name in names:
            rule.since = world.now
    world.work(400)
    assert {told.title for told in world.told if told.receiver == "slack"} == set(names)


def end(world: World, name: str) -> None:
    (rule,) = (one for one in world.rules if one.name == name)
    rule.since = 0.0


def told_by(world: World, receiver: str) -> list[tuple[str, bool]]:
    return [(one.title, one.firing) for one in world.told if one.receiver == receiver]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seconds", [90.0, 250.0, TEN_MINUTES, 3000.0])
def test_what_lasts_is_told_once_and_what_ended_meanwhile_once(world: World, order: str, seconds: float) -> None:
    fire(world, "Lasting", "Slow", "Ending")
    world.stand_still(seconds, order, lambda: end(world, "Ending"))
    world.work(900)
    for receiver in ("slack", "pagerduty"):
        told = told_by(world, receiver)
        assert [firing for title, firing in told if title == "Ending"] == [True, False], told
        assert ("Lasting", False) not in told
        assert ("Slow", False) not in told
        assert receiver == "pagerduty" or told.count(("Lasting", True)) == 1  # a pager is reminded

    for name in ("Lasting", "Slow"):
        end(world, name)
    world.work(900)
    for name in ("Lasting", "Slow"):
        assert told_by(world, "slack").count((name, False)) == 1
        assert told_by(world, "webhook").count((name, True)) == 1


def test_a_device_that_stands_still_time_and_again_says_nothing_new(world: World) -> None:
    fire(world, "Lasting")
    for order in ORDERS:
        world.stand_still(TEN_MINUTES, order)
        world.work(240)
    assert told_by(world, "slack") == [("Lasting", True)]
    kinds = [record.body["kind"] for record in world.store.history(HISTORY)]
    assert kinds.count("device.stood_still") == len(ORDERS)


def test_nothing_that_fires_stays_held_or_hidden(world: World) -> None:
    fire(world, "Lasting")
    world.stand_still(TEN_MINUTES, "apem")
    world.work(240)
    assert world.holds("AlertsHeld") == []
    (rule,) = (one for one in world.rules if one.name == "Ending")
    rule.since = world.now
    world.work(60)
    assert ("Ending", True) in told_by(world, "slack")


def test_an_end_counts_at_once_however_long_the_lease(world: World) -> None:
    fire(world, "Ending")
    (ends,) = world.holds("Ending")
    assert ends > world.now + LEASE_SECONDS / 2
    end(world, "Ending")
    world.work(180)
    assert told_by(world, "slack") == [("Ending", True), ("Ending", False)]


@pytest.mark.parametrize("restarted", [False, True])
def test_an_alert_whose_rule_is_gone_ends(world: World, restarted: bool) -> None:
    """Nobody sends its end: Prometheus has no word of it any more, and without a lease Alertmanager would forget it."""
    fire(world, "Ending")
    world.rules.remove(next(one for one in world.rules if one.name == "Ending"))
    if restarted:
        world.stop_exporter()
        world.start_exporter()
    world.work(ABANDONED_SECONDS + 300)
    assert told_by(world, "slack") == [("Ending", True), ("Ending", False)]


def test_an_end_that_alertmanager_never_heard_is_told_in_the_end(world: World) -> None:
    """It hung for longer than Prometheus repeats an end."""
    fire(world, "Ending")
    end(world, "Ending")
    world.alertmanager.is_up = False
    world.work(2000)
    world.alertmanager.is_up = True
    world.work(ABANDONED_SECONDS + 600)
    assert ("Ending", False) in told_by(world, "slack")
    assert all(one.ended for one in world.store.docs(ACCOUNTS).values() if one.alertname == "Ending")


def test_where_only_the_exporter_was_stopped_prometheus_is_believed(world: World) -> None:
    fire(world, "Lasting")
    world.evaluated_meanwhile = True
    world.stand_still(TEN_MINUTES, "apem")
    world.work(30)
    assert world.holds("AlertsHeld") == []


@pytest.mark.parametrize(
    ("after", "longest"),
    [(20.0, LONGEST_STEP_SECONDS), (90.0, 30.0), (180.0, HARMLESS_SECONDS), (600.0, HARMLESS_SECONDS)],
)
def test_what_is_a_standstill(after: float, longest: float) -> None:
    clock = Clock(1000.0)
    still = Standstill(clock, after)
    clock.advance(longest)
    assert not still.tick()
    assert still.take() is None
    clock.advance(longest + 1)
    assert still.tick()
    assert not still.tick()
    clock.advance(1)
    assert still.take() == Pause(1000.0 + longest, 1000.0 + 2 * longest + 1)
    assert still.take() is None
    clock.advance(-5000)  # set back: samples are not too old
    assert not still.tick()


def test_two_standstills_before_anybody_looks_are_one() -> None:
    clock = Clock(1000.0)
    still = Standstill(clock, 180.0)
    for _ in range(2):
        clock.advance(100)
        assert still.tick()
    assert still.take() == Pause(1000.0, 1200.0)
