"""Behind a backlog nobody waits: alerts come first, each writer has its turn, all of it takes linear time."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import Clock
from tests.support.killing import killed_at_each_call
from tests.unit.journal.conftest import Journal, make_reader
from tests.unit.journal.test_reader import beat
from vv_exporter.journal import batch, files, lookahead, plan, reader
from vv_exporter.journal.batch import BATCH_BYTES
from vv_exporter.journal.events import MAX_LINE
from vv_exporter.journal.files import Entry
from vv_exporter.journal.lookahead import MAX_AHEAD
from vv_exporter.journal.progress import PROGRESS
from vv_exporter.journal.turns import Turns
from vv_exporter.metrics.alerts import ALERT_EVENTS
from vv_exporter.metrics.exporter import EVENTS, EVENTS_REJECTED
from vv_exporter.metrics.jobs import JOB_RUNS
from vv_exporter.metrics.self_monitor import LAST_CHECK
from vv_exporter.settings import load
from vv_exporter.state.database import ContentError, StoreError
from vv_exporter.state.openalerts import ALERTS
from vv_exporter.state.store import Store

PADDED = beat(note="x" * 800)
MANY = BATCH_BYTES // len(PADDED)  # lines that fill a batch


def alert(level: str = "CRITICAL", title: str = "fire", **fields: object) -> bytes:
    event = {"v": 1, "type": "alert", "ts": 1_700_000_000.0, "id": title, "level": level, "title": title, **fields}
    return json.dumps(event).encode() + b"\n"


def critical(journal: Journal) -> float | None:
    return journal.value(ALERT_EVENTS, "test.py", "critical")


def rounds(journal: Journal) -> Iterator[int]:
    """Read round by round."""
    journal.clock.advance(1)
    number = 1
    while journal.reader.round():
        yield number
        number += 1
    yield number


@pytest.fixture
def always_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search also the smallest backlog."""
    monkeypatch.setattr(plan, "BATCH_BYTES", 0)


@pytest.mark.parametrize("where", ["same file", "another file", "file of the same writer"])
def test_a_critical_behind_a_backlog_is_counted_in_the_first_round(journal: Journal, where: str) -> None:
    writer = journal.writer("a")
    for _ in range(6):
        writer.raw(PADDED * MANY)
    last = {"same file": lambda: writer, "another file": lambda: journal.writer("b")}
    last.get(where, lambda: journal.writer("a", 1))().raw(alert())
    turns = rounds(journal)
    next(turns)

    assert critical(journal) == 1
    assert (journal.value(EVENTS, "heartbeat") or 0) <= MANY
    assert len(list(turns)) >= 4
    assert critical(journal) == 1
    assert journal.value(EVENTS, "heartbeat") == 6 * MANY
    assert journal.value(EVENTS, "alert") == 1
    assert len(journal.store.docs(ALERTS)) == 1
    assert all(not known.ahead for known in journal.store.docs(PROGRESS).values())


def test_a_critical_in_the_newest_of_very_many_files_is_counted_in_the_first_round(journal: Journal) -> None:
    for number in range(2000):
        (journal.directory / f"w{number:04}.jsonl").write_bytes(beat())
        os.utime(journal.directory / f"w{number:04}.jsonl", (number, number))
    journal.writer("z").raw(alert())
    turns = rounds(journal)
    next(turns)

    assert critical(journal) == 1
    assert (journal.value(EVENTS, "heartbeat") or 0) < 500
    assert len(list(turns)) < 20
    assert journal.value(EVENTS, "heartbeat") == 2000
    assert journal.value(EVENTS, "alert") == 1


@pytest.mark.parametrize("where", [0, 15, 29])
def test_a_critical_is_counted_in_the_first_round_in_whichever_file_it_waits(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, where: int
) -> None:
    """What waits is searched for longer than a step of the search before anything is counted in its turn."""
    monkeypatch.setattr(lookahead, "SEARCH_BYTES", 1)
    for number in range(30):
        file = journal.directory / f"w{number:04}.jsonl"
        file.write_bytes(PADDED * (MANY // 10) + (alert() if number == where else b""))
        os.utime(file, (number, number))
    turns = rounds(journal)
    next(turns)

    assert len(journal.store.docs(ALERTS)) == 1
    list(turns)
    assert journal.value(EVENTS, "alert") == 1
    assert journal.value(EVENTS, "heartbeat") == 30 * (MANY // 10)


def test_a_search_that_takes_long_lets_something_be_counted_in_its_turn(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookahead, "SEARCH_BYTES", 1)
    search = lookahead.Lookahead.search

    def slow(self: lookahead.Lookahead) -> list[lookahead.Found]:
        journal.clock.advance(reader.SEARCH_SECONDS)
        return search(self)

    monkeypatch.setattr(lookahead.Lookahead, "search", slow)
    for number in range(30):
        (journal.directory / f"w{number:04}.jsonl").write_bytes(PADDED * (MANY // 10))
    turns = rounds(journal)
    next(turns)

    assert (journal.value(EVENTS, "heartbeat") or 0) > 0
    list(turns)
    assert journal.value(EVENTS, "heartbeat") == 30 * (MANY // 10)


@pytest.mark.parametrize("new", [True, False], ids=["new file", "file that waits"])
def test_an_alert_raised_while_a_backlog_is_read_is_counted_within_two_seconds(journal: Journal, new: bool) -> None:
    for number in range(1000):
        (journal.directory / f"w{number:04}.jsonl").write_bytes(beat())
    writer = journal.writer("x")
    turns = rounds(journal)
    next(turns)
    (journal.writer("z") if new else writer).raw(alert())
    journal.clock.advance(2)
    next(turns)

    assert critical(journal) == 1
    assert (journal.value(EVENTS, "heartbeat") or 0) < 500


@pytest.mark.parametrize("flood", ["INFO", "WARNING", "ERROR"])
def test_lesser_alerts_in_any_number_do_not_stand_before_a_critical(journal: Journal, flood: str) -> None:
    writer = journal.writer("a")
    for number in range(12):
        writer.raw(b"".join(alert(flood, f"{number}.{each}", details="d" * 1000) for each in range(500)))
    writer.raw(alert())
    turns = rounds(journal)
    next(turns)

    assert critical(journal) == 1
    list(turns)
    assert journal.value(ALERT_EVENTS, "test.py", flood.lower()) == 6000
    assert critical(journal) == 1


def test_so_many_criticals_of_a_file_are_counted_ahead_the_rest_in_turn(journal: Journal, always_ahead: None) -> None:
    journal.writer("a").raw(b"".join(alert(title=str(number)) for number in range(3 * MAX_AHEAD["CRITICAL"])))
    list(rounds(journal))

    assert critical(journal) == 3 * MAX_AHEAD["CRITICAL"]
    assert journal.value(EVENTS, "alert") == 3 * MAX_AHEAD["CRITICAL"]


def test_lesser_alerts_in_very_many_files_do_not_stand_before_a_critical(journal: Journal) -> None:
    journal.writer("a").raw(alert())
    os.utime(journal.directory / "a.0.jsonl", (1, 1))  # the oldest, searched last
    for number in range(1200):
        (journal.directory / f"b{number:04}.jsonl").write_bytes(
            alert("ERROR", str(number)) + alert("WARNING", str(number))
        )
    turns = rounds(journal)
    next(turns)

    assert critical(journal) == 1
    list(turns)
    assert journal.values(ALERT_EVENTS) == {("test.py", "critical"): 1, ("", "error"): 1200, ("", "warning"): 1200}


def test_alerts_that_are_none_are_not_taken_ahead(journal: Journal, always_ahead: None) -> None:
    writer = journal.writer("a")
    writer.raw(beat(job="CRITICAL", note="alert"))
    writer.raw(alert()[:-1] + b",\n")
    writer.raw(alert(context={"a": 5}))
    writer.raw(b"x" * MAX_LINE + alert())
    writer.raw(b"x" * (MAX_LINE - 1) + b"\n" + alert(title="whole"))
    writer.raw(alert()[:-1])
    list(rounds(journal))

    assert critical(journal) == 1
    assert journal.values(EVENTS_REJECTED) == {("syntax",): 2, ("schema",): 1, ("oversize",): 1}


def test_an_alert_of_a_file_that_is_half_counted_has_its_component(journal: Journal, always_ahead: None) -> None:
    writer = journal.writer("a", component="scan.py")
    writer.raw(beat())
    journal.read()
    writer.raw(beat() + alert() + alert(component="other.py"))
    journal.read()

    assert set(journal.values(ALERT_EVENTS)) == {("scan.py", "critical"), ("other.py", "critical")}


@pytest.mark.exhaustive
def test_each_is_counted_once_whatever_system_call_the_exporter_is_killed_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "BATCH_BYTES", 0)
    monkeypatch.setattr(batch, "BATCH_FILES", 1)
    settings = load({"VV_STATE_DIR": str(tmp_path), "VV_CONFIG": ""})
    directory, state = tmp_path / "journal", tmp_path / "state.db"

    def fill() -> None:
        for path in tmp_path.glob("state.db*"):
            path.unlink()
        directory.mkdir(exist_ok=True)
        for name in ("a", "b"):
            content = beat() + alert(title=f"{name}1") + alert("ERROR", f"{name}2") + beat()
            (directory / f"{name}.0.jsonl").write_bytes(content)
            os.utime(directory / f"{name}.0.jsonl", (1, 1))

    def read() -> Journal:
        clock = Clock()
        store = Store(state, clock)
        journal = Journal(directory, state, clock, settings, store, make_reader(directory, store, settings, clock))
        journal.read()
        return journal

    fill()
    kills = 0
    for _ in killed_at_each_call(read):
        kills += 1
        journal = read()
        assert journal.value(EVENTS, "heartbeat") == 4
        assert journal.value(EVENTS, "alert") == 4
        assert journal.values(ALERT_EVENTS) == {("", "critical"): 2, ("", "error"): 2}
        assert {one.count for one in journal.store.docs(ALERTS).values()} == {1}
        assert journal.values(EVENTS_REJECTED) == {}
        assert journal.names() == []
        journal.store.close()
        fill()
    assert kills > 50


@pytest.mark.parametrize(
    "error", [StoreError("disk full"), ContentError("a row is too large")], ids=["disk", "content"]
)
def test_an_alert_that_cannot_be_counted_ahead_is_counted_in_its_turn(
    journal: Journal, always_ahead: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    journal.writer("a").raw(beat() + alert() + beat())
    write = journal.store._write_transaction
    failing = Mock(side_effect=[error, *[None] * 99])
    monkeypatch.setattr(journal.store, "_write_transaction", lambda changes: failing() or write(changes))
    try:
        journal.read()
    except StoreError:
        journal.read()

    assert critical(journal) == 1
    assert journal.value(EVENTS, "heartbeat") == 2
    assert journal.values(EVENTS_REJECTED) == {}


def test_a_huge_file_does_not_starve_the_others(journal: Journal) -> None:
    huge = journal.writer("a")
    for _ in range(10):
        huge.raw(PADDED * MANY)
    for name in ("b", "c", "d"):
        journal.writer(name).event("heartbeat", job=name)
    turns = rounds(journal)
    next(turns)

    assert {labels[0] for labels, one in journal.store.series(JOB_RUNS) if one.value} == {"nightly", "b", "c", "d"}


@pytest.mark.parametrize("begins", [b"", beat(), beat() + b'{"v":1,'], ids=["empty", "line", "half"])
@pytest.mark.parametrize("ends", [b"", b"rest\n" + beat()], ids=["hole", "line"])
def test_a_sparse_file_of_a_terabyte_is_passed_over_in_a_few_rounds(
    journal: Journal, begins: bytes, ends: bytes
) -> None:
    with (journal.directory / "a.0.jsonl").open("wb") as file:
        file.write(begins)
        file.truncate(1 << 40)
        file.seek(1 << 40)
        file.write(ends)
    os.utime(journal.directory / "a.0.jsonl", (1, 1))
    journal.writer("b").raw(alert())
    taken = len(list(rounds(journal)))

    assert taken < 20
    assert journal.value(EVENTS, "heartbeat") == (bool(begins) + bool(ends) or None)
    assert critical(journal) == 1
    assert journal.values(EVENTS_REJECTED) == {("oversize",): 1}
    assert journal.names() == ["b.0.jsonl"]


def test_a_file_of_nul_bytes_is_one_line_that_is_too_long(journal: Journal) -> None:
    (journal.directory / "a.0.jsonl").write_bytes(b"\0" * (5 * MAX_LINE) + b"\n" + beat())
    os.utime(journal.directory / "a.0.jsonl", (1, 1))
    list(rounds(journal))

    assert journal.values(EVENTS_REJECTED) == {("oversize",): 1}
    assert journal.value(EVENTS, "heartbeat") == 1


def test_what_the_self_monitor_says_comes_before_the_backlog(journal: Journal) -> None:
    for number in range(1500):
        (journal.directory / f"a{number:04}.jsonl").write_bytes(beat())
    monitor = journal.writer("z")
    monitor.event("supervisor.checked", containers={"agent": {"gave_up": False}})
    monitor.event("container.gave_up", name="agent", restarts=5)
    turns = rounds(journal)
    next(turns)
    journal.clock.advance(1)  # the folder is looked at again
    next(turns)

    assert journal.value(LAST_CHECK) is not None
    assert journal.value(EVENTS, "container.gave_up") == 1
    assert (journal.value(EVENTS, "heartbeat") or 0) < 1500


def test_the_lag_is_the_age_of_the_oldest_event_that_waits(journal: Journal) -> None:
    old = journal.writer("a")
    old.raw(beat(ts=journal.clock.now - 500, note="x" * 800) * MANY * 3)
    journal.clock.advance(1)
    journal.reader.round()
    journal.reader.round()
    journal.clock.advance(2)
    fresh = journal.writer("b")
    fresh.raw(beat(ts=journal.clock.now))
    journal.reader.round()

    assert journal.reader.status.lag == pytest.approx(503)
    assert journal.reader.status.backlog


def test_the_lag_is_that_of_the_oldest_file_whatever_is_read_beside_it(journal: Journal) -> None:
    journal.writer("a").raw(beat(ts=journal.clock.now - 500, note="x" * 800) * MANY * 8)
    for turn in range(4):
        journal.writer(f"b{turn}").raw(beat(ts=journal.clock.now))
        journal.clock.advance(1)
        journal.reader.round()

    journal.clock.advance(1)
    journal.reader.round()
    assert journal.reader.status.lag == pytest.approx(505)


def test_the_lag_of_a_file_that_was_never_read_is_the_age_of_its_last_change(journal: Journal) -> None:
    for number in range(2000):
        path = journal.directory / f"a{number:04}.jsonl"
        path.write_bytes(beat())
        os.utime(path, (journal.clock.now - 4000 + number,) * 2)
    journal.clock.advance(1)
    journal.reader.round()

    assert journal.reader.status.lag == pytest.approx(4001)


def test_a_half_written_line_is_no_lag(journal: Journal) -> None:
    writer = journal.writer()
    writer.raw(beat(ts=journal.clock.now) + beat()[:10])
    journal.read()
    journal.clock.advance(3600)
    journal.read()

    assert journal.reader.status.lag == 0


def test_the_folder_is_not_looked_at_for_each_batch(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3000):
        (journal.directory / f"w{number:04}.jsonl").write_bytes(beat())
        os.utime(journal.directory / f"w{number:04}.jsonl", (1, 1))
    scan, listing = Mock(wraps=files.scan), Mock(wraps=files.names)
    monkeypatch.setattr(files, "scan", scan)
    monkeypatch.setattr(files, "names", listing)
    taken = len(list(rounds(journal)))

    assert taken < 20
    assert scan.call_count == 1
    assert listing.call_count == 0
    assert journal.value(EVENTS, "heartbeat") == 3000
    assert journal.names() == []


def test_many_live_writers_need_no_descriptor_each(journal: Journal) -> None:
    import resource

    writers = [journal.writer(f"w{number}") for number in range(300)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 10, hard))
    try:
        journal.read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert journal.reader.status.problem == ""
    assert journal.value(EVENTS, "writer") == 300
    for writer in writers:
        writer.close()


READ = """
import sys, time
from pathlib import Path
from vv_exporter.journal.folds import discover
from vv_exporter.journal.reader import Reader
from vv_exporter.metrics.alerts import ALERT_EVENTS
from vv_exporter.metrics.exporter import EVENTS
from vv_exporter.settings import load
from vv_exporter.state.store import Store
state = Path(sys.argv[1])
store = Store(state / "state.db", time.time)
settings = load({"VV_STATE_DIR": str(state), "VV_CONFIG": ""})
reader = Reader(state / "journal", store, discover(), settings, time.time, time.monotonic)
more = reader.round()
first = store.value(ALERT_EVENTS, ("", "critical"))
while more:
    more = reader.round()
peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1000
print(first, store.value(EVENTS, ("heartbeat",)), peak)
"""


def test_the_memory_for_a_backlog_is_bounded(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    for number in range(20):
        (journal / f"a.{number}.jsonl").write_bytes(PADDED * MANY)
    for number in range(3000):
        (journal / f"b{number}.0.jsonl").write_bytes(beat())
    with (journal / "a.19.jsonl").open("ab") as file:
        file.write(alert())
    child = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True, check=True)
    first, beats, megabytes = child.stdout.split()

    assert first == "1.0"
    assert float(beats) == 20 * MANY + 3000
    assert int(megabytes) < 100


SIZES = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1)


@given(SIZES, st.sets(st.sampled_from("abcdef")), st.data())
def test_each_writer_has_its_turn_and_the_files_of_a_writer_theirs(
    sizes: dict[str, list[int]], preferred: set[str], data: st.DataObject
) -> None:
    """Whenever the folder is looked at again in between."""
    left = {(writer, seq): size for writer, files in sizes.items() for seq, size in enumerate(files)}
    turns = Turns()
    order: list[tuple[str, int]] = []
    since: dict[str, int] = {}
    while left:
        if not turns or data.draw(st.booleans()):
            turns.plan([Entry(writer, seq, f"{writer}.{seq}", 1, 0.0) for writer, seq in sorted(left)], set())
        entry = turns.next()
        key = (entry.writer, entry.seq)
        assert key == min(key for key in left if key[0] == entry.writer)
        left[key] -= 1
        turns.took(more=left[key] > 0)
        if not left[key]:
            del left[key]
        order.append(key)
        waiting = {writer for writer, _ in left}
        since = {writer: 0 if writer == entry.writer else since.get(writer, 0) + 1 for writer in waiting}
        assert all(turn <= len(sizes) for turn in since.values()), order
    turns.plan([Entry(writer, 0, writer, 1, 0.0) for writer in sorted(sizes)], preferred)
    first = [turns.next().writer for _ in range(len(turns)) if not turns.took(more=True)]
    assert set(first) == set(sizes)


def test_the_search_is_bounded_in_each_round(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookahead, "SEARCH_PIECES", 3)
    monkeypatch.setattr(plan, "BATCH_BYTES", 0)
    for number in range(10):
        (journal.directory / f"w{number}.jsonl").write_bytes(beat())
    journal.clock.advance(1)
    journal.reader._plan.scan_folder()
    before = len(journal.reader._plan.lookahead)
    journal.reader._plan.lookahead.search()

    assert before - len(journal.reader._plan.lookahead) == 3
