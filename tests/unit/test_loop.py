"""The thread that all that deliver have in common."""

import itertools
import queue
import time
from collections.abc import Callable

import pytest

from vv_exporter.runtime import loop as module
from vv_exporter.runtime.loop import Loop
from vv_exporter.state.database import StoreError

LONG = 30.0


@pytest.fixture
def rounds() -> "queue.Queue[float]":
    return queue.Queue()


def running(work: Callable[[], bool | None], interval: float, shortest: float = 0.0) -> Loop:
    loop = Loop("test", "things", work, interval, shortest)
    loop.start()
    return loop


def test_it_is_woken_at_once_and_stopped_at_once(rounds: "queue.Queue[float]") -> None:
    loop = running(lambda: rounds.put(time.monotonic()), LONG)
    begin = time.monotonic()
    loop.wake()
    assert rounds.get(timeout=LONG) - begin < LONG / 2
    loop.stop()

    assert time.monotonic() - begin < LONG / 2
    assert rounds.empty()


def test_however_often_it_is_woken_there_is_a_pause_between_rounds(rounds: "queue.Queue[float]") -> None:
    loop = running(lambda: rounds.put(time.monotonic()), LONG, shortest=0.2)
    times = []
    for _ in range(3):
        loop.wake()
        times.append(rounds.get(timeout=LONG))
    loop.stop()

    assert all(later - earlier >= 0.19 for earlier, later in itertools.pairwise(times))


def test_while_nothing_waits_it_rests(rounds: "queue.Queue[float]", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTING", LONG)
    answers = iter([True, False])

    def work() -> bool:
        rounds.put(time.monotonic())
        return next(answers)

    loop = running(work, 0.01)
    rounds.get(timeout=LONG)
    rounds.get(timeout=LONG)
    with pytest.raises(queue.Empty):
        rounds.get(timeout=0.3)
    loop.stop()


@pytest.mark.parametrize("error", [StoreError("full"), RuntimeError("a defect")])
def test_after_an_error_it_goes_on_and_does_not_rest(
    rounds: "queue.Queue[float]", monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(module, "RESTING", LONG)
    monkeypatch.setattr(module, "AFTER_DEFECT", 0.01)

    def work() -> bool:
        rounds.put(time.monotonic())
        raise error

    loop = running(work, 0.01)
    for _ in range(3):
        rounds.get(timeout=LONG / 2)
    loop.stop()
