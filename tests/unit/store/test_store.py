"""The store keeps what was committed, shows nothing else, and says when it cannot write."""

import contextlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.clock import Clock
from vv_exporter.journal.progress import PROGRESS
from vv_exporter.metrics import Metric
from vv_exporter.metrics.exporter import EVENTS, EVENTS_REJECTED, SERIES_LIMITED
from vv_exporter.metrics.jobs import JOB_LAST_START, JOB_RUNS
from vv_exporter.metrics.pipeline import STAGE_DURATION
from vv_exporter.state.database import ContentError, StoreError
from vv_exporter.state.openalerts import ALERTS
from vv_exporter.state.store import Kind, Store, Transaction


class Note(msgspec.Struct, frozen=True):
    text: str


NOTES: Kind[Note] = Kind("note", Note)
BUCKETS = json.dumps([STAGE_DURATION.buckets, [-7, *[0] * len(STAGE_DURATION.buckets)]]).replace("-7", "%s")


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
    monkeypatch.setattr(
        "vv_exporter.state.store.all_metrics", lambda: {STAGE_DURATION.name: _rebounded(STAGE_DURATION)}
    )

    assert Store(path, Clock()).series(STAGE_DURATION) == []


def _rebounded(metric: Metric) -> Metric:
    return Metric(metric.name, metric.type, metric.help, metric.labels, (1.0, 2.0))


def test_the_longest_untouched_of_a_full_family_gives_way_and_is_counted(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        for number in range(JOB_LAST_START.limit):
            tx.set(JOB_LAST_START, (f"job{number}",), 1.0)
    with store.transaction() as tx:
        tx.set(JOB_LAST_START, ("job0",), 2.0)
    with store.transaction() as tx:
        tx.set(JOB_LAST_START, ("new",), 3.0)
        tx.set(JOB_LAST_START, ("newer",), 3.0)

    names = {labels[0] for labels, _ in store.series(JOB_LAST_START)}
    assert len(names) == JOB_LAST_START.limit
    assert {"job0", "new", "newer"} <= names
    assert not {"job1", "job2"} & names
    assert store.value(SERIES_LIMITED, (JOB_LAST_START.name,)) == 2
    store.close()
    assert {labels[0] for labels, _ in Store(path, Clock()).series(JOB_LAST_START)} == names


def test_series_of_one_subject_give_way_together_and_by_its_latest_touch(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        for number in range(STAGE_DURATION.limit // 3):
            tx.ensure(STAGE_DURATION, *((f"s{number}", outcome) for outcome in ("success", "failure", "crashed")))
    with store.transaction() as tx:
        tx.observe(STAGE_DURATION, ("s0", "crashed"), 1.0)
    with store.transaction() as tx:
        tx.ensure(STAGE_DURATION, *(("new", outcome) for outcome in ("success", "failure", "crashed")))

    by_stage = Counter(labels[0] for labels, _ in store.series(STAGE_DURATION))
    assert set(by_stage.values()) == {3}
    assert {"s0", "new"} <= by_stage.keys()
    assert "s1" not in by_stage


def test_a_flood_of_new_names_in_one_transaction_is_bounded_and_the_last_stay(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.set(JOB_LAST_START, ("old",), 1.0)
    with store.transaction() as tx:
        for number in range(5000):
            tx.set(JOB_LAST_START, (f"flood{number}",), 1.0)

    names = {labels[0] for labels, _ in store.series(JOB_LAST_START)}
    assert names == {f"flood{number}" for number in range(4000, 5000)}
    assert store.value(SERIES_LIMITED, (JOB_LAST_START.name,)) == 4001


def test_names_of_the_configuration_never_give_way_and_are_always_taken(path: Path) -> None:
    store = Store(path, Clock(), reserved={"job": frozenset({"mine", "later"})})
    with store.transaction() as tx:
        tx.set(JOB_LAST_START, ("mine",), 1.0)
    for turn in range(3):
        with store.transaction() as tx:
            for number in range(JOB_LAST_START.limit):
                tx.set(JOB_LAST_START, (f"flood{turn}.{number}",), 1.0)
    with store.transaction() as tx:
        tx.set(JOB_LAST_START, ("later",), 1.0)

    names = {labels[0] for labels, _ in store.series(JOB_LAST_START)}
    assert {"mine", "later"} <= names
    assert len(names) == JOB_LAST_START.limit


def test_after_a_restart_what_has_been_there_for_longest_stays_longest(path: Path) -> None:
    clock = Clock()
    store = Store(path, clock)
    with store.transaction() as tx:
        tx.set(JOB_LAST_START, ("z-old",), 1.0)
    clock.advance(1)
    with store.transaction() as tx:
        for number in range(JOB_LAST_START.limit - 1):
            tx.set(JOB_LAST_START, (f"a{number}",), 1.0)
    store.close()
    again = Store(path, clock)
    with again.transaction() as tx:
        tx.set(JOB_LAST_START, ("new",), 1.0)

    assert again.value(JOB_LAST_START, ("z-old",)) == 1.0


def test_a_counter_that_gave_way_and_comes_back_begins_anew(path: Path) -> None:
    clock = Clock()
    store = Store(path, clock)
    with store.transaction() as tx:
        tx.inc(JOB_RUNS, ("back", "success"), 100)
    with store.transaction() as tx:
        for number in range(JOB_RUNS.limit):
            tx.inc(JOB_RUNS, (f"flood{number}", "success"))
    clock.advance(60)
    with store.transaction() as tx:
        tx.inc(JOB_RUNS, ("back", "success"))

    series = store.find(JOB_RUNS, ("back", "success"))
    assert series is not None
    assert (series.value, series.created) == (1.0, clock.now)


FEW: Kind[Note] = Kind("few", Note, limit=3, family=JOB_RUNS, subject=lambda note: note.text)


def test_of_documents_with_a_limit_the_longest_untouched_gives_way_the_configured_last(path: Path) -> None:
    store = Store(path, Clock(), reserved={"job": frozenset({"mine"})})
    with store.transaction() as tx:
        for key, text in (("a", "mine"), ("b", ""), ("c", "")):
            tx.put(FEW, key, Note(text))
    with store.transaction() as tx:
        tx.put(FEW, "b", Note("touched"))
    with store.transaction() as tx:
        tx.put(FEW, "d", Note(""))
    assert set(store.docs(FEW)) == {"a", "b", "d"}
    with store.transaction() as tx:
        for number in range(10):
            tx.put(FEW, f"e{number}", Note("mine"))

    assert set(store.docs(FEW)) == {"e7", "e8", "e9"}
    assert store.value(SERIES_LIMITED, (JOB_RUNS.name,)) == 11


def test_a_name_of_the_configuration_counts_in_whichever_label_it_stands(path: Path) -> None:
    store = Store(path, Clock(), reserved={"result": frozenset({"failure"})})
    with store.transaction() as tx:
        tx.inc(JOB_RUNS, ("kept", "success"))
        tx.inc(JOB_RUNS, ("kept", "failure"))
    with store.transaction() as tx:
        for number in range(JOB_RUNS.limit):
            tx.inc(JOB_RUNS, (f"flood{number}", "success"))

    assert store.value(JOB_RUNS, ("kept", "failure")) == 1


RANKED: Kind[Note] = Kind("ranked", Note, limit=3, family=JOB_RUNS, importance=lambda note: len(note.text))


def test_what_matters_more_gives_way_after_what_was_touched_later(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        for key, text in (("a", "matters"), ("b", ""), ("c", "")):
            tx.put(RANKED, key, Note(text))
    with store.transaction() as tx:
        tx.put(RANKED, "d", Note(""))
        tx.put(RANKED, "e", Note(""))

    assert set(store.docs(RANKED)) == {"a", "d", "e"}
    assert store.value(SERIES_LIMITED, (JOB_RUNS.name,)) == 2


def _text_of(note: Note) -> str:
    return note.text


def test_documents_are_found_by_what_they_say_as_the_transaction_has_them(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        for key, text in (("a", "x"), ("b", "y"), ("c", "x")):
            tx.put(NOTES, key, Note(text))
    with store.transaction() as tx:
        assert set(tx.having(NOTES, _text_of, "x")) == {"a", "c"}
        tx.put(NOTES, "a", Note("y"))
        tx.put(NOTES, "d", Note("x"))
        tx.delete(NOTES, "c")
        with contextlib.suppress(KeyError):
            tx.attempt(_fail_after_storing)
        assert set(tx.having(NOTES, _text_of, "x")) == {"d"}
        assert set(tx.having(NOTES, _text_of, "y")) == {"a", "b"}
        assert tx.having(NOTES, _text_of, "z") == {}


def _fail_after_storing(tx: Transaction) -> None:
    tx.put(NOTES, "e", Note("x"))
    assert set(tx.having(NOTES, _text_of, "x")) == {"d", "e"}
    raise KeyError


def test_a_change_that_raises_leaves_nothing_of_itself_and_all_of_what_was_before(path: Path) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.inc(EVENTS, ("alert",), 5)
        tx.put(NOTES, "a", Note("first"))
        tx.put(NOTES, "gone", Note("first"))

    def half(tx: Transaction) -> None:
        tx.inc(EVENTS, ("alert",))
        tx.inc(EVENTS, ("heartbeat",))
        tx.remove(EVENTS, ("alert",))
        tx.put(NOTES, "a", Note("third"))
        tx.put(NOTES, "b", Note("new"))
        tx.delete(NOTES, "gone")
        tx.append("notes", 1.0, {"text": "half"})
        raise ZeroDivisionError

    def nested(tx: Transaction) -> None:
        tx.inc(EVENTS, ("alert",), 10)
        with pytest.raises(ZeroDivisionError):
            tx.attempt(half)

    with store.transaction() as tx:
        tx.put(NOTES, "a", Note("second"))
        tx.append("notes", 2.0, {"text": "whole"})
        with pytest.raises(ZeroDivisionError):
            tx.attempt(half)
        assert tx.attempt(nested)
        assert not tx.attempt(lambda tx: None)

    assert dict(store.series(EVENTS))["alert",].value == 15
    assert store.value(EVENTS, ("heartbeat",)) is None
    assert store.docs(NOTES) == {"a": Note("second"), "gone": Note("first")}
    assert [record.body["text"] for record in store.history("notes")] == ["whole"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**2000, "much"], ids=["nan", "inf", "huge", "text"])
def test_what_is_no_number_is_never_stored(path: Path, value: Any) -> None:
    store = Store(path, Clock())
    with store.transaction() as tx:
        for change in (
            lambda: tx.set(JOB_LAST_START, ("a",), value),
            lambda: tx.inc(EVENTS, ("alert",), value),
            lambda: tx.observe(STAGE_DURATION, ("a", "success"), value),
            lambda: tx.append("notes", value, {}),
        ):
            with pytest.raises((ValueError, OverflowError, TypeError)):
                change()
        tx.inc(EVENTS, ("good",))

    assert store.value(EVENTS, ("good",)) == 1


@pytest.mark.parametrize("text", ["\ud800", 5, object()], ids=["surrogate", "type", "object"])
def test_a_document_that_could_not_be_read_again_is_refused_as_content(path: Path, text: Any) -> None:
    store = Store(path, Clock())
    with pytest.raises(ContentError), store.transaction() as tx:
        tx.inc(EVENTS, ("alert",))
        tx.put(NOTES, "a", Note(text))

    assert store.value(EVENTS, ("alert",)) is None
    with store.transaction() as tx:
        tx.inc(EVENTS, ("alert",))


BROKEN_SERIES = {
    "labels are no JSON": ("vv_job_runs_total", "job", 1.0, 1.0, None),
    "labels are numbers": ("vv_job_runs_total", "[1, 2]", 1.0, 1.0, None),
    "labels are deep": ("vv_job_runs_total", "[" * 5000, 1.0, 1.0, None),
    "labels are a blob": ("vv_job_runs_total", b"\xff\xfe", 1.0, 1.0, None),
    "metric is a blob": (b"\xff\xfe", '["a","b"]', 1.0, 1.0, None),
    "value is a text": ("vv_job_runs_total", '["a","b"]', "many", 1.0, None),
    "value is infinite": ("vv_job_runs_total", '["a","b"]', float("inf"), 1.0, None),
    "created is a blob": ("vv_job_runs_total", '["a","b"]', 1.0, b"now", None),
    "buckets are no JSON": ("vv_stage_duration_seconds", '["a","success"]', 1.0, 1.0, "[["),
    "buckets are negative": ("vv_stage_duration_seconds", '["a","success"]', 1.0, 1.0, BUCKETS % -1),
    "buckets are fractions": ("vv_stage_duration_seconds", '["a","success"]', 1.0, 1.0, BUCKETS % 1.5),
    "buckets are few": ("vv_stage_duration_seconds", '["a","success"]', 1.0, 1.0, BUCKETS.replace(", 0]", "]") % 1),
}


@pytest.mark.parametrize("row", BROKEN_SERIES.values(), ids=BROKEN_SERIES)
def test_a_broken_row_of_a_series_costs_itself_only(path: Path, row: tuple[Any, ...]) -> None:
    with_rows(path, "INSERT INTO series VALUES (?, ?, ?, ?, ?)", row)

    assert counts_after_restarts(path) == [("good", 2.0, 1.0), ("good", 3.0, 1.0)]


@pytest.mark.parametrize(
    "row",
    [
        ("note", "b", b"{"),
        ("note", "b", b'{"text": 5}'),
        ("note", "b", b"[" * 5000),
        ("note", "b", b'{"text": "\xff"}'),
        ("note", "b", 17),
        ("note", b"\xff", b'{"text": "key"}'),
        (b"\xfe", "b", b'{"text": "kind"}'),
    ],
    ids=["syntax", "type", "deep", "bytes", "number", "key", "kind"],
)
def test_a_broken_row_of_a_document_costs_itself_only(path: Path, row: tuple[Any, ...]) -> None:
    with_rows(path, "INSERT INTO document VALUES (?, ?, ?)", row)

    assert counts_after_restarts(path) == [("good", 2.0, 1.0), ("good", 3.0, 1.0)]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ALERTS, b'{"id":"i","key":"b","severity":"loud","title":"T","component":"c","first":1,"last":1,"ends":2}'),
        (PROGRESS, b'{"offset":1180591620717411303424}'),
        (PROGRESS, b'{"offset":-1}'),
        (PROGRESS, b'{"ahead":[1180591620717411303424]}'),
    ],
    ids=["severity", "offset", "negative", "ahead"],
)
def test_a_row_whose_values_cannot_be_worked_with_is_set_aside(path: Path, kind: Kind[Any], body: bytes) -> None:
    with_rows(path, "INSERT INTO document VALUES (?, ?, ?)", (kind.name, "b", body))
    store = Store(path, Clock())

    assert store.docs(kind) == {}
    store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO document VALUES ('note', CAST(x'ff' AS TEXT), '{\"text\": \"key\"}')",
        "INSERT INTO series VALUES ('vv_job_runs_total', CAST(x'5b22ff225d' AS TEXT), 1, 1, NULL)",
        "INSERT INTO series VALUES ('vv_stage_duration_seconds', '[\"a\",\"b\"]', 1, 1, CAST(x'ff' AS TEXT))",
    ],
    ids=["key", "labels", "buckets"],
)
def test_a_text_that_is_no_utf8_costs_its_row_only(path: Path, sql: str) -> None:
    with_rows(path, sql)

    assert counts_after_restarts(path) == [("good", 2.0, 1.0), ("good", 3.0, 1.0)]


def test_a_text_of_a_history_that_is_no_utf8_costs_its_row_only(path: Path) -> None:
    with_rows(path, "INSERT INTO history (kind, time, body) VALUES ('notes', 5.0, CAST(x'ff' AS TEXT))")
    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.append("notes", 4.0, {"number": 4})

    assert [record.body for record in store.history("notes")] == [{"number": 4}]


def test_documents_of_a_kind_that_is_not_known_are_left_alone(path: Path) -> None:
    with_rows(path, "INSERT INTO document VALUES (?, ?, ?)", ("of.tomorrow", "b", b"\xff"))

    assert counts_after_restarts(path) == [("good", 2.0, None), ("good", 3.0, None)]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM document WHERE kind = 'of.tomorrow'").fetchone() == (1,)


@pytest.mark.parametrize(
    "body", [b"{", b'"text"', b"[" * 5000, b"\xff", 17], ids=["syntax", "type", "deep", "bytes", "number"]
)
def test_a_broken_row_of_a_history_costs_itself_only(path: Path, body: Any) -> None:
    with_rows(path, "INSERT INTO history (kind, time, body) VALUES (?, ?, ?)", ("notes", 5.0, body))
    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.append("notes", 4.0, {"number": 4})
        tx.append("notes", 6.0, {"number": 6})

    for _ in range(2):
        assert [record.body["number"] for record in store.history("notes")] == [6, 4]
    with store.transaction() as tx:
        tx.inc(EVENTS, ("good",))
    assert store.value(EVENTS_REJECTED, ("stored",)) == 1
    assert len(store.raw_history("notes", 0.0, (float("inf"), 0), 10)) == 2


def test_a_time_of_a_history_that_is_no_number_costs_itself_only(path: Path) -> None:
    with_rows(path, "INSERT INTO history (kind, time, body) VALUES (?, ?, ?)", ("notes", "yesterday", b"{}"))
    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.append("notes", 4.0, {"number": 4})

    assert [record.body for record in store.history("notes")] == [{"number": 4}]


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE series",
        "DROP TABLE document",
        "DROP TABLE history",
        "ALTER TABLE series ADD COLUMN more",
        "DROP TABLE series; CREATE INDEX series ON document (kind)",
        *(
            f"ALTER TABLE {table} RENAME TO other; CREATE VIEW {table} AS SELECT * FROM other"
            for table in ("series", "document", "history")
        ),
    ],
)
def test_tables_that_are_gone_or_others_end_nothing(path: Path, change: str) -> None:
    with_rows(path, change)
    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.inc(EVENTS, ("alert",))
        tx.append("notes", 4.0, {"number": 4})

    assert len(store.history("notes")) == 1


def with_rows(path: Path, sql: str, row: tuple[Any, ...] = ()) -> None:
    """A database with a good series and a good document, and a change made by another program."""
    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.inc(EVENTS, ("good",))
        tx.put(NOTES, "a", Note("good"))
    store.close()
    with sqlite3.connect(path) as connection:
        for statement in sql.split("; "):
            connection.execute(statement, row)
    connection.close()


def counts_after_restarts(path: Path) -> list[tuple[str, float | None, float | None]]:
    """The good document, the good counter, and rows that were set aside, after two starts with a commit each."""
    found = []
    for _ in range(2):
        store = Store(path, Clock())
        documents = store.docs(NOTES)
        with store.transaction() as tx:
            tx.inc(EVENTS, ("good",))
        found.append((documents["a"].text, store.value(EVENTS, ("good",)), store.value(EVENTS_REJECTED, ("stored",))))
        assert set(documents) == {"a"}
        store.close()
    return found


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


def test_the_rollback_journal_of_a_damaged_database_changes_nothing_in_the_new_one(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database " * 100)
    path.with_name(f"{path.name}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\0" * 2000)

    with Store(path, Clock()).transaction() as tx:
        tx.inc(EVENTS, ("alert",))

    assert not path.with_name(f"{path.name}-journal").exists()
    assert Store(path, Clock()).value(EVENTS, ("alert",)) == 1


def test_a_commit_writes_few_bytes(path: Path) -> None:
    """Of a device that has run for a while: what a minute changes, of series and documents that lie apart."""
    store = Store(path, Clock())
    with store.transaction() as tx:
        for number in range(300):
            tx.inc(JOB_RUNS, (f"job{number}", "success"))
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    wal = path.with_name(f"{path.name}-wal")

    with store.transaction() as tx:
        for number in range(0, 300, 60):
            tx.inc(JOB_RUNS, (f"job{number}", "success"))

    assert 0 < wal.stat().st_size < 12_000
    store.close()


@pytest.mark.parametrize("part", ["", "-wal", "-shm"])
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_set_aside_and_counting_begins(path: Path, part: str, make: Callable[[Path], None]) -> None:
    path.parent.mkdir()
    make(path.with_name(f"state.db{part}"))

    store = Store(path, Clock())
    with store.transaction() as tx:
        tx.inc(EVENTS, ("alert",))
    store.close()

    assert Store(path, Clock()).value(EVENTS, ("alert",)) == 1
    assert len(list(path.parent.glob("*.set-aside-*"))) == 1


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
from vv_exporter.state.store import Store
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
