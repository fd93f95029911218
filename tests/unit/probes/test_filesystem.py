"""A path that hangs, fails or comes back, on a clock that the test moves."""

import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.support.clock import Clock
from tests.support.disks import small_disk
from tests.support.waiting import wait_until
from vv_exporter.probes.filesystem import (
    FOLDER,
    Answer,
    PathProbe,
    Status,
    Usage,
    evaluate_answer,
    read_usage,
    read_usage_and_write,
    read_usage_through,
)

USAGE = Usage(size=100, free=50, inodes=10, inodes_free=9, readonly=False)


@pytest.mark.parametrize(
    ("answer", "age", "expected"),
    [
        (None, 0, None),
        (None, 10, None),
        (None, 10.001, Status(False, None, None)),
        (Answer(USAGE, None, 0.1), 10, Status(True, USAGE, 0.1, "")),
        (Answer(USAGE, None, 0.1), 10.001, Status(False, None, None)),
        (Answer(USAGE, "full", 0.1), 0, Status(False, USAGE, 0.1, "")),
        (Answer(None, "gone", 0.1), 0, Status(False, None, 0.1, "")),
        (Answer(None, "m", 0.1, "m"), 0, Status(False, None, 0.1, "m")),
    ],
)
def test_an_answer_counts_until_it_is_overdue(answer: Answer | None, age: float, expected: Status | None) -> None:
    assert expected == evaluate_answer(answer, 1000, 1000 + age, 10)


class Probing:
    """A path probe whose probe function waits to be told its answer."""

    def __init__(self, *, interval: float = 0.0) -> None:
        self.clock = Clock()
        self.calls = 0
        self.answers: list[Answer | Exception] = []
        self.told = threading.Semaphore(0)
        self.over = False
        self.probe = PathProbe(Path("/mnt"), self._ask, interval=interval, timeout=10, monotonic=self.clock)

    def tell(self, answer: Answer | Exception) -> None:
        self.answers.append(answer)
        self.told.release()

    def _ask(self, _: Path) -> Answer:
        self.calls += 1
        self.told.acquire()
        if self.over:
            return Answer(None, "over")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def start() -> Iterator[Callable[..., Probing]]:
    started: list[Probing] = []

    def begin(**options: float) -> Probing:
        probing = Probing(**options)
        probing.probe.start()
        started.append(probing)
        wait_until(lambda: probing.calls)
        return probing

    yield begin
    for probing in started:
        probing.probe.stop()
        probing.over = True
        probing.told.release()
    wait_until(lambda: not any(thread.name == "probe-/mnt" for thread in threading.enumerate()))


def test_a_path_that_hangs_from_the_start_fails_once_its_time_is_over(start: Callable[..., Probing]) -> None:
    probing = start()
    assert probing.probe.status() is None

    probing.clock.advance(10.5)
    assert Status(False, None, None) == probing.probe.status()


def test_a_path_that_hangs_later_fails_and_comes_back(start: Callable[..., Probing]) -> None:
    probing = start()
    probing.tell(Answer(USAGE, None))
    wait_until(lambda: probing.calls == 2)
    assert Status(True, USAGE, 0.0, "") == probing.probe.status()

    probing.clock.advance(10.5)
    assert Status(False, None, None) == probing.probe.status()

    probing.tell(Answer(USAGE, None))
    wait_until(lambda: probing.calls == 3)
    assert Status(True, USAGE, 10.5, "") == probing.probe.status()


def test_while_it_hangs_nothing_else_touches_the_path(start: Callable[..., Probing]) -> None:
    probing = start()
    for _ in range(10):
        probing.clock.advance(60)
        probing.probe.status()

    assert probing.calls == 1
    assert sum(thread.name == "probe-/mnt" for thread in threading.enumerate()) == 1


def test_a_probe_that_raises_has_failed_and_goes_on(start: Callable[..., Probing]) -> None:
    probing = start()
    probing.tell(RuntimeError("surprise"))
    wait_until(lambda: probing.calls == 2)

    assert Status(False, None, 0.0, "") == probing.probe.status()


def test_failing_is_logged_once_an_episode(start: Callable[..., Probing], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    probing = start()
    for answer in (Answer(None, "no disk"), Answer(None, "no disk"), Answer(USAGE, None), Answer(USAGE, None)):
        probing.tell(answer)
    wait_until(lambda: probing.calls == 5)

    assert caplog.messages == ["/mnt: no disk", "/mnt: works again"]


def test_stop_returns_at_once_and_ends_the_thread_that_does_not_hang(start: Callable[..., Probing]) -> None:
    probing = start(interval=1000)
    probing.tell(Answer(USAGE, None))
    wait_until(lambda: probing.probe.status() is not None)
    probing.probe.stop()

    wait_until(lambda: not any(thread.name == "probe-/mnt" for thread in threading.enumerate()))


def test_a_folder_is_written_to_and_left_clean(tmp_path: Path) -> None:
    answer = read_usage_and_write(tmp_path)

    assert answer.error is None
    assert answer.usage is not None
    assert 0 < answer.usage.free < answer.usage.size
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_looking_writes_nothing(tmp_path: Path) -> None:
    assert read_usage(tmp_path).error is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("probe", [read_usage, read_usage_and_write])
def test_a_path_that_does_not_exist_has_failed(probe: Callable[[Path], Answer], tmp_path: Path) -> None:
    answer = probe(tmp_path / "none")

    assert answer.usage is None
    assert "No such file" in str(answer.error)


def test_what_cannot_be_written_has_failed_and_still_shows_its_space(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("in the way")

    answer = read_usage_and_write(tmp_path)

    assert answer.usage is not None
    assert "Not a directory" in str(answer.error)


def test_a_link_does_not_lead_the_probe_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / FOLDER).symlink_to(elsewhere)

    assert read_usage_and_write(root).error is not None


def test_what_a_killed_probe_left_behind_does_not_disturb(tmp_path: Path) -> None:
    read_usage_and_write(tmp_path)
    (tmp_path / FOLDER / f"probe-{os.uname().nodename}").write_text("left behind, and longer than a probe")

    assert read_usage_and_write(tmp_path).error is None
    assert list((tmp_path / FOLDER).iterdir()) == []


@pytest.mark.parametrize("ask", [read_usage, lambda path: read_usage_through(path)(Path("/")), read_usage_and_write])
@pytest.mark.parametrize("inside", ["", "a folder"])
def test_a_mount_that_is_read_only_here_is_no_file_system_that_is(
    tmp_path: Path, ask: Callable[[Path], Answer], inside: str
) -> None:
    """As systemd's ProtectSystem and a container's volumes are, for the exporter alone."""
    with small_disk(tmp_path / "disk 1") as disk:
        place = disk.folder / inside
        place.mkdir(exist_ok=True)
        seen = {}
        for options in ("remount,bind,ro", "remount,bind,rw", "remount,ro"):
            subprocess.run(["mount", "-o", options, str(disk.folder)], check=True)
            answer = ask(place)
            assert answer.usage is not None
            assert answer.usage.size == 4 << 20
            seen[options] = answer.usage.readonly

    assert seen == {"remount,bind,ro": False, "remount,bind,rw": False, "remount,ro": True}


def test_where_nobody_says_more_the_mount_has_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk") as disk:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(disk.folder)], check=True)
        monkeypatch.setattr(Path, "read_text", Mock(side_effect=PermissionError))
        answer = read_usage(disk.folder)

    assert answer.usage is not None
    assert answer.usage.readonly


def test_a_machine_path_that_is_not_mounted_is_a_failure(tmp_path: Path) -> None:
    answer = read_usage_through(tmp_path / "absent")(Path("/"))

    assert answer.usage is None
    assert "absent" in (answer.error or "")
