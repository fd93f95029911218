"""What is routine is shown at once and committed a little later: exactly once all the same, whatever ends when."""

import fcntl
import json
import sqlite3
import time
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.killing import killed_at_each_call
from tests.support.waiting import wait_until
from tests.unit.journal.conftest import Journal
from tests.unit.journal.test_reader import beat
from vv_exporter.journal import uncommitted
from vv_exporter.journal.batch import BATCH_BYTES
from vv_exporter.journal.events import AnyEvent, decode
from vv_exporter.journal.folds import discover
from vv_exporter.journal.progress import PROGRESS, Progress
from vv_exporter.journal.reader import CATCH_UP_SECONDS, Reader
from vv_exporter.journal.routine import is_routine
from vv_exporter.metrics.exporter import EVENTS, EVENTS_REJECTED
from vv_exporter.metrics.jobs import JOB_LAST_SUCCESS, JOB_RUNS
from vv_exporter.metrics.pipeline import STAGE_DURATION
from vv_exporter.settings import load
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store

INTERVAL = 30.0
ROUTINE: list[dict[str, object]] = [
    {"type": "writer", "lock": True},
    {"type": "heartbeat", "job": "j"},
    {"type": "stage.started", "run": "r", "stage": "s", "mono": 1},
    {"type": "stage.noted", "run": "r", "stage": "s", "video": "v"},
    {"type": "stage.finished", "run": "r", "stage": "s", "outcome": "success", "seconds": 1},
    {"type": "job.started", "run": "r", "job": "j", "mono": 1},
    {"type": "job.finished", "run": "r", "job": "j", "result": "success", "seconds": 1},
    {"type": "schema.validated", "schema": "s", "result": "valid"},
    {"type": "hmac", "operation": "sign", "result": "ok"},
    {"type": "script.started"},
    {"type": "script.ended"},
    {"type": "dvr.attempt", "dvr": "d", "result": "ok"},
    {"type": "dvr.frames", "dvr": "d", "frames": 3, "last": 1_700_000_000},
    {"type": "footage.recorded", "dvr": "d", "start": 1_699_999_900, "end": 1_699_999_960, "video": "v"},
    {"type": "supervisor.checked", "containers": {}},
]
NOT_ROUTINE: list[dict[str, object]] = [
    {"type": "stage.finished", "run": "r", "stage": "s", "outcome": "failure", "seconds": 1},
    {"type": "job.finished", "run": "r", "job": "j", "result": "failure", "seconds": 1},
    {"type": "job.skipped", "job": "j"},
    {"type": "alert", "id": "1", "level": "INFO", "title": "t"},
    {"type": "alert", "id": "1", "level": "CRITICAL", "title": "t"},
    {"type": "drill", "id": "1"},
    {"type": "schema.validated", "schema": "s", "result": "invalid"},
    {"type": "hmac", "operation": "verify", "result": "failed"},
    {"type": "chain.outside", "chain": "c", "reason": "r"},
    {"type": "exception", "exception": "OSError", "error": "e"},
    {"type": "dvr.attempt", "dvr": "d", "result": "timeout"},
    {"type": "dvr.held_back", "dvr": "d", "error": "e"},
    {"type": "dvr.ended", "dvr": "d"},
    {"type": "dvr.login", "dvr": "d"},
    {"type": "storage.accepted"},
    {"type": "video.exhausted", "stage": "s", "attempts": 3, "video": "v", "error": "e"},
    {"type": "video.quarantined", "reason": "r", "path": "p", "video": "v", "error": "e"},
    {"type": "container.restarting", "name": "n", "container": "c", "attempt": "a"},
    {"type": "container.restarted", "name": "n", "attempt": "a", "result": "ok"},
    {"type": "container.gave_up", "name": "n", "restarts": 5},
    {"type": "container.resumed", "name": "n"},
    {"type": "container.forgotten", "name": "n"},
    {"type": "supervisor.retired"},
    {"type": "dropped", "count": 3},
]


def line(fields: dict[str, object]) -> bytes:
    return json.dumps({"v": 1, "ts": 1_700_000_000.0, **fields}).encode() + b"\n"


def name_of(fields: dict[str, object]) -> str:
    return " ".join(str(fields[key]) for key in ("type", "outcome", "result", "level") if key in fields)


def waiting(journal: Journal, interval: float = INTERVAL) -> Journal:
    """A reader with which routine waits for its commit."""
    journal.reader = Reader(
        journal.directory,
        journal.store,
        discover(),
        journal.settings,
        journal.clock,
        journal.clock,
        commit_interval=interval,
    )
    return journal


@pytest.fixture
def lazy(journal: Journal) -> Iterator[Journal]:
    yield waiting(journal)
    journal.reader._uncommitted.forget()


def on_disk(journal: Journal, type_: str) -> float:
    """How many events of a type the database has: what a kill would leave."""
    with sqlite3.connect(journal.state) as connection:
        found = connection.execute(
            "SELECT value FROM series WHERE metric = ? AND labels = ?", (EVENTS.name, json.dumps([type_]))
        ).fetchone()
    return float(found[0]) if found else 0.0


def test_each_type_of_event_is_said_to_be_routine_or_not() -> None:
    examples = [decode(line(one)[:-1]) for one in (*ROUTINE, *NOT_ROUTINE)]

    assert {type(one) for one in examples} == set(typing.get_args(AnyEvent))
    assert [is_routine(one) for one in examples] == [True] * len(ROUTINE) + [False] * len(NOT_ROUTINE)


def test_what_others_let_wait_is_committed_with_the_next_commit_or_after_a_while(lazy: Journal) -> None:
    def let_wait() -> None:
        with lazy.store.transaction() as tx:
            tx.may_wait = True
            tx.inc(EVENTS, ("alert",))

    let_wait()
    for _ in range(8):
        lazy.read()
        lazy.clock.advance(10)
    assert on_disk(lazy, "alert") == 0

    lazy.clock.advance(uncommitted.MAX_SECONDS_OF_OTHERS)
    lazy.read()
    assert on_disk(lazy, "alert") == 1

    let_wait()
    with lazy.store.transaction() as tx:
        tx.inc(EVENTS, ("other",))
    assert on_disk(lazy, "alert") == 2


def test_routine_waits_no_longer_for_what_others_let_wait(lazy: Journal) -> None:
    with lazy.store.transaction() as tx:
        tx.may_wait = True
        tx.inc(EVENTS, ("alert",))
    lazy.read()
    lazy.clock.advance(20)
    writer = lazy.writer()
    writer.raw(line(ROUTINE[1]))
    lazy.read()
    lazy.clock.advance(INTERVAL - 2)  # to read takes a second
    lazy.read()
    assert on_disk(lazy, "heartbeat") == 0

    lazy.clock.advance(1)
    lazy.read()
    assert (on_disk(lazy, "heartbeat"), on_disk(lazy, "alert")) == (1, 1)


@pytest.mark.parametrize("event", ROUTINE, ids=name_of)
def test_routine_is_shown_at_once_and_on_the_disk_after_the_interval(lazy: Journal, event: dict[str, object]) -> None:
    type_ = str(event["type"])
    writer = lazy.writer()
    writer.raw(line(event))
    lazy.read()
    shown = lazy.value(EVENTS, type_)
    assert shown == (2 if type_ == "writer" else 1)
    assert on_disk(lazy, type_) == 0

    lazy.clock.advance(INTERVAL - 2)
    lazy.read()
    assert on_disk(lazy, type_) == 0
    lazy.clock.advance(1)
    lazy.read()
    assert on_disk(lazy, type_) == shown
    writer.close()


@pytest.mark.parametrize("event", NOT_ROUTINE, ids=name_of)
def test_all_else_is_on_the_disk_at_once_and_with_it_what_was_counted_before(
    lazy: Journal, event: dict[str, object]
) -> None:
    writer = lazy.writer()
    writer.raw(beat())
    lazy.read()
    assert on_disk(lazy, "heartbeat") == 0
    writer.raw(line(event))
    lazy.read()

    assert on_disk(lazy, str(event["type"])) == 1
    assert on_disk(lazy, "heartbeat") == 1


@pytest.mark.parametrize("bad", [b"no JSON\n", line({"type": "unheard-of"}), line({"type": "heartbeat"})])
def test_a_line_that_is_refused_is_on_the_disk_at_once(lazy: Journal, bad: bytes) -> None:
    lazy.writer().raw(beat() + bad)
    lazy.read()

    assert sum(lazy.values(EVENTS_REJECTED).values()) == 1
    assert on_disk(lazy, "heartbeat") == 1


def test_a_crash_is_on_the_disk_at_once(lazy: Journal) -> None:
    writer = lazy.writer()
    writer.raw(line(ROUTINE[2]))
    lazy.read()
    assert on_disk(lazy, "stage.started") == 0
    writer.close()
    lazy.read()

    assert lazy.count(STAGE_DURATION, "s", "crashed") == 1
    assert on_disk(lazy, "stage.started") == 1
    assert lazy.names() == []


def test_a_file_is_kept_and_locked_until_what_it_holds_is_committed(lazy: Journal) -> None:
    writer = lazy.writer()
    writer.raw(beat())
    writer.close()
    for _ in range(5):
        lazy.read()
        assert lazy.value(EVENTS, "heartbeat") == 1
        assert lazy.names() == ["w.0.jsonl"]
    with (lazy.directory / "w.0.jsonl").open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lazy.clock.advance(INTERVAL)
    lazy.read()

    assert lazy.names() == []
    assert lazy.value(EVENTS, "heartbeat") == 1


def test_whoever_commits_commits_what_waits_as_well(lazy: Journal) -> None:
    writer = lazy.writer()
    writer.raw(beat())
    writer.close()
    lazy.read()
    with lazy.store.transaction() as tx:
        tx.inc(JOB_RUNS, ("other", "success"))
    assert on_disk(lazy, "heartbeat") == 1
    lazy.read()

    assert lazy.names() == []
    assert lazy.value(EVENTS, "heartbeat") == 1


@pytest.mark.parametrize(("bound", "value"), [("MAX_BYTES", 500), ("MAX_FILES", 3)])
def test_what_waits_is_bounded(lazy: Journal, monkeypatch: pytest.MonkeyPatch, bound: str, value: int) -> None:
    monkeypatch.setattr(uncommitted, bound, value)
    for number in range(10):
        writer = lazy.writer(f"w{number}")
        writer.raw(beat())
        writer.close()
        lazy.read()
        assert len(lazy.names()) <= 5

    assert lazy.value(EVENTS, "heartbeat") == 10
    assert on_disk(lazy, "heartbeat") >= 6


def test_behind_a_backlog_nothing_waits(lazy: Journal) -> None:
    padded = beat(note="x" * 800)
    many = 2 * BATCH_BYTES // len(padded)
    (lazy.directory / "w.0.jsonl").write_bytes(padded * many)
    lazy.clock.advance(1)
    assert lazy.reader.round()

    assert lazy.value(EVENTS, "heartbeat") == on_disk(lazy, "heartbeat") > 0


def test_on_a_full_disk_no_more_is_counted_than_before_and_all_when_there_is_room(
    lazy: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = lazy.writer()
    writer.raw(beat())
    lazy.read()
    with monkeypatch.context() as patch:
        patch.setattr(
            "vv_exporter.state.changedrows.ChangedRows.write", failing(sqlite3.OperationalError("disk is full"))
        )
        lazy.clock.advance(INTERVAL)
        for _ in range(3):
            writer.raw(beat())
            with pytest.raises(StoreError):
                lazy.read()
        assert lazy.value(EVENTS, "heartbeat") == 1
        assert lazy.store.unwritable
    lazy.read()
    assert lazy.value(EVENTS, "heartbeat") == 4
    lazy.clock.advance(INTERVAL)
    lazy.read()

    assert on_disk(lazy, "heartbeat") == 4
    assert not lazy.store.unwritable
    writer.close()


def failing(error: Exception) -> Callable[..., None]:
    def write(*_: object) -> None:
        raise error

    return write


def test_a_transaction_that_is_refused_costs_nothing_that_waited(lazy: Journal) -> None:
    lazy.writer().raw(beat())
    lazy.read()
    with pytest.raises(StoreError), lazy.store.transaction() as tx:
        tx.delete(PROGRESS, "w.0.jsonl")
        tx.history.append(("odd", 0.0, None))  # type: ignore[arg-type]
    assert lazy.value(EVENTS, "heartbeat") == on_disk(lazy, "heartbeat") == 1
    with lazy.store.transaction() as tx:
        tx.inc(JOB_RUNS, ("other", "success"))

    assert on_disk(lazy, "heartbeat") == 1


def test_a_row_that_is_refused_while_it_waits_costs_itself_only(lazy: Journal) -> None:
    with sqlite3.connect(lazy.state) as connection:
        connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON series WHEN NEW.labels LIKE '%bad%' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    lazy.writer().raw(beat() + line({"type": "heartbeat", "job": "bad"}))
    lazy.read()
    lazy.clock.advance(INTERVAL)
    lazy.read()

    assert on_disk(lazy, "heartbeat") == 2
    assert not lazy.store.waiting


def test_the_end_commits(lazy: Journal) -> None:
    writer = lazy.writer()
    writer.raw(beat())
    writer.close()
    lazy.reader.start()
    wait_until(lambda: lazy.value(EVENTS, "heartbeat") == 1, 60, what="the heartbeat")
    lazy.reader.wait_until_caught_up(60)
    assert on_disk(lazy, "heartbeat") == 0
    lazy.reader.stop()

    assert on_disk(lazy, "heartbeat") == 1
    assert lazy.names() == []


def test_closing_the_store_commits(journal: Journal) -> None:
    with journal.store.transaction() as tx:
        tx.inc(JOB_RUNS, ("j", "success"))
        tx.may_wait = True
    assert journal.store.waiting
    journal.restart()

    assert journal.value(JOB_RUNS, "j", "success") == 1


BEATS: list[dict[str, object]] = [{"type": "heartbeat", "job": "j"}] * 2
KILLED = {"w": [*BEATS, ROUTINE[2], ROUTINE[4]], "v": [*BEATS, ROUTINE[4], ROUTINE[6]]}


def test_killed_at_any_system_call_between_fold_and_commit_each_event_counts_once(tmp_path: Path) -> None:
    settings = load({"VV_STATE_DIR": str(tmp_path), "VV_CONFIG": ""})
    directory, state = tmp_path / "journal", tmp_path / "state.db"

    def opened() -> Journal:
        clock = Clock()
        store = Store(state, clock)
        made = Journal(directory, state, clock, settings, store, None)  # type: ignore[arg-type]
        return waiting(made)

    def fill() -> None:
        for path in tmp_path.glob("state.db*"):
            path.unlink()
        directory.mkdir(exist_ok=True)
        for writer, events in KILLED.items():
            (directory / f"{writer}.0.jsonl").write_bytes(
                line({"type": "writer", "lock": True}) + b"".join(map(line, events))
            )

    def work() -> None:
        journal = opened()
        journal.read()  # folds
        assert journal.store.waiting
        journal.clock.advance(INTERVAL)
        journal.read()  # commits, and deletes

    fill()
    kills = kept = 0
    for _ in killed_at_each_call(work):
        kills += 1
        kept += (directory / "w.0.jsonl").exists()
        journal = opened()
        for _ in range(3):
            journal.read()
            journal.clock.advance(INTERVAL)
        assert journal.value(EVENTS, "heartbeat") == 4
        assert journal.value(JOB_RUNS, "j", "success") == 5
        assert journal.value(EVENTS, "stage.finished") == 2
        assert journal.count(STAGE_DURATION, "s", "success") == 2
        assert journal.values(EVENTS_REJECTED) == {}
        assert journal.names() == []
        journal.store.close()
        fill()
    assert kills > kept > 20


def test_a_transaction_that_changes_nothing_is_not_written_and_leaves_waiting_what_waits(lazy: Journal) -> None:
    with lazy.store.transaction() as tx:
        tx.put(PROGRESS, "w.0.jsonl", Progress(offset=5))
        tx.set(JOB_LAST_SUCCESS, ("j",), 7.0)
    lazy.store.commit()
    with lazy.store.transaction() as tx:
        tx.inc(JOB_RUNS, ("j", "success"))
        tx.may_wait = True
    with lazy.store.transaction() as tx:
        tx.put(PROGRESS, "w.0.jsonl", Progress(offset=5))
        tx.set(JOB_LAST_SUCCESS, ("j",), 7.0)
        tx.remove(JOB_LAST_SUCCESS, ("k",))
        tx.delete(PROGRESS, "unheard-of")
    assert lazy.store.waiting
    with lazy.store.transaction() as tx:
        tx.put(PROGRESS, "w.0.jsonl", Progress(offset=6))

    assert not lazy.store.waiting


def test_what_waits_is_what_is_compared_with(lazy: Journal) -> None:
    """Set, and set back, before the commit."""
    for value, may_wait in ((1.0, False), (2.0, True), (1.0, True)):
        with lazy.store.transaction() as tx:
            tx.set(JOB_LAST_SUCCESS, ("j",), value)
            tx.may_wait = may_wait
    lazy.restart()

    assert lazy.value(JOB_LAST_SUCCESS, "j") == 1.0


def test_what_was_shown_before_a_kill_is_shown_after_it_on_a_disk_that_is_full_meanwhile(
    lazy: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        writer = lazy.writer(name)
        writer.raw(beat())
        writer.close()
    lazy.read()
    lazy.reader._uncommitted.forget()  # as a kill lets go of its locks, and of all that waits
    lazy.store._waiting = type(lazy.store._waiting)()
    lazy.restart()
    waiting(lazy)
    assert lazy.value(EVENTS, "heartbeat") is None
    with monkeypatch.context() as patch:
        patch.setattr(
            "vv_exporter.state.changedrows.ChangedRows.write", failing(sqlite3.OperationalError("disk is full"))
        )
        with pytest.raises(StoreError), lazy.store.transaction() as tx:
            tx.inc(JOB_RUNS, ("other", "success"))
        assert lazy.store.unwritable
        lazy.read()
        assert lazy.value(EVENTS, "heartbeat") == 2
        assert lazy.names() == ["a.0.jsonl", "b.0.jsonl"]
    lazy.clock.advance(INTERVAL)
    lazy.read()

    assert on_disk(lazy, "heartbeat") == lazy.value(EVENTS, "heartbeat") == 2
    assert lazy.names() == []


def test_scrapes_wait_for_the_journal_only_at_the_start(lazy: Journal) -> None:
    lazy.clock.advance(CATCH_UP_SECONDS)
    begun = time.monotonic()
    lazy.reader.wait_until_caught_up(3600)

    assert time.monotonic() - begun < 1800
    assert lazy.value(EVENTS, "heartbeat") is None  # nobody has read yet
