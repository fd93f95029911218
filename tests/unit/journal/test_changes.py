"""How the reader learns that there is something to read, with the kernel's own announcements."""

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.support.clock import Clock
from vv_exporter.journal import changes as module
from vv_exporter.journal.changes import Changes

LONG = 30.0


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "journal"
    made.mkdir()
    return made


@pytest.fixture
def changes(directory: Path) -> Iterator[Changes]:
    made = Changes(directory, Clock())
    yield made
    made.close()


def took(changes: Changes, longest: float) -> tuple[bool, float]:
    begin = time.monotonic()
    announced = changes.wait(longest)
    return announced, time.monotonic() - begin


def test_what_another_process_writes_ends_the_waiting(changes: Changes, directory: Path) -> None:
    changes.begin()
    program = f"import time; time.sleep(0.2); open({str(directory / 'a.jsonl')!r}, 'w').write('x')"
    writer = subprocess.Popen([sys.executable, "-c", program])
    announced, seconds = took(changes, LONG)
    writer.wait()

    assert announced
    assert seconds < LONG / 2


@pytest.mark.parametrize("how", ["append", "create", "move"])
def test_each_way_to_add_events_is_announced(changes: Changes, directory: Path, tmp_path: Path, how: str) -> None:
    file = directory / "a.jsonl"
    if how == "append":
        file.touch()
    changes.begin()
    if how == "move":
        (tmp_path / "b").write_text("x")
        (tmp_path / "b").rename(file)
    else:
        file.write_text("x")

    assert changes.wait(LONG)


def test_one_announcement_stands_for_all_until_then(changes: Changes, directory: Path) -> None:
    changes.begin()
    for _ in range(100):
        with (directory / "a.jsonl").open("a") as file:
            file.write("x")

    assert changes.wait(LONG)
    assert not changes.wait(0.01)


def test_without_a_change_it_ends_after_its_time_and_says_so(changes: Changes) -> None:
    announced, seconds = took(changes, 0.3)

    assert not announced
    assert seconds >= 0.3


def test_to_be_woken_ends_the_waiting(changes: Changes) -> None:
    changes.begin()
    waker = threading.Timer(0.1, changes.wake)
    waker.start()
    announced, seconds = took(changes, LONG)
    waker.join()

    assert not announced
    assert seconds < LONG / 2
    assert took(changes, LONG)[1] < LONG / 2, "and all that comes after it"


def test_a_change_that_was_not_announced_ends_the_trust(changes: Changes, directory: Path) -> None:
    changes.begin()
    directory.rename(directory.with_name("old"))  # the watch goes with it
    directory.mkdir()
    (directory / "a.jsonl").write_text("x")
    assert not changes.wait(0.01)
    changes.missed()

    announced, seconds = took(changes, LONG)
    assert announced, "now nothing can be missed"
    assert seconds < LONG / 2


def test_a_change_that_is_announced_a_moment_later_does_not(changes: Changes, directory: Path) -> None:
    changes.begin()
    (directory / "a.jsonl").write_text("x")
    changes.missed()

    assert not changes.wait(0.01)


def test_a_folder_that_comes_later_is_looked_at_until_it_can_be_watched(tmp_path: Path) -> None:
    clock = Clock()
    changes = Changes(tmp_path / "later", clock)
    try:
        assert took(changes, LONG)[0]
        (tmp_path / "later").mkdir()
        assert took(changes, LONG)[0]
        clock.advance(module.RETRY)
        assert not took(changes, 0.01)[0]
        (tmp_path / "later" / "a.jsonl").touch()
        assert took(changes, LONG)[0]
    finally:
        changes.close()


def test_where_the_kernel_has_no_more_of_it_one_looks(changes: Changes, directory: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # EMFILE, as when max_user_instances is reached
    try:
        changes.begin()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    announced, seconds = took(changes, LONG)

    assert announced
    assert seconds < LONG / 2


def test_a_c_library_without_it_is_no_harm(changes: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INotify", Mock(side_effect=AttributeError("undefined symbol: inotify_init1")))
    announced, seconds = took(changes, LONG)

    assert announced
    assert seconds < LONG / 2
