"""What `vv up` does with a program that ends: it is started again after pauses that grow, and reported."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from vv_exporter.stack.processes import LOG_MAX_BYTES, Child
from vv_exporter.stack.supervision import LONGEST_PAUSE_SECONDS, STEADY_SECONDS, WINDOW_SECONDS, End, Supervised


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stack:
    """Programs under supervision, and what was reported of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.ends: list[End] = []
        self.programs: list[Supervised] = []

    def add(self, name: str, *command: str) -> Supervised:
        child = Child(name, command, self.folder / f"{name}.log")
        program = Supervised(child, self.clock, self.ends.append)
        self.programs.append(program)
        return program

    def check(self) -> None:
        for program in self.programs:
            program.check()

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        def looked() -> bool:
            self.check()
            return condition()

        wait_until(looked, 10, what=what)

    def seconds_until_started(self, program: Supervised) -> float:
        """How much the clock must move until it is started again, to a quarter of a second."""
        began = self.clock.now
        while not program.running:
            self.clock.now += 0.25
            self.check()
        return self.clock.now - began


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path)
    yield made
    for program in made.programs:
        program.child.kill()


def kill(stack: Stack, program: Supervised, number: signal.Signals = signal.SIGKILL) -> None:
    program.child.signal(number)
    stack.wait_for(lambda: not program.running, "its end to be noticed")


def test_a_program_that_was_killed_runs_again_and_the_other_never_stopped(stack: Stack) -> None:
    one, other = stack.add("one", "sleep", "600"), stack.add("other", "sleep", "600")
    one.start()
    other.start()
    pids = one.child.pid, other.child.pid

    kill(stack, one)
    stack.clock.now += 1
    stack.check()

    assert one.running
    assert one.child.exit_code() is None
    assert one.child.pid != pids[0]
    assert other.child.pid == pids[1]
    assert [(end.name, end.how, end.in_a_row, end.lately) for end in stack.ends] == [
        ("one", "was ended by SIGKILL", 1, 1)
    ]


def test_pauses_grow_up_to_the_longest_and_begin_anew_after_a_steady_run(stack: Stack) -> None:
    program = stack.add("one", "sleep", "600")
    program.start()
    pauses = []
    for _ in range(7):
        kill(stack, program)
        pauses.append(stack.seconds_until_started(program))

    assert pauses == [1, 2, 4, 8, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]

    stack.clock.now += STEADY_SECONDS - 0.25
    assert not program.steady
    stack.clock.now += 0.25
    assert program.steady
    kill(stack, program)
    assert stack.seconds_until_started(program) == 1
    assert stack.ends[-1].in_a_row == 1


def test_ends_are_counted_within_the_window_alone(stack: Stack) -> None:
    program = stack.add("one", "sleep", "600")
    program.start()
    kill(stack, program)
    stack.seconds_until_started(program)
    stack.clock.now += WINDOW_SECONDS - 1
    kill(stack, program)
    stack.seconds_until_started(program)
    assert stack.ends[-1].lately == 2
    stack.clock.now += 2
    kill(stack, program)

    assert stack.ends[-1].lately == 2


def test_what_cannot_be_run_is_reported_and_tried_again(stack: Stack) -> None:
    program = stack.folder / "program"
    missing = stack.add("one", str(program))
    missing.start()

    assert not missing.running
    assert stack.ends[-1].how == "cannot be run: No such file or directory"

    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    stack.seconds_until_started(missing)

    assert missing.child.exit_code() is None


def test_the_report_says_how_it_ended(stack: Stack) -> None:
    program = stack.add("one", "sh", "-c", "echo no such flag; exit 3")
    program.start()
    stack.wait_for(lambda: bool(stack.ends), "its end")

    assert stack.ends[0].how == "ended with exit code 3"
    assert "no such flag" in program.child.tail()


def test_what_it_said_before_it_ended_stays_in_its_log(stack: Stack) -> None:
    program = stack.add("one", "sh", "-c", "echo started; exec sleep 600")
    program.start()
    log = stack.folder / "one.log"
    wait_until(lambda: log.read_text().count("started") == 1, 10, what="the first start")
    kill(stack, program)
    stack.seconds_until_started(program)
    wait_until(lambda: log.read_text().count("started") == 2, 10, what="the second start")

    kill(stack, program)
    log.write_bytes(b"x" * LOG_MAX_BYTES)
    stack.seconds_until_started(program)
    wait_until(lambda: log.read_text() == "started\n", 10, what="a log that begins anew")


def test_a_log_that_cannot_be_written_keeps_no_program_from_running(stack: Stack) -> None:
    program = stack.add("one", "sleep", "600")
    (stack.folder / "one.log").mkdir()
    program.start()

    assert program.running
    assert program.child.exit_code() is None


@pytest.mark.exhaustive
def test_fifty_kills_of_each_of_three_programs_in_any_order(stack: Stack) -> None:
    seed = time.time_ns()
    print("seed", seed)
    order = random.Random(seed)
    programs = [stack.add(name, "sleep", "600") for name in ("a", "b", "c")]
    for program in programs:
        program.start()
    victims = [program for program in programs for _ in range(50)]
    order.shuffle(victims)
    for victim in victims:
        others = {one.child.name: one.child.pid for one in programs if one is not victim and one.running}
        if not victim.running:
            stack.seconds_until_started(victim)
        stack.check()
        kill(stack, victim, order.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)))
        now = {one.child.name: one.child.pid for one in programs if one.child.name in others}
        assert now == others
    for program in programs:
        if not program.running:
            stack.seconds_until_started(program)

    assert [program.child.exit_code() for program in programs] == [None, None, None]
    assert len(stack.ends) == 150
