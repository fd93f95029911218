"""When storing video pauses and goes on, and the flag that tells the scripts."""

import json
import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.waiting import wait_until
from tests.unit.collectors.test_collectors import series
from vv_core import ingest as sdk
from vv_core.ingest import FLAG, ingest_allowed
from vv_exporter.collectors import storage
from vv_exporter.context import Context
from vv_exporter.probes.filesystem import Status, Usage
from vv_exporter.probes.ingest import IngestPause, is_paused, limit, resume_at
from vv_exporter.services import at_work, build_services
from vv_exporter.settings import FreeSpace, load
from vv_exporter.state.store import Store

GB = 10**9
DEFAULT = FreeSpace(0.10, 10 * GB)


def disk(size: int, free: int) -> Usage:
    return Usage(size=size, free=free, inodes=0, inodes_free=0, readonly=False)


@pytest.mark.parametrize(
    ("size", "pauses", "resumes"),
    [
        (1000 * GB, 100 * GB, 120 * GB),
        (100 * GB, 10 * GB, 12 * GB),
        (50 * GB, 10 * GB, 12 * GB),
        (12 * GB, 10 * GB, 11 * GB),
    ],
)
def test_the_larger_limit_counts_and_it_goes_on_a_fifth_above_it(size: int, pauses: int, resumes: int) -> None:
    assert not is_paused(False, disk(size, pauses), DEFAULT)
    assert is_paused(False, disk(size, pauses - 1), DEFAULT)
    assert is_paused(True, disk(size, resumes - 1), DEFAULT)
    assert not is_paused(True, disk(size, resumes), DEFAULT)


def test_a_small_disk_does_not_pause_for_a_size_that_it_never_has_free() -> None:
    default = load({}).disk_critical_free

    assert not is_paused(False, disk(8 * GB, 2 * GB), default)
    assert is_paused(False, disk(8 * GB, 1 * GB), default)


@pytest.mark.parametrize("before", [True, False])
def test_a_file_system_without_a_size_says_nothing(before: bool) -> None:
    assert is_paused(before, disk(0, 0), DEFAULT) is before


@given(
    st.integers(1, 10**15),
    st.one_of(st.none(), st.floats(0, 1)),
    st.one_of(st.none(), st.integers(0, 10**15)),
)
def test_an_empty_disk_that_is_large_enough_always_resumes(size: int, ratio: float | None, bytes_: int | None) -> None:
    critical = FreeSpace(ratio, bytes_)
    usage = disk(size, size)

    assert limit(usage, critical) <= resume_at(usage, critical)
    if limit(usage, critical) <= size:
        assert not is_paused(True, usage, critical)


class Paused:
    """A pause whose disk is set by the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.flag = folder / FLAG
        self.free: int | None = 500 * GB
        self.missing = ""
        self.root = Path("/srv/video")
        self.pause = self.make()

    def make(self) -> IngestPause:
        return IngestPause(self.flag, self.root, DEFAULT, self.status)

    def status(self) -> Status | None:
        if self.missing:
            return Status(False, None, None, self.missing)
        if self.free is None:
            return None
        return Status(True, disk(1000 * GB, self.free), 0.1)

    def at(self, free: int | None) -> tuple[bool, bool]:
        self.free = free
        self.pause.decide()
        return self.pause.paused, self.flag.exists()


@pytest.fixture
def paused(tmp_path: Path) -> Paused:
    return Paused(tmp_path)


def test_the_flag_comes_and_goes_with_the_space(paused: Paused) -> None:
    seen = [paused.at(free * GB) for free in (500, 100, 99, 110, 119, 120, 100)]

    assert seen == [(pausing, pausing) for pausing in (False, False, True, True, True, False, False)]


def test_a_disk_that_does_not_answer_changes_nothing(paused: Paused) -> None:
    assert [paused.at(free) for free in (None, 50 * GB, None)] == [(False, False), (True, True), (True, True)]


def test_while_the_disk_is_missing_nothing_is_stored(paused: Paused) -> None:
    assert paused.at(110 * GB) == (False, False)
    paused.missing = "another file system is there"
    assert paused.at(110 * GB) == (True, True)
    paused.missing = ""
    assert paused.at(None) == (True, True), "whether it is back is not known"
    assert paused.at(110 * GB) == (False, False), "it was not full before"


def test_a_disk_that_was_full_and_missing_is_full_when_it_is_back_also_after_a_restart(paused: Paused) -> None:
    paused.at(50 * GB)
    paused.missing = "gone"
    paused.at(None)
    paused.missing = ""
    assert paused.at(110 * GB) == (True, True)
    assert "missing" not in json.loads(paused.flag.read_text())
    paused.at(500 * GB)

    paused.missing = "gone"
    paused.at(None)
    paused.pause, paused.missing = paused.make(), ""
    assert paused.at(None) == (True, True)
    assert paused.at(110 * GB) == (False, False)


@pytest.mark.parametrize(("returns", "allowed"), [(False, False), (True, True)])
def test_without_an_exporter_the_pause_lasts_until_another_file_system_is_there(
    paused: Paused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, returns: bool, allowed: bool
) -> None:
    paused.root, paused.missing = tmp_path, "gone"
    paused.pause = paused.make()
    paused.at(None)
    os.utime(paused.flag, (0, 0))
    if returns:
        told = json.loads(paused.flag.read_text())
        paused.flag.write_text(json.dumps(told | {"missing": told["missing"] + 1}))
        os.utime(paused.flag, (0, 0))
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(sdk, "_looked", float("-inf"))

    assert ingest_allowed() is allowed


def test_the_flag_tells_when_the_pause_ends_and_is_kept_fresh(paused: Paused) -> None:
    paused.at(50 * GB)
    os.utime(paused.flag, (0, 0))
    paused.at(50 * GB)

    assert json.loads(paused.flag.read_text()) == {"path": "/srv/video", "resume_bytes": 120 * GB}
    assert time.time() - paused.flag.stat().st_mtime < 60


def test_a_flag_that_somebody_deleted_is_set_again(paused: Paused) -> None:
    paused.at(50 * GB)
    paused.flag.unlink()

    assert paused.at(110 * GB) == (True, True)


def test_after_a_restart_the_pause_goes_on(paused: Paused) -> None:
    paused.at(50 * GB)
    paused.pause = paused.make()

    assert paused.pause.paused
    assert paused.at(110 * GB) == (True, True)
    assert paused.at(120 * GB) == (False, False)


def test_without_room_for_its_content_the_flag_is_empty(paused: Paused, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vv_core.common.files.write_new", full)

    assert paused.at(50 * GB) == (True, True)
    assert paused.flag.read_bytes() == b""


def test_a_flag_that_cannot_be_set_is_told_once_and_nothing_is_said_to_be_paused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    paused = Paused(tmp_path / "file")

    assert [paused.at(50 * GB), paused.at(50 * GB)] == [(False, False)] * 2
    assert caplog.text.count("cannot be paused") == 1


def test_the_exporter_and_the_sdk_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: a real probe of a real disk, with a limit that it cannot keep."""
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(sdk, "_CACHED", 0.0)
    (tmp_path / "video").mkdir()
    settings = load(
        {
            "VV_STATE_DIR": str(tmp_path),
            "VIDEO_STORAGE_ROOT": str(tmp_path / "video"),
            "DISK_WARNING_FREE": "100%",
            "DISK_CRITICAL_FREE": "100%",
        }
    )
    store = Store(tmp_path / "state.db", time.time)
    before = ingest_allowed()
    services = build_services(Context(settings=settings, store=store, clock=time.time, monotonic=time.monotonic))
    assert services.ingest_pause is not None
    with closing(store), at_work([*services.filesystems.items(), ("the pause", services.ingest_pause)]):
        wait_until(lambda: not ingest_allowed(), 20)
        shown = wait_until(lambda: series(storage.build(services).collect())["vv_ingest_paused",])

    assert (before, shown) == (True, 1.0)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/")])
def test_what_is_no_file_is_no_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(sdk, "_looked", float("-inf"))
    make(tmp_path / FLAG)

    assert ingest_allowed()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/")])
def test_a_pause_begins_and_ends_whatever_lies_in_the_flags_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path))
    flag = tmp_path / FLAG
    make(flag)
    answers = [disk(100 * GB, 50 * GB), disk(100 * GB, GB), disk(100 * GB, 50 * GB)]
    pause = IngestPause(flag, tmp_path, DEFAULT, lambda: Status(True, answers[0], 0.0))
    seen = []
    for _ in range(3):
        pause.decide()
        monkeypatch.setattr(sdk, "_looked", float("-inf"))
        seen.append((pause.paused, flag.exists(), ingest_allowed()))
        del answers[0]

    assert seen == [(False, False, True), (True, True, False), (False, False, True)]
