"""A history is searched by an index, which finds what is meant whatever it says; one that is there gets it."""

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import Clock
from tests.support.failing import fail_each_write
from tests.support.hostile import HOSTILE
from tests.support.killing import killed_at_each_call
from vv_exporter.metrics.exporter import EVENTS
from vv_exporter.state import database, searching
from vv_exporter.state.database import PAGE_BYTES, StoreError
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import HISTORY, Entry, Filter, read

EARLIER_SCHEMA = """
CREATE TABLE series (metric TEXT, labels TEXT, value REAL NOT NULL, created REAL NOT NULL, buckets TEXT,
                     PRIMARY KEY (metric, labels)) WITHOUT ROWID;
CREATE TABLE document (kind TEXT, key TEXT, body BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE history (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, time REAL NOT NULL, body BLOB NOT NULL);
CREATE INDEX history_by_time ON history (kind, time);
PRAGMA user_version = 1;
"""

SOME_TEXT = st.one_of(
    st.sampled_from(["scan_video.py", "Scan", "câmera", "CÂMERA", "100%", "a_b", "aXb", "", "\x00", '"', "é"]),
    st.sampled_from([*HOSTILE.values()]),
    st.text(max_size=6),
)
ENTRIES = st.builds(
    Entry,
    kind=st.just("note"),
    title=st.just("title"),
    severity=st.sampled_from(["info", "warning", "error", "critical", "odd"]),
    component=SOME_TEXT,
    video=SOME_TEXT,
    video_sha256=SOME_TEXT,
    alert_id=SOME_TEXT,
)
FILTERS = st.builds(
    Filter,
    since=st.just(0.0),
    until=st.just(0.0),
    component=SOME_TEXT,
    severity=st.sampled_from(["", "info", "warning", "error", "critical"]),
    video=SOME_TEXT,
    alert=SOME_TEXT,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.db", Clock())
    yield store
    store.close()


def keep(store: Store, *entries: Entry, begin: float = 0.0) -> None:
    with store.transaction() as tx:
        for number, entry in enumerate(entries):
            tx.append(HISTORY, begin + number, msgspec.to_builtins(entry))


def note(component: str = "scan_video.py", **fields: str) -> Entry:
    return Entry("note", fields.pop("title", "title"), component=component, **fields)


def bodies_read(store: Store, wanted: Filter, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many entries are read and decoded to answer."""
    counts: list[int] = []
    decoded = store.decoded

    def counting(rows: list[tuple[int, float, bytes]], decode: Callable[[bytes], Any]) -> Any:
        counts.append(len(rows))
        return decoded(rows, decode)

    with monkeypatch.context() as patch:
        patch.setattr(store, "decoded", counting)
        read(store, wanted)
    return sum(counts)


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(component="rare"),
        Filter(component="RARE.py"),
        Filter(component="câmera"),
        Filter(component="nobody"),
        Filter(severity="critical"),
        Filter(component="rare", severity="error"),
        Filter(video="needle"),
        Filter(alert="f00d"),
    ],
    ids=str,
)
def test_what_is_rare_is_found_without_reading_what_is_not(
    store: Store, monkeypatch: pytest.MonkeyPatch, wanted: Filter
) -> None:
    rare = [
        note("rare.py", severity="error", alert_id="f00d-1"),
        note("CÂMERA 7", severity="critical", video="/v/needle.mp4"),
    ]
    keep(store, *rare)
    keep(store, *(note(severity="warning", video=f"/v/{n}.mp4") for n in range(12_000)), begin=10)

    expected = [one for one in reversed(rare) if wanted.admits(one)]
    assert [one.component for one in read(store, wanted).moments] == [one.component for one in expected]
    assert bodies_read(store, wanted, monkeypatch) <= 2


@pytest.mark.parametrize("wanted", [Filter(component="rare"), Filter(severity="critical")], ids=str)
def test_it_is_the_index_that_is_searched(store: Store, wanted: Filter) -> None:
    keep(store, *(note() for _ in range(6_000)))
    plans: list[str] = []
    store._connection.set_trace_callback(lambda sql: plans.append(sql) if sql.startswith("SELECT") else None)
    read(store, wanted)
    store._connection.set_trace_callback(None)

    assert plans
    for sql in plans:
        explained = store._connection.execute(f"EXPLAIN QUERY PLAN {sql.replace('Inf', '9e999')}").fetchall()
        (plan,) = (text.decode() for *_, text in explained)  # one step: nothing is sorted
        assert f"INDEX {searching.INDEX_NAME} (kind=? AND time>? AND time<?)" in plan


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("shared") / "state.db", Clock())
    yield store
    store.close()


@given(entries=st.lists(ENTRIES, max_size=12), wanted=FILTERS)
def test_it_finds_what_the_filter_admits_and_nothing_else(
    shared_store: Store, entries: list[Entry], wanted: Filter
) -> None:
    shared_store.forget_history(before=1e12)
    keep(shared_store, *entries)

    found = [(one.time, one.component) for one in read(shared_store, wanted).moments]

    admitted = [(float(time), one.component) for time, one in enumerate(entries) if wanted.admits(one)]
    assert found == admitted[::-1]


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[1", b'{"component": 7}', 5, 0.5, b"{}" * 9, b"[" * 5000])
def test_a_body_that_cannot_be_read_hinders_no_search(store: Store, body: Any) -> None:
    keep(store, note("rare.py"))
    store._connection.execute("INSERT INTO history (kind, time, body) VALUES (?, 5, ?)", (HISTORY, body))
    store._connection.commit()

    assert [one.component for one in read(store, Filter(component="rare")).moments] == ["rare.py"]
    assert [one.component for one in read(store, Filter()).moments] == ["rare.py"]


def earlier_database(path: Path, entries: int = 40, settings: str = "") -> None:
    """What an earlier version left, with room in it that is not used."""
    connection = sqlite3.connect(path)
    connection.executescript(settings)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(EARLIER_SCHEMA)
    rows = [(HISTORY, n, msgspec.json.encode(note(f"c{n}.py", details="x" * 200))) for n in range(3 * entries)]
    connection.executemany("INSERT INTO history (kind, time, body) VALUES (?, ?, ?)", rows)
    connection.execute("DELETE FROM history WHERE time >= ?", (entries,))
    connection.execute("INSERT INTO series VALUES ('vv_events_total', '[\"alert\"]', 7, 1, NULL)")
    connection.commit()
    connection.close()


def indexes(path: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        return {name for (name,) in rows}


def check_upgraded(path: Path, entries: int = 40) -> None:
    store = Store(path, Clock())
    try:
        assert store.value(EVENTS, ("alert",)) == 7
        assert [one.component for one in read(store, Filter(), 10_000).moments] == [
            f"c{n}.py" for n in reversed(range(entries))
        ]
        assert [one.component for one in read(store, Filter(component="C17.")).moments] == ["c17.py"]
    finally:
        store.close()
    assert indexes(path) == {searching.INDEX_NAME}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert connection.execute("PRAGMA page_size").fetchone() == (PAGE_BYTES,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_the_database_of_an_earlier_version_is_indexed_and_can_shrink(tmp_path: Path) -> None:
    earlier_database(tmp_path / "state.db", entries=8_000)

    check_upgraded(tmp_path / "state.db", entries=8_000)


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_the_database_of_an_earlier_version_that_could_shrink_gets_small_pages(tmp_path: Path, page_size: int) -> None:
    settings = f"PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = INCREMENTAL"
    earlier_database(tmp_path / "state.db", settings=settings)

    check_upgraded(tmp_path / "state.db")


@pytest.mark.parametrize("reason", ["large", "no room"])
def test_one_that_cannot_be_rewritten_serves_as_it_is(
    tmp_path: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.db"
    earlier_database(path, settings="PRAGMA auto_vacuum = INCREMENTAL")
    if reason == "large":
        monkeypatch.setattr(database, "_LARGEST_REPAGED_BYTES", 10_000)
    else:
        full = os.statvfs_result((4096, 4096, 10**6, 65, 65, 10**6, 10**6, 10**6, 0, 255))
        monkeypatch.setattr(database.os, "statvfs", lambda _: full)

    store = Store(path, Clock())
    assert store._connection.execute("PRAGMA page_size").fetchone() == (4096,)
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == (b"wal",)
    with store.transaction() as tx:
        tx.inc(EVENTS, ("alert",))
    store.close()
    store = Store(path, Clock())
    assert store.value(EVENTS, ("alert",)) == 8
    store.close()


def test_one_that_somebody_else_reads_serves_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    earlier_database(path, settings="PRAGMA auto_vacuum = INCREMENTAL")
    with contextlib.closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM series").fetchone()
        store = Store(path, Clock())
        assert store.value(EVENTS, ("alert",)) == 7
        with store.transaction() as tx:
            tx.inc(EVENTS, ("alert",))
        store.close()
    store = Store(path, Clock())
    assert store.value(EVENTS, ("alert",)) == 8
    assert store._connection.execute("PRAGMA page_size").fetchone() == (PAGE_BYTES,)
    store.close()


def test_what_an_earlier_version_changed_meanwhile_is_found(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    earlier_database(path)
    Store(path, Clock()).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:  # it asks for tables and columns, not for indexes
        late = msgspec.json.encode(note("late.py"))
        connection.execute("INSERT INTO history (kind, time, body) VALUES (?, 99, ?)", (HISTORY, late))
        connection.execute("UPDATE history SET time = time + 1 WHERE time < 10")
        connection.execute("DELETE FROM history WHERE time = 20")
        connection.commit()
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)

    store = Store(path, Clock())
    assert [one.component for one in read(store, Filter(component="late")).moments] == ["late.py"]
    assert [one.time for one in read(store, Filter(component="c9.")).moments] == [10]
    assert read(store, Filter(component="c20.")).moments == []
    store.close()


@pytest.mark.exhaustive
def test_a_kill_while_it_is_brought_up_to_date_loses_nothing(tmp_path: Path) -> None:
    before, path = tmp_path / "before.db", tmp_path / "state.db"
    earlier_database(before, entries=18)

    def begin() -> None:
        for part in ("", "-wal", "-shm", "-journal"):
            Path(f"{path}{part}").unlink(missing_ok=True)
        shutil.copy(before, path)

    begin()
    kills = 0
    for _ in killed_at_each_call(lambda: Store(path, Clock()).close()):
        check_upgraded(path, entries=18)
        begin()
        kills += 1

    assert kills > 50


@pytest.mark.exhaustive
def test_a_disk_that_becomes_full_while_it_is_brought_up_to_date_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    def prepare() -> Callable[[Callable[[], None]], None]:
        for part in ("", "-wal", "-shm", "-journal"):
            Path(f"{path}{part}").unlink(missing_ok=True)
        earlier_database(path)

        def work(end_outage: Callable[[], None]) -> None:
            with contextlib.suppress(StoreError):
                store = Store(path, Clock())
                assert [one.component for one in read(store, Filter(component="C17.")).moments] == ["c17.py"]
                store.close()
            end_outage()
            check_upgraded(path)

        return work

    assert fail_each_write(prepare, errno.ENOSPC) > 10
