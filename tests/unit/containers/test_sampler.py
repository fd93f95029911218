"""Readings that hang, fail or are slow, and what is known all the same."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.waiting import wait_until
from tests.unit.containers.trees import ID, OTHER, lay_out
from vv_exporter.containers.cgroups import Cgroups, Place
from vv_exporter.containers.resources import Running, Usage
from vv_exporter.containers.sampler import FRESH, LEAST_GAP, MAX_STUCK, SEARCH_INTERVAL, STUCK, Sampler


class Files:
    """Containers by id and the memory they use; a gate holds the reading of one up until it is set."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}
        self.gates: dict[str, threading.Event] = {}
        self.elsewhere: set[str] = set()
        self.searches = 0
        self.reads: list[str] = []

    def locate(self, container: Running) -> Place | None:
        return None if container.id in self.elsewhere else Place({"": container.id}, None)

    def search(self) -> dict[str, str]:
        self.searches += 1
        return {one: one for one in self.elsewhere & self.used.keys()}

    def place(self, container: Running, path: str) -> Place | None:
        return Place({"": path}, None)

    def read(self, place: Place) -> Usage | None:
        one = place.groups[""]
        self.reads.append(one)
        if one in self.gates:
            self.gates[one].wait(30)
        return Usage(memory=self.used[one]) if one in self.used else None


def running(*ids: str) -> list[Running]:
    return [Running(one, f"name of {one}") for one in ids]


def memories(sampler: Sampler, *ids: str) -> dict[str, int | None]:
    return {one: usage.memory for one, usage in sampler.sample(running(*ids))[0].items()}


@pytest.fixture
def files() -> Iterator[Files]:
    files = Files()
    yield files
    for gate in files.gates.values():
        gate.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sampler(files: Files, clock: Clock) -> Sampler:
    return Sampler(files, clock)


def test_each_scrape_sees_what_is_used_then(files: Files, sampler: Sampler, clock: Clock) -> None:
    files.used = {"a": 1, "b": 2}

    assert memories(sampler, "a", "b") == {"a": 1, "b": 2}
    files.used = {"a": 3, "b": 2}
    clock.advance(LEAST_GAP)
    assert memories(sampler, "a", "b") == {"a": 3, "b": 2}


def test_many_who_ask_at_once_cost_one_reading(files: Files, sampler: Sampler) -> None:
    files.used = {"a": 1}
    for _ in range(5):
        assert memories(sampler, "a") == {"a": 1}

    assert files.reads == ["a"]


def test_one_that_is_gone_when_it_is_read_is_unreadable_and_no_error(
    files: Files, sampler: Sampler, clock: Clock
) -> None:
    files.used = {"b": 2}

    assert sampler.sample(running("a", "b"))[1] == {"a"}
    files.used["a"] = 1
    clock.advance(LEAST_GAP)
    known, unreadable = sampler.sample(running("a", "b"))
    assert set(known) == {"a", "b"}
    assert unreadable == frozenset()


def test_one_that_does_not_run_any_more_is_forgotten(files: Files, sampler: Sampler, clock: Clock) -> None:
    files.used = {"a": 1}
    assert memories(sampler, "a", "b") == {"a": 1}
    clock.advance(LEAST_GAP)

    assert sampler.sample([]) == ({}, frozenset())


def test_a_reading_that_hangs_costs_its_own_container_alone(files: Files, sampler: Sampler, clock: Clock) -> None:
    files.used = {"a": 1, "b": 2, "c": 3}
    files.gates["b"] = threading.Event()
    assert memories(sampler, "a", "b", "c") == {"a": 1}
    assert memories(sampler, "a", "b", "c") == {"a": 1}

    clock.advance(STUCK + 0.1)
    assert memories(sampler, "a", "b", "c") == {"a": 1, "c": 3}
    assert files.reads.count("b") == 1

    files.gates.pop("b").set()
    wait_until(lambda: _after(clock, sampler, "a", "b", "c") == {"a": 1, "b": 2, "c": 3}, what="all three again")


def _after(clock: Clock, sampler: Sampler, *ids: str) -> dict[str, int | None]:
    clock.advance(LEAST_GAP)
    return memories(sampler, *ids)


def test_a_file_that_hangs_costs_its_own_container_alone(tmp_path: Path, clock: Clock) -> None:
    lay_out("v2", tmp_path, ID)
    lay_out("v2", tmp_path, OTHER)
    fifo = tmp_path / "sys/fs/cgroup/docker" / ID / "memory.stat"  # opening it waits for somebody who writes
    fifo.unlink()
    os.mkfifo(fifo)
    sampler = Sampler(Cgroups(tmp_path / "proc", tmp_path / "sys", 2), clock)
    both = [Running(ID, "hangs"), Running(OTHER, "good")]
    assert sampler.sample(both)[0].keys() == set()
    clock.advance(STUCK + 0.1)

    assert sampler.sample(both)[0].keys() == {OTHER}
    fifo.write_text("inactive_file 0\n")


def test_what_was_read_before_a_hang_is_not_shown_for_ever(files: Files, sampler: Sampler, clock: Clock) -> None:
    files.used = {"a": 1}
    assert memories(sampler, "a") == {"a": 1}
    files.gates["a"] = threading.Event()
    clock.advance(FRESH)

    assert memories(sampler, "a") == {}


def test_readings_that_hang_are_bounded(files: Files, sampler: Sampler, clock: Clock) -> None:
    ids = [f"c{number:02}" for number in range(2 * MAX_STUCK)]
    files.used = dict.fromkeys(ids, 1)
    files.gates = {one: threading.Event() for one in ids}
    for _ in range(MAX_STUCK + 2):
        sampler.sample(running(*ids))
        clock.advance(STUCK + 0.1)

    assert len(files.reads) == MAX_STUCK


def test_a_defect_costs_one_round(files: Files, sampler: Sampler, clock: Clock) -> None:
    files.used = {"a": 1}
    read, files.read = files.read, _broken  # type: ignore[method-assign, assignment]
    assert memories(sampler, "a") == {}
    files.read = read  # type: ignore[method-assign]

    assert _after(clock, sampler, "a") == {"a": 1}


def test_want_of_threads_costs_one_scrape(
    files: Files, sampler: Sampler, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.used = {"a": 1}
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_thread)
        with pytest.raises(RuntimeError):
            memories(sampler, "a")

    assert memories(sampler, "a") == {"a": 1}


def _no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _broken(place: Place) -> Usage | None:
    raise RuntimeError("a defect")


def test_a_group_at_an_unusual_place_is_searched_for_seldom(files: Files, sampler: Sampler, clock: Clock) -> None:
    files.used, files.elsewhere = {"a": 1, "b": 2}, {"a", "lost"}
    for _ in range(4):
        assert _after(clock, sampler, "a", "b", "lost") == {"a": 1, "b": 2}
    assert files.searches == 1

    clock.advance(SEARCH_INTERVAL)
    files.used["lost"] = 3

    assert memories(sampler, "a", "b", "lost") == {"a": 1, "b": 2, "lost": 3}
    assert files.searches == 2
