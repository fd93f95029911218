"""What is deleted from the database is given back to the disk, in steps between which others write."""

import errno
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.failing import fail_each_write
from vv_exporter.exporter import HOUSEKEEPING_INTERVAL_SECONDS, SHRINKING_INTERVAL_SECONDS, Housekeeping
from vv_exporter.metrics.exporter import EVENTS
from vv_exporter.state import connection, timeline
from vv_exporter.state.database import PAGE_BYTES, StoreError
from vv_exporter.state.store import Store

BODY = {"details": os.urandom(700).hex()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path, Clock())
    yield store
    store.close()


def keep(store: Store, entries: int, kind: str = timeline.HISTORY) -> None:
    with store.transaction() as tx:
        for number in range(entries):
            tx.append(kind, tx.now - entries + number, BODY)


def on_disk(path: Path) -> int:
    return sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))


def count_changes(store: Store) -> Callable[[], list[int]]:
    """How many rows each SQL transaction changes from now on."""
    totals = [store._connection.total_changes]
    store._connection.set_trace_callback(
        lambda sql: totals.append(store._connection.total_changes) if sql == "COMMIT" else None
    )
    return lambda: [after - before for before, after in pairwise(totals)]


def test_after_much_was_deleted_the_database_is_small_again(store: Store, path: Path) -> None:
    keep(store, 20_000)
    large = on_disk(path)

    store.trim_history(timeline.HISTORY, 500, 10**9)
    steps = 1
    while store.shrink():
        steps += 1

    assert large > 30e6
    assert on_disk(path) < 10e6
    assert steps > 5
    assert len(store.history(timeline.HISTORY, limit=1000)) == 500
    assert store._connection.execute("PRAGMA integrity_check").fetchall() == [(b"ok",)]
    assert not store.shrink()


def test_each_step_of_shrinking_is_small(store: Store, path: Path) -> None:
    keep(store, 20_000)
    store.trim_history(timeline.HISTORY, 0, 10**9)
    sizes = [store._connection.execute("PRAGMA page_count").fetchone()[0]]
    while store.shrink():
        sizes += store._connection.execute("PRAGMA page_count").fetchone()

    steps = [before - after for before, after in pairwise(sizes)]
    assert 0 < min(steps) <= max(steps) <= (2 << 20) // PAGE_BYTES + 100


def test_what_a_database_keeps_ready_for_what_comes_is_left_to_it(store: Store, path: Path) -> None:
    keep(store, 3_000)
    store.trim_history(timeline.HISTORY, 1_000, 10**9)
    before = store._connection.execute("PRAGMA page_count").fetchone()

    assert not store.shrink()
    assert store._connection.execute("PRAGMA page_count").fetchone() == before


@pytest.mark.parametrize(
    "delete",
    [
        lambda store: store.trim_history(timeline.HISTORY, 100, 10**9),
        lambda store: store.trim_history(timeline.HISTORY, 10**9, 5000),
        lambda store: store.forget_history(before=1e12),
    ],
    ids=["rows", "bytes", "time"],
)
def test_however_much_is_deleted_others_can_write_between(store: Store, delete: Callable[[Store], int]) -> None:
    keep(store, 9_000)
    changes = count_changes(store)

    assert delete(store) > 8_800

    assert sum(changes()) > 8_800
    assert max(changes()) <= 2_000


def test_housekeeping_shrinks_it_and_then_rests(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MAX_ROWS", 100)
    keep(store, 20_000)
    housekeeping = Housekeeping(store, 1e6, Clock())
    assert housekeeping.interval() == HOUSEKEEPING_INTERVAL_SECONDS

    housekeeping.round()
    rounds = 1
    while housekeeping.interval() == SHRINKING_INTERVAL_SECONDS:
        housekeeping.round()
        rounds += 1

    assert housekeeping.interval() == HOUSEKEEPING_INTERVAL_SECONDS
    assert rounds > 5
    assert on_disk(path) < 10e6


def test_a_step_that_fails_is_not_tried_each_second(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    housekeeping = Housekeeping(store, 1.0, Clock())
    monkeypatch.setattr(store, "shrink", lambda: True)
    housekeeping.round()

    def fail() -> bool:
        raise StoreError("the disk is full")

    monkeypatch.setattr(store, "shrink", fail)
    with pytest.raises(StoreError):
        housekeeping.round()

    assert housekeeping.interval() == HOUSEKEEPING_INTERVAL_SECONDS


def test_a_disk_that_is_full_while_it_shrinks_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_UNUSED_BYTES", 0)
    numbers = iter(range(1000))

    def prepare() -> Callable[[Callable[[], None]], None]:
        path = tmp_path / f"{next(numbers)}.db"
        store = Store(path, Clock())
        keep(store, 120)
        store.trim_history(timeline.HISTORY, 50, 10**9)
        store.close()

        def work(end_outage: Callable[[], None]) -> None:
            try:
                store = Store(path, Clock())
                while store.shrink():
                    pass
            except StoreError:
                end_outage()
                store = Store(path, Clock())
            end_outage()
            with store.transaction() as tx:
                tx.inc(EVENTS, ("alert",))
            while store.shrink():
                pass
            assert len(store.history(timeline.HISTORY)) == 50
            assert store.value(EVENTS, ("alert",)) == 1
            assert store._connection.execute("PRAGMA integrity_check").fetchall() == [(b"ok",)]
            assert store._connection.execute("PRAGMA freelist_count").fetchone()[0] * PAGE_BYTES < 120_000

        return work

    assert fail_each_write(prepare, errno.ENOSPC, step=19) > 4
