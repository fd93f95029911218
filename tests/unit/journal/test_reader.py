"""The reader counts each line once, deletes what is counted, and is stopped by nothing that lies in the folder."""

import json
import os
import time
from pathlib import Path
from unittest.mock import Mock, patch

import pytest

from tests.support.waiting import wait_until
from tests.unit.journal.conftest import Journal
from vv_exporter.journal import changes, plan, reader
from vv_exporter.journal.batch import BATCH_BYTES
from vv_exporter.journal.progress import PROGRESS
from vv_exporter.metrics.exporter import EVENTS, EVENTS_DROPPED, EVENTS_REJECTED
from vv_exporter.metrics.jobs import JOB_RUNS
from vv_exporter.state.database import StoreError


def beat(**fields: object) -> bytes:
    return json.dumps({"v": 1, "type": "heartbeat", "ts": 1_700_000_000.0, "job": "nightly", **fields}).encode() + b"\n"


def test_it_counts_what_is_written_and_goes_on_where_it_stopped(journal: Journal) -> None:
    writer = journal.writer()
    writer.event("heartbeat", job="nightly")
    journal.read()
    writer.event("heartbeat", job="nightly")
    journal.restart()
    journal.read()
    journal.read()

    assert journal.value(JOB_RUNS, "nightly", "success") == 2
    assert journal.value(EVENTS, "heartbeat") == 2


def test_the_file_of_a_writer_that_lives_is_kept_and_that_of_one_that_is_gone_deleted(journal: Journal) -> None:
    alive, gone = journal.writer("alive"), journal.writer("gone")
    gone.close()
    journal.read()

    assert journal.names() == ["alive.0.jsonl"]
    alive.close()
    journal.read()
    assert journal.names() == []


def test_progress_is_forgotten_once_the_file_is_deleted(journal: Journal) -> None:
    journal.writer("first").close()
    journal.read()
    journal.writer("second").close()
    journal.read()
    journal.writer("third").close()
    journal.read()

    assert "first.0.jsonl" not in journal.store.docs(PROGRESS)


def test_a_line_that_is_half_written_waits_for_its_end(journal: Journal) -> None:
    writer = journal.writer()
    writer.raw(beat()[:20])
    journal.read()
    before = journal.value(EVENTS, "heartbeat")
    writer.raw(beat()[20:])
    journal.read()

    assert before is None
    assert journal.value(EVENTS, "heartbeat") == 1
    assert journal.values(EVENTS_REJECTED) == {}


def test_a_torn_tail_is_counted_and_does_not_keep_the_file(journal: Journal) -> None:
    writer = journal.writer()
    writer.raw(beat() + beat()[:20])
    writer.close()
    journal.read()

    assert journal.value(EVENTS, "heartbeat") == 1
    assert journal.value(EVENTS_REJECTED, "torn") == 1
    assert journal.names() == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "syntax"),
        (b"\xff\xfe", "syntax"),
        (b'"text"', "schema"),
        (b"", "syntax"),
        (beat(ts="yesterday").strip(), "schema"),
        (beat(job=None).strip(), "schema"),
        (beat(v=2).strip(), "version"),
        (beat(type="weather").strip(), "unknown_type"),
        (b'{"v":1,"ts":NaN,"type":"heartbeat","job":"x"}', "syntax"),
        (b'{"v":1,"type":"heartbeat","ts":1,"job":"x","extra":' + b"[" * 1000 + b"]" * 1000 + b"}", "depth"),
        (b"[" * 100_000, "depth"),
        (beat(type=["heartbeat"]).strip(), "unknown_type"),
        (beat(type="job.finished", run="r", result="failure", seconds=1, exit_code=2**70).strip(), "schema"),
        (beat(type="stage.started", run="r", stage="s", video_seconds=1e308).strip(), "schema"),
        (beat(type="dvr.frames", dvr="d", frames=2**70, last=1.0).strip(), "schema"),
        (beat(type="dropped", count=-1).strip(), "schema"),
        (b'{"v":1,"type":"dropped","ts":1,"count":' + b"9" * 5000 + b"}", "syntax"),
        (b'{"v":1,"type":"heartbeat","ts":1e400,"job":"x"}', "syntax"),
        (b'{"v":1,"type":"heartbeat","ts":1,"job":"\\ud800"}', "syntax"),
        (beat(type="supervisor.checked", containers={str(n): {} for n in range(1001)}).strip(), "schema"),
        (b"x" * 1_500_000, "oversize"),
        (beat(job="x" * 1_500_000).strip(), "oversize"),
    ],
    ids=[
        "text", "bytes", "not-object", "empty", "type", "null", "version", "unknown", "nan", "deep", "open", "list",
        "exit-code", "seconds", "frames", "negative", "digits", "infinite", "surrogate", "containers", "long-text",
        "long",
    ],
)  # fmt: skip
def test_a_line_it_cannot_use_is_counted_by_reason_and_harms_no_other(
    journal: Journal, line: bytes, reason: str
) -> None:
    writer = journal.writer()
    writer.raw(beat())
    writer.raw(line + b"\n")
    writer.raw(beat())
    writer.close()
    journal.read()

    assert journal.values(EVENTS_REJECTED) == {(reason,): 1}
    assert journal.value(EVENTS, "heartbeat") == 2


def test_an_endless_line_is_passed_over_in_pieces(journal: Journal) -> None:
    writer = journal.writer()
    for _ in range(3):
        for _ in range(3):
            writer.raw(b"x" * 700_000)
        journal.read()
    writer.raw(b"\n" + beat())
    journal.read()

    assert journal.values(EVENTS_REJECTED) == {("oversize",): 1}
    assert journal.value(EVENTS, "heartbeat") == 1


def test_unknown_fields_are_ignored(journal: Journal) -> None:
    writer = journal.writer()
    writer.event("heartbeat", job="nightly", mood="good")
    journal.read()

    assert journal.value(EVENTS, "heartbeat") == 1


def test_more_than_a_batch_is_read_in_several(journal: Journal) -> None:
    line = beat(note="x" * 500)
    number = BATCH_BYTES * 2 // len(line)
    for name in ("a", "b"):
        writer = journal.writer(name)
        writer.raw(line * number)
        writer.close()

    rounds = 1
    journal.clock.advance(1)
    while journal.reader.round():
        rounds += 1

    assert rounds > 2
    assert journal.value(EVENTS, "heartbeat") == 2 * number


def test_very_many_files_are_read(journal: Journal) -> None:
    for number in range(450):
        writer = journal.writer(f"w{number}")
        writer.raw(beat())
        writer.close()
    journal.read()

    assert journal.value(EVENTS, "heartbeat") == 450
    assert journal.names() == []


def test_a_file_without_lock_is_kept_until_it_has_settled(journal: Journal) -> None:
    (journal.directory / "shell.jsonl").write_bytes(beat())
    os.utime(journal.directory / "shell.jsonl", (journal.clock.now, journal.clock.now))
    journal.read()

    assert journal.value(EVENTS, "heartbeat") == 1
    assert journal.names() == ["shell.jsonl"]
    journal.clock.advance(5)
    journal.read()
    assert journal.names() == []
    assert journal.value(EVENTS, "heartbeat") == 1


def test_what_is_no_file_of_the_journal_is_left_alone(journal: Journal, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(beat())
    (journal.directory / "link.jsonl").symlink_to(secret)
    (journal.directory / "folder.jsonl").mkdir()
    os.mkfifo(journal.directory / "pipe.jsonl")
    (journal.directory / "notes.txt").write_bytes(beat())
    (journal.directory / "half.jsonl.tmp").write_bytes(beat())
    writer = journal.writer()
    writer.event("heartbeat", job="nightly")
    journal.clock.advance(100)
    journal.read()

    assert journal.value(EVENTS, "heartbeat") == 1
    assert len(journal.names()) == 6
    assert secret.exists()


def test_a_kill_between_commit_and_deletion_counts_nothing_twice(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = journal.writer()
    writer.raw(beat())
    writer.close()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", Mock(side_effect=KeyboardInterrupt))  # which nothing catches: as a kill
        with pytest.raises(KeyboardInterrupt):
            journal.read()
    journal.restart()
    journal.read()

    assert journal.value(EVENTS, "heartbeat") == 1
    assert journal.names() == []


def test_when_the_database_cannot_be_written_nothing_is_deleted_and_all_is_counted_later(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = journal.writer()
    writer.raw(beat())
    writer.close()
    with monkeypatch.context() as patch:
        patch.setattr(
            journal.store, "_write_transaction", lambda changes: (_ for _ in ()).throw(StoreError("disk full"))
        )
        with pytest.raises(StoreError):
            journal.read()
    assert journal.names() == ["w.0.jsonl"]
    journal.read()

    assert journal.value(EVENTS, "heartbeat") == 1
    assert journal.names() == []


def test_a_writer_that_moved_on_to_its_next_file_is_not_gone(journal: Journal) -> None:
    first = journal.writer("w", 0)
    first.event("job.started", job="nightly", run="r1")
    second = journal.writer("w", 1)
    first.close()
    journal.read()

    assert journal.names() == ["w.1.jsonl"]
    assert journal.value(JOB_RUNS, "nightly", "crashed") == 0
    second.close()
    journal.read()
    assert journal.value(JOB_RUNS, "nightly", "crashed") == 1


def test_the_next_file_may_come_while_the_first_is_being_read(journal: Journal) -> None:
    """The folder was listed before the writer moved on, the lock was had after."""
    first = journal.writer("w", 0)
    first.event("job.started", job="nightly", run="r1")
    journal.clock.advance(1)
    original = journal.reader._folder.note_alive
    second = []

    def move_on(name: str) -> None:
        original(name)

    listing = journal.reader._folder.list_names

    def late_listing() -> set[str]:
        second.append(journal.writer("w", 1))
        return listing()

    first.close()
    journal.reader._folder.note_alive = move_on  # type: ignore[method-assign]
    journal.reader._folder.list_names = late_listing  # type: ignore[method-assign]
    journal.reader.round()

    assert journal.value(JOB_RUNS, "nightly", "crashed") == 0
    assert len(second) == 1


def test_what_writers_dropped_is_told_by_component(journal: Journal) -> None:
    writer = journal.writer()
    writer.event("dropped", count=7)
    writer.event("dropped", count=2, component="other.py")
    journal.read()

    assert journal.values(EVENTS_DROPPED) == {("test.py",): 7, ("other.py",): 2}


def test_the_backlog_and_the_lag_are_known(journal: Journal) -> None:
    writer = journal.writer(ts=journal.clock.now - 60)
    writer.event("heartbeat", job="nightly", ts=journal.clock.now - 30)
    journal.read()

    assert journal.reader.status.lag == pytest.approx(31)
    assert journal.reader.round() is False
    assert journal.reader.status.backlog == 0


def test_the_lag_is_told_for_a_minute_after_the_latest_event(journal: Journal) -> None:
    """It is over when nothing waits, and a rule that looks for two minutes must not see the past."""
    writer = journal.writer(ts=journal.clock.now - 60)
    writer.event("heartbeat", job="nightly", ts=journal.clock.now - 30)
    journal.read()
    journal.clock.advance(59)
    journal.read()
    within = journal.reader.status.lag
    journal.read()

    assert within == pytest.approx(31)
    assert journal.reader.status.lag == 0


def test_a_file_it_may_not_read_is_told_and_does_not_stop_the_others(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.writer("a").event("heartbeat", job="nightly")
    journal.writer("b").event("heartbeat", job="nightly")
    real_open = os.open

    def refuse(path: str | Path, *args: int) -> int:
        if str(path).endswith("a.0.jsonl"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *args)

    monkeypatch.setattr(os, "open", refuse)
    journal.clock.advance(1)
    journal.reader.round()

    assert journal.value(EVENTS, "heartbeat") == 1
    assert journal.reader.status.problem == "a.0.jsonl cannot be read: Permission denied"


@pytest.mark.parametrize("stays", [False, True])
def test_a_file_that_its_writer_is_about_to_open_to_us_is_no_error(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stays: bool
) -> None:
    journal.writer("a").event("heartbeat", job="nightly")
    real_open = os.open

    def refuse(path: str | Path, *args: int) -> int:
        if str(path).endswith("a.0.jsonl"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, *args)

    monkeypatch.setattr(os, "open", refuse)
    journal.reader.round()
    assert caplog.messages == []
    if not stays:
        monkeypatch.setattr(os, "open", real_open)

    for _ in range(3):
        journal.clock.advance(4)
        journal.reader.round()

    told = "the journal cannot be read, will try again: a.0.jsonl cannot be read: Permission denied"
    assert caplog.messages == ([told] if stays else [])
    assert journal.value(EVENTS, "heartbeat") == (None if stays else 1)


@pytest.mark.parametrize("inotify", [True, False])
def test_at_work_it_follows_events_as_they_come_not_as_the_clock_says(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, inotify: bool
) -> None:
    monkeypatch.setattr(reader, "RESTING_SECONDS", 60.0)
    monkeypatch.setattr(plan, "LIVENESS_INTERVAL_SECONDS", 60.0)
    if not inotify:
        monkeypatch.setattr(changes, "INotify", Mock(side_effect=OSError(24, "Too many open files")))
    journal.reader.start()
    try:
        writer = journal.writer()
        for events in (1, 2, 3):
            writer.event("heartbeat", job="nightly")
            wait_until(lambda events=events: journal.value(EVENTS, "heartbeat") == events)
    finally:
        began = time.monotonic()
        journal.reader.stop()

    assert time.monotonic() - began < 30  # it does not wait for its next round


def test_a_half_written_line_that_stays_is_no_reason_to_mistrust_the_kernel(journal: Journal) -> None:
    writer = journal.writer()
    writer.raw(b'{"v": 1, "type": "hear')
    with patch.object(changes.Changes, "missed") as missed, patch.object(plan, "LIVENESS_INTERVAL_SECONDS", 0.05):
        journal.reader.start()
        looked = journal.reader.status
        wait_until(lambda: looked.backlog)
        rounds = Mock(wraps=journal.reader.round)
        with patch.object(journal.reader, "round", rounds):
            wait_until(lambda: rounds.call_count > 3)
        journal.reader.stop()

    assert not missed.called
