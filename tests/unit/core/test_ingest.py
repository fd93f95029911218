"""Whether video may be stored: a look at a flag, and never a reason to stop."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tests.unit.core.conftest import State
from vv_core import ingest
from vv_core.ingest import FLAG, STALE, ingest_allowed

Pause = Callable[..., Path]


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forget() -> None:
        monkeypatch.setattr(ingest, "_looked", float("-inf"))

    forget()
    monkeypatch.setattr(ingest, "_allowed", True)
    monkeypatch.setattr(ingest, "_asking", [])
    return forget


@pytest.fixture
def pause(state: State) -> Pause:
    def write(age: float = 0.0, content: Any = None) -> Path:
        state.folder.mkdir(parents=True, exist_ok=True)
        flag = state.folder / FLAG
        flag.write_text(json.dumps(content if content is not None else {"path": "/", "resume_bytes": 0}))
        now = os.stat(flag).st_mtime
        os.utime(flag, (now - age, now - age))
        return flag

    return write


def test_it_is_allowed_without_an_exporter() -> None:
    assert ingest_allowed() is True


def test_it_is_not_while_the_flag_is_fresh_and_again_when_it_is_gone(pause: Pause, anew: Callable[[], None]) -> None:
    flag = pause()
    before = ingest_allowed()
    flag.unlink()
    anew()

    assert (before, ingest_allowed()) == (False, True)


def test_it_looks_at_most_once_a_second(pause: Pause) -> None:
    ingest_allowed()
    pause()

    assert ingest_allowed() is True


@pytest.mark.parametrize("age", [STALE - 5, 5 - STALE])
def test_a_flag_counts_until_it_is_stale_also_when_the_clock_was_changed(pause: Pause, age: float) -> None:
    pause(age)

    assert ingest_allowed() is False


@pytest.mark.parametrize("age", [STALE + 5, -STALE - 5])
@pytest.mark.parametrize(("wanted", "allowed"), [(0, True), (1 << 62, False)])
def test_a_stale_flag_lets_the_disk_decide(
    pause: Pause, anew: Callable[[], None], age: float, wanted: int, allowed: bool
) -> None:
    pause(age, {"path": "/", "resume_bytes": wanted})

    assert ingest_allowed() is allowed
    anew()
    assert ingest_allowed() is allowed


@pytest.mark.parametrize(
    "content",
    ["", [], {}, {"path": 7}, {"path": "/", "resume_bytes": "x"}, {"path": "/nonexistent", "resume_bytes": 1}],
)
def test_a_stale_flag_that_says_nothing_is_none(pause: Pause, content: Any) -> None:
    pause(STALE + 5, content)

    assert ingest_allowed() is True


def test_a_disk_that_does_not_answer_blocks_nobody_and_is_asked_once(
    pause: Pause, anew: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, calls = threading.Event(), []

    def hang(path: str) -> SimpleNamespace:
        calls.append(path)
        answer.wait(30)
        return SimpleNamespace(f_bavail=0, f_frsize=1)

    monkeypatch.setattr(os, "statvfs", hang)
    monkeypatch.setattr(ingest, "_PATIENCE", 0.01)
    pause(STALE + 5, {"path": "/srv", "resume_bytes": 5})
    answers = []
    for _ in range(3):
        anew()
        answers.append(ingest_allowed())
    asked = list(calls)
    answer.set()
    wait_until(lambda: not ingest._asking)
    monkeypatch.setattr(ingest, "_PATIENCE", 30)
    anew()

    assert (answers, asked) == ([True] * 3, ["/srv"])
    assert ingest_allowed() is False


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path), os.mkfifo])
def test_an_odd_flag_neither_blocks_nor_raises(state: State, make: Callable[[Path], object]) -> None:
    state.folder.mkdir(parents=True)
    make(state.folder / FLAG)
    os.utime(state.folder / FLAG, (0, 0), follow_symlinks=False)

    assert ingest_allowed() is True
