"""The store keeps what was committed, shows nothing else, and says when it cannot write."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from tests.support.clock import Clock
from vv_exporter.metrics import Metric
from vv_exporter.metrics.exporter import EVENTS, SERIES_LIMITED
from vv_exporter.metrics.jobs import JOB_LAST_START, JOB_RUNS
from vv_exporter.metrics.pipeline import STAGE_DURATION
from vv_exporter.store import Kind, Store, StoreError


class Note(msgspec.Struct, frozen=True):
    text: str


NOTES: Kind[Note] = Kind("note", Note)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


def test_counts_survive_a_restart(path: Path) -> None:
    clock = Clock()
    first = Store(path, clock)
    with first.transaction() as tx:
        tx.inc(EVENTS, ("alert",), 2)
        tx.set(JOB_LAST_START, ("nightly",), 12.5)
        tx.put(NOTES, "a", Note("kept"))
    first.close()
    clock.advance(100)

    again = Store(path, clock)
    with again.transaction() as tx:
        tx.inc(EVENTS, ("alert",))

    series = again.find(EVENTS, ("alert",))
    assert series is not None
    assert (series.value, series.created) == (3.0, clock.now - 100)
    assert again.value(JOB_LAST_START, ("nightly",)) == 12.5
    assert again.document(NOTES, "a") == Note("kept")


def test_nothing_is_visible_before_the_commit(path: Path) -> None:
    store = Store(path, Clock())

    with store.transaction() as tx:
        tx.inc(EVENTS, ("alert",))
        tx.put(NOTES, "a", Note("new"))
        during = (store.value(EVENTS, ("alert",)), store.docs(NOTES), tx.value(EVENTS, ("alert",)), tx.docs(NOTES))

    assert during == (None, {}, 1.0, {"a": Note("new")})
    assert store.value(EVENTS, ("alert",)) == 1.0


def test_an_exception_in_a_transaction_undoes_all_of_it(path: Path) -> None:
    store = Store(path, Clock())

    with pytest.raises(ZeroDivisionError), store.transaction() as tx:
        tx.inc(EVENTS, ("alert",))
        tx.append("notes", 1.0, {"text": "lost"})
        raise ZeroDivisionError

    assert store.series(EVENTS) == []
    assert store.history("notes") == []


def test_who_wants_to_know_is_woken_after_the_commit_and_not_for_other_kinds(path: Path) -> None:
    store = Store(path, Clock())
    woken: list[dict[str, Note]] = []
    store.when_changed(NOTES, lambda: woken.append(store.docs(NOTES)))

    with store.transaction() as tx:
        tx.put(NOTES, "a", Note("new"))
    with store.transaction() as tx:
        tx.put(Kind("other", Note), "a", Note("new"))
        tx.inc(EVENTS, ("alert",))
    with pytest.raises(ZeroDivisionError), store.transaction() as tx:
        tx.delete(NOTES, "a")
        raise ZeroDivisionError
    with store.transaction() as tx:
        tx.delete(NOTES, "a")

    assert woken == [{"a": Note("new")}, {}]


def test_histograms_count_into_the_bucket_whose_bound_holds_them(path: Path) -> None:
    store = Store(path, Clock())
    bounds = STAGE_DURATION.buckets
    with store.transaction() as tx:
        for value in (bounds[0], bounds[0] + 0.01, bounds[-1] + 1):
            tx.observe(STAGE_DURATION, ("scan", "success"), value)
    store.close()

    ((labels, series),) = Store(path, Clock()).series(STAGE_DURATION)
    assert labels == ("scan", "success")
    assert series.counts == (1, 1, *(0,) * (len(bounds) - 2), 1)
    assert series.value == pytest.approx(bounds[0] * 2 + 0.01 + bounds[-1] + 1)


def test_series_can_begin_at_0(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.ensure(STAGE_DURATION, ("scan", "success"), ("scan", "failure"))
        tx.ensure(EVENTS, ("alert",))
        tx.observe(STAGE_DURATION, ("scan", "success"), 1.0)
        tx.ensure(STAGE_DURATION, ("scan", "success"))
    store.close()

    again = Store(path, Clock())
    assert {labels[1]: sum(series.counts) for labels, series in again.series(STAGE_DURATION)} == {
        "success": 1,
        "failure": 0,
    }
    assert again.value(EVENTS, ("alert",)) == 0


def test_a_histogram_with_other_bounds_starts_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.observe(STAGE_DURATION, ("scan", "success"), 1)
    store.close()
    monkeypatch.setattr("vv_exporter.store.all_metrics", lambda: {STAGE_DURATION.name: _rebounded(STAGE_DURATION)})

    assert Store(path, Clock()).series(STAGE_DURATION) == []


def _rebounded(metric: Metric) -> Metric:
    return Metric(metric.name, metric.type, metric.help, metric.labels, (1.0, 2.0))


def test_a_family_has_a_bounded_number_of_series_and_what_is_refused_is_counted(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        for number in range(JOB_RUNS.limit - 1):
            tx.inc(JOB_RUNS, (f"job{number}", "success"))
    with store.transaction() as tx:
        tx.inc(JOB_RUNS, ("last", "success"))
        tx.inc(JOB_RUNS, ("too much", "success"))
        tx.inc(JOB_RUNS, ("too much", "success"))
        tx.inc(JOB_RUNS, ("job0", "success"))

    assert len(store.series(JOB_RUNS)) == JOB_RUNS.limit
    assert store.value(JOB_RUNS, ("job0", "success")) == 2
    assert store.value(SERIES_LIMITED, (JOB_RUNS.name,)) == 2


def test_a_removed_series_makes_room(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        for number in range(JOB_LAST_START.limit):
            tx.set(JOB_LAST_START, (f"job{number}",), 1.0)
    with store.transaction() as tx:
        tx.remove(JOB_LAST_START, ("job0",))
        tx.set(JOB_LAST_START, ("new",), 1.0)
    store.close()

    names = {labels[0] for labels, _ in Store(path, Clock()).series(JOB_LAST_START)}
    assert "new" in names
    assert "job0" not in names


def test_a_document_made_and_deleted_at_once_leaves_nothing(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.put(NOTES, "a", Note("brief"))
        tx.delete(NOTES, "a")
    with store.transaction() as tx:
        tx.put(NOTES, "b", Note("kept"))
    with store.transaction() as tx:
        tx.delete(NOTES, "b")
        tx.put(NOTES, "b", Note("again"))

    assert store.docs(NOTES) == {"b": Note("again")}


def test_history_is_given_newest_first_and_can_be_forgotten(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        for number in range(5):
            tx.append("notes", float(number), {"number": number})

    assert store.forget_history(before=2.0) == 2
    assert [record.body["number"] for record in store.history("notes", since=3.0)] == [4, 3]
    assert [record.body["number"] for record in store.history("notes", limit=1)] == [4]
    assert len(store.history("notes")) == 3


def test_a_damaged_database_is_set_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database " * 100)
    clock = Clock()

    store = Store(path, clock)
    with store.transaction() as tx:
        tx.inc(EVENTS, ("alert",))

    assert store.value(EVENTS, ("alert",)) == 1
    assert path.with_name(f"state.db.damaged-{clock.now:.0f}").read_bytes().startswith(b"this is not")


def test_a_database_of_a_newer_version_is_left_alone(path: Path) -> None:
    Store(path, Clock()).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StoreError, match="newer version"):
        Store(path, Clock())


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")

    with pytest.raises(StoreError, match=str(blocker)):
        Store(blocker / "state.db", Clock())


def test_a_full_disk_undoes_the_transaction_and_the_next_one_works(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.inc(EVENTS, ("alert",))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(StoreError), store.transaction() as tx:
            tx.inc(EVENTS, ("alert",))
            tx.put(NOTES, "a", Note("x" * 100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    assert store.value(EVENTS, ("alert",)) == 1
    with store.transaction() as tx:
        tx.inc(EVENTS, ("alert",))
    store.close()
    assert Store(path, Clock()).value(EVENTS, ("alert",)) == 2


def test_threads_lose_no_increment(path: Path) -> None:
    store = Store(path, Clock())

    def work() -> None:
        for _ in range(50):
            with store.transaction() as tx:
                tx.inc(EVENTS, ("alert",))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.value(EVENTS, ("alert",)) == 200


CHILD = """
import sys, time
from pathlib import Path
from vv_exporter.store import Store
from vv_exporter.metrics.exporter import EVENTS
store = Store(Path(sys.argv[1]), time.time)
while True:
    with store.transaction() as tx:
        tx.inc(EVENTS, ("a",)); tx.inc(EVENTS, ("b",))
    print(int(store.value(EVENTS, ("a",))), flush=True)
"""


def test_a_kill_loses_nothing_that_was_shown_and_halves_nothing(path: Path) -> None:
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        shown = [int(process.stdout.readline()) for _ in range(20)][-1]
        os.kill(process.pid, signal.SIGKILL)
        shown = max([shown, *map(int, process.stdout.read().split())])
        process.wait()
        process.stdout.close()

        store = Store(path, Clock())
        assert store.value(EVENTS, ("a",)) == store.value(EVENTS, ("b",))
        assert shown <= (store.value(EVENTS, ("a",)) or 0) <= shown + 1
        store.close()
