"""What must outlive a power cut is on the disk before it is promised, and a disk that hangs holds nobody up."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vv_core.alerter import LEVELS, send_alert
from vv_core.common import journals, lasting, shared
from vv_core.common.journals import LASTING, NEEDED, Journal


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is synced: files with their size at that moment, folders with a slash."""
    names: list[str] = []

    def note(descriptor: int) -> None:
        found = os.fstat(descriptor)
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        names.append(f"{name}/" if stat.S_ISDIR(found.st_mode) else f"{name} {found.st_size}")

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "fdatasync", note)
    return names


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    (tmp_path / "journal").mkdir()
    one = Journal(str(tmp_path / "journal"))
    yield one
    one.close()


def file_of(folder: Path) -> Path:
    [path] = folder.glob("*.jsonl")
    return path


def test_what_must_last_is_synced_with_its_name_and_the_name_once(
    journal: Journal, tmp_path: Path, synced: list[str]
) -> None:
    sizes = []
    for _ in range(2):
        journal.emit("alert", "a.py", {}, LASTING)
        sizes.append(file_of(tmp_path / "journal").stat().st_size)

    name = file_of(tmp_path / "journal").name
    assert synced == [f"{name} {sizes[0]}", "journal/", f"{name} {sizes[1]}"]


def test_nothing_else_waits_for_the_disk(journal: Journal, synced: list[str]) -> None:
    for worth in (journals.ROUTINE, NEEDED, journals.CLOSING):
        journal.emit("alert", "a.py", {}, worth)

    assert synced == []


@pytest.mark.parametrize("level", LEVELS)
def test_of_alerts_the_critical_ones_last(
    level: str, tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path))
    (tmp_path / "journal").mkdir()
    journals.reset()
    try:
        send_alert(level, "No frames")
    finally:
        journals.reset()

    assert bool(synced) == (level == "CRITICAL")


def test_a_folder_that_is_made_is_on_the_disk_with_all_above_it(tmp_path: Path, synced: list[str]) -> None:
    shared.make_folder(str(tmp_path / "a" / "b" / "c"))
    made = list(synced)
    shared.make_folder(str(tmp_path / "a" / "b" / "c"))

    assert made == [f"{tmp_path.name}/", "a/", "b/"]
    assert synced == made


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """Until it is set, the disk hangs."""
    event = threading.Event()
    yield event
    event.set()


def test_a_disk_that_hangs_is_waited_for_once(hanging: threading.Event) -> None:
    disk = lasting.Disk(patience=0.01)
    done = threading.Event()

    assert disk.wait_for(lambda: bool(hanging.wait()) and done.set()) == lasting.NO_ANSWER
    disk._patience = 3600.0
    assert disk.wait_for(lambda: None) == lasting.NO_ANSWER  # at once

    hanging.set()
    assert done.wait(60)
    disk._free.acquire()  # the call that hung has ended
    disk._free.release()
    assert disk.wait_for(lambda: None) == ""


def test_whoever_comes_while_the_disk_works_waits_and_is_not_refused() -> None:
    disk, begun, go_on = lasting.Disk(patience=60.0), threading.Event(), threading.Event()
    answers: list[str] = []
    slow = threading.Thread(target=lambda: answers.append(disk.wait_for(lambda: begun.set() or bool(go_on.wait(60)))))  # type: ignore[arg-type, return-value, func-returns-value]
    slow.start()
    assert begun.wait(60)
    second = threading.Thread(target=lambda: answers.append(disk.wait_for(lambda: None)))
    second.start()
    go_on.set()
    slow.join(60)
    second.join(60)

    assert answers == ["", ""]


def test_an_alert_on_a_disk_that_hangs_is_recorded_and_it_is_said_that_it_may_not_last(
    journal: Journal, tmp_path: Path, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    journal._disk = lasting.Disk(patience=0.01)
    monkeypatch.setattr(os, "fdatasync", lambda _: hanging.wait())
    for _ in range(3):
        assert journal.emit("alert", "a.py", {}, LASTING)

    assert file_of(tmp_path / "journal").read_bytes().count(b'"type":"alert"') == 3
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == [lasting.NO_ANSWER]


def test_an_error_of_the_disk_is_said_and_costs_no_event(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)

    assert journal.emit("alert", "a.py", {}, LASTING)
    assert "may not outlive a power cut: [Errno 5] Input/output error" in caplog.text
    assert journal.lost == 0


def test_where_no_thread_can_be_had_it_is_synced_all_the_same(
    journal: Journal, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(lasting, "start_new_thread", fail)
    journal.emit("alert", "a.py", {}, LASTING)

    assert len(synced) == 2


def test_what_was_written_by_another_thread_is_waited_for_by_whoever_raised_it(
    journal: Journal, synced: list[str]
) -> None:
    """Its own thread found the journal at work, and left the writing to that one."""
    saved, journal._save_promised = journal._save_promised, lambda: None  # type: ignore[method-assign]
    journal.emit("alert", "other.py", {}, LASTING)
    journal._save_promised = saved  # type: ignore[method-assign]
    assert synced == []

    journal.flush()
    assert len(synced) == 2


def test_a_file_that_the_exporter_has_counted_and_deleted_is_no_error(
    journal: Journal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal._save_promised = lambda: file_of(tmp_path / "journal").unlink() or Journal._save_promised(journal)  # type: ignore[method-assign, func-returns-value]

    assert journal.emit("alert", "a.py", {}, LASTING)
    assert caplog.text == ""
