"""Over restarts of everything each incident is opened once and closed once, with one id and one start."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.alert_path.simulated import Rule, Told, World

HISTORIES = 12
RESTARTS = 10  # in each


def rules() -> list[Rule]:
    return [
        Rule(f"{name}{number}", waits, severity)
        for number, waits in enumerate((0.0, 30.0, 300.0))
        for name, severity in (("Critical", "critical"), ("Error", "error"))
    ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, rules())
    yield world
    world.stop_exporter()


def restart(world: World, what: str, seconds: float, *, kill: bool = False) -> None:
    """Stop some, let them be down for a while, and start them again."""
    if what in ("alertmanager", "all"):
        world.alertmanager.stop(kill=kill)
    if what in ("prometheus", "all"):
        world.prometheus.stop()
    if what in ("exporter", "all"):
        world.stop_exporter()
    world.work(seconds)
    starts: dict[str, Callable[[], None]] = {
        "alertmanager": world.alertmanager.start,
        "prometheus": world.prometheus.start,
        "exporter": world.start_exporter,
    }
    for name, start in starts.items():
        if what in (name, "all"):
            start()


def episodes(world: World, receiver: str) -> dict[str, list[Told]]:
    """What a receiver was told, by what it knows the alert by."""
    found: dict[str, list[Told]] = defaultdict(list)
    for told in world.told:
        if told.receiver == receiver:
            found[told.key if receiver == "pagerduty" else told.id].append(told)
    return dict(found)


def distinct(told: list[Told]) -> list[Told]:
    """Without repeats of what was told last."""
    return [
        one
        for one, before in zip(told, [None, *told], strict=False)
        if before is None or (one.firing, one.id) != (before.firing, before.id)
    ]


def check(world: World, *, killed: bool) -> None:
    """Everything is over: what was opened is closed, once, as what it was opened.

    An Alertmanager that was `killed` may repeat to pagers and chats what it has not noted that it told.
    """
    by_id = episodes(world, "webhook")
    for id_, told in by_id.items():
        assert [one.firing for one in told] == [True, False], (id_, told)
        assert told[0].start == told[1].start
    for told in episodes(world, "pagerduty").values():
        told = distinct(told) if killed else told
        state = [False, *(one.firing for one in told)]
        opened = [one for one, before in zip(told, state, strict=False) if one.firing and not before]
        closed = [one for one in told if not one.firing]
        assert [one.id for one in opened] == [one.id for one in closed], told
        assert {one.id for one in opened} <= by_id.keys()
    for id_, told in episodes(world, "slack").items():
        told = distinct(told) if killed else told
        is_event = id_.startswith("0197")
        assert [one.firing for one in told if not one.firing] == ([] if is_event else [False]), (id_, told)
        assert id_ in by_id
        assert told[-1].firing is is_event
        assert {int(one.start) for one in told} == {int(told[0].start)}


@pytest.mark.parametrize("what", ["exporter", "prometheus", "alertmanager", "all"])
@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_an_alert_that_goes_on_has_one_id_and_its_true_length(world: World, what: str, kill: bool) -> None:
    for rule in world.rules:
        rule.since = world.now
    began = world.now
    world.work(600)
    restart(world, what, 20, kill=kill)
    world.work(600)
    ended = world.now
    for rule in world.rules:
        rule.since = 0.0
    world.work(1200)

    check(world, killed=kill)
    assert len(episodes(world, "webhook")) == len(world.rules)
    for told in episodes(world, "webhook").values():
        assert told[0].start - began < 320
        assert told[1].time - ended < 120


@pytest.mark.parametrize("what", ["prometheus", "alertmanager", "all"])
@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("before", [-40, -10, -4, 10], ids="ends {}s before".format)
def test_what_ended_meanwhile_is_closed(world: World, what: str, kill: bool, before: int) -> None:
    for rule in world.rules:
        rule.since = world.now
    world.work(600)
    # A rule keeps firing for a minute.
    for rule in world.rules:
        rule.since = 0.0
    world.work(72 - before if before < 0 else 2)
    restart(world, what, 30, kill=kill)
    world.work(1500)

    check(world, killed=kill)
    assert len(episodes(world, "webhook")) == len(world.rules)
    assert len(episodes(world, "pagerduty")) == 3


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_an_alert_of_a_script_that_ends_while_everything_is_down_is_closed(world: World, kill: bool) -> None:
    assert world.exporter is not None
    world.exporter.raise_alert("k", "critical", 300.0)
    world.work(290)
    restart(world, "all", 40, kill=kill)
    world.work(1500)

    check(world, killed=kill)
    assert len(episodes(world, "pagerduty")) == 1


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_over_random_restarts_each_incident_is_opened_and_closed_once(world: World, seed: int) -> None:
    chance = random.Random(seed)
    changed = dict.fromkeys((rule.name for rule in world.rules), 0.0)
    for number in range(RESTARTS):
        for rule in world.rules:
            # It lasts, or stays away, long enough for another to be another.
            if chance.random() < 0.4 and world.now - changed[rule.name] > 400:
                rule.since = 0.0 if rule.since else world.now
                changed[rule.name] = world.now
        if world.exporter is not None and chance.random() < 0.3:
            world.exporter.raise_alert(f"k{number}", chance.choice(("critical", "error")), 300.0)
        world.work(chance.uniform(20, 400))
        what = chance.choice(("exporter", "prometheus", "alertmanager", "all"))
        restart(world, what, chance.uniform(2, 40), kill=seed % 2 == 1 and chance.random() < 0.5)
    world.work(600)
    for rule in world.rules:
        rule.since = 0.0
    world.work(1800)

    assert episodes(world, "webhook")
    check(world, killed=seed % 2 == 1)
