"""What the Engine is asked when files cannot be read: in the background, a few at a time, not too often."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.clock import Clock
from tests.support.waiting import wait_until
from vv_exporter.containers.asker import ASKERS, FRESH, INTERVAL, Asker
from vv_exporter.containers.engine import EngineError, NoAnswerError
from vv_exporter.containers.resources import Running, Usage
from vv_exporter.containers.unanswered import INITIAL_PAUSE_SECONDS


class Engine:
    """Answers when `open` is set; counts how many ask at once."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.refuses = False
        self.silent: set[str] = set()
        self.connections = 0
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def connect(self) -> "Engine":
        with self._lock:
            self.connections += 1
        if self.refuses:
            raise EngineError("refused")
        return self

    def usage(self, container: Running) -> Usage | None:
        with self._lock:
            self.asked.append(container.id)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.open.wait(30)
        with self._lock:
            self.at_once -= 1
        if container.id in self.silent:
            raise NoAnswerError("Read timed out.")
        return None if container.id == "ended" else Usage(memory=len(self.asked))

    def close(self) -> None:
        pass


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asker(engine: Engine, clock: Clock) -> Iterator[Asker]:
    asker = Asker(engine.connect, clock)
    yield asker
    asker.stop()
    engine.open.set()


def running(*ids: str) -> list[Running]:
    return [Running(one, one) for one in ids]


def test_an_engine_that_hangs_holds_nobody_up_and_is_asked_by_few(engine: Engine, asker: Asker) -> None:
    ids = [str(number) for number in range(50)]

    assert asker.sample(running(*ids)) == {}
    wait_until(lambda: engine.at_once == ASKERS, what="all who ask")
    assert asker.sample(running(*ids)) == {}

    engine.open.set()
    wait_until(lambda: set(asker.sample(running(*ids))) == set(ids), what="all answers")
    assert engine.most_at_once == ASKERS
    assert sorted(engine.asked) == sorted(ids)


def test_each_is_asked_for_again_after_a_while_and_only_then(engine: Engine, asker: Asker, clock: Clock) -> None:
    engine.open.set()
    wait_until(lambda: asker.sample(running("a")), what="an answer")
    first = asker.sample(running("a"))["a"]
    clock.advance(INTERVAL - 0.1)
    assert asker.sample(running("a"))["a"] == first

    clock.advance(0.1)
    wait_until(lambda: asker.sample(running("a"))["a"] != first, what="another answer")
    assert engine.asked == ["a", "a"]


def test_nobody_is_asked_for_when_nobody_wants_to_know(engine: Engine, asker: Asker, clock: Clock) -> None:
    engine.open.set()
    assert asker.sample([]) == {}
    wait_until(lambda: asker.sample(running("a")), what="an answer")
    assert asker.sample([]) == {}
    clock.advance(INTERVAL)

    assert asker.sample(running("b")) == {}
    wait_until(lambda: asker.sample(running("b")), what="an answer")
    assert engine.asked == ["a", "b"]


def test_an_answer_is_not_shown_for_ever(engine: Engine, asker: Asker, clock: Clock) -> None:
    engine.open.set()
    wait_until(lambda: asker.sample(running("a")), what="an answer")
    engine.open.clear()
    clock.advance(FRESH)

    assert asker.sample(running("a")) == {}


def test_one_that_has_ended_has_no_answer(engine: Engine, asker: Asker) -> None:
    engine.open.set()
    wait_until(lambda: asker.sample(running("ended", "a")), what="an answer")

    assert set(asker.sample(running("ended", "a"))) == {"a"}


def test_an_engine_that_comes_back_is_asked_again(
    engine: Engine, asker: Asker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    engine.open.set()
    engine.refuses = True
    assert asker.sample(running("a", "b")) == {}
    wait_until(lambda: engine.connections == 2, what="two tries")
    engine.refuses = False
    clock.advance(INTERVAL)

    wait_until(lambda: asker.sample(running("a")), what="an answer")
    assert caplog.text.count("does not tell what containers use, retrying: refused") == 1


def test_one_that_is_not_answered_is_told_and_asked_for_less_and_less(
    engine: Engine, asker: Asker, clock: Clock
) -> None:
    engine.open.set()
    engine.silent.add("stuck")
    wait_until(lambda: set(asker.sample(running("stuck", "a"))) == {"a"}, what="the answer of the other")
    wait_until(lambda: asker.unanswered, what="the silence")
    clock.advance(INTERVAL)
    wait_until(lambda: asker.sample(running("stuck", "a")) and engine.asked.count("a") == 2, what="the other, again")
    assert engine.asked.count("stuck") == 1, "it is asked for as often as the others"

    engine.silent.clear()
    clock.advance(INITIAL_PAUSE_SECONDS)
    wait_until(lambda: "stuck" in asker.sample(running("stuck", "a")), what="its answer")
    assert not asker.unanswered


def test_one_that_is_not_there_any_more_is_not_told(engine: Engine, asker: Asker) -> None:
    engine.open.set()
    engine.silent.add("stuck")
    wait_until(lambda: (asker.sample(running("stuck")), asker.unanswered)[1], what="the silence")

    asker.sample(running("a"))

    assert not asker.unanswered
