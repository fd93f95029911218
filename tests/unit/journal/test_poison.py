"""One bad line, one bad fold, one commit that the database refuses: each costs itself only, and is counted."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from tests.unit.journal.conftest import Journal
from tests.unit.journal.test_reader import beat
from vv_core.common import journals
from vv_core.dvr import DvrLink
from vv_core.jobs import job
from vv_core.stages import stage
from vv_exporter.journal.events import MAX_LINE, TYPES, Heartbeat, JobFinished, RejectedError, decode, nesting
from vv_exporter.journal.folds import Source
from vv_exporter.journal.progress import PROGRESS
from vv_exporter.metrics.alerts import ALERT_EVENTS
from vv_exporter.metrics.exporter import EVENTS, EVENTS_REJECTED
from vv_exporter.metrics.jobs import JOB_LAST_EXIT_CODE, JOB_LAST_SUCCESS, JOB_RUNS
from vv_exporter.metrics.pipeline import STAGE_DURATION
from vv_exporter.settings import Settings
from vv_exporter.state.database import StoreError
from vv_exporter.state.openalerts import ALERTS
from vv_exporter.state.runs import JOB_RUNS_OPEN
from vv_exporter.state.store import Kind, Transaction


def handled_by(journal: Journal, event: type, handler: Callable[..., None]) -> None:
    """Let events of this type be folded by `handler`."""
    folds = journal.reader._counting._folds
    journal.reader._counting._folds = folds._replace(handlers={**folds.handlers, event: handler})


def test_a_fold_that_fails_halfway_leaves_nothing_behind(journal: Journal) -> None:
    def half(tx: Transaction, event: Heartbeat, source: Source, settings: Settings) -> None:
        tx.inc(JOB_RUNS, (event.job, "success"))
        tx.set(JOB_LAST_SUCCESS, (event.job,), event.ts)
        tx.delete(JOB_RUNS_OPEN, "r")
        tx.append("timeline", event.ts, {"kind": "job", "title": "half"})
        raise ZeroDivisionError

    writer = journal.writer()
    writer.event("job.started", job="nightly", run="r")
    handled_by(journal, Heartbeat, half)
    writer.raw(beat())
    writer.event("alert", id="1", level="CRITICAL", title="after it")
    journal.read()

    assert journal.value(JOB_RUNS, "nightly", "success") == 0
    assert journal.value(JOB_LAST_SUCCESS, "nightly") is None
    assert journal.store.document(JOB_RUNS_OPEN, "r") is not None
    assert [entry.body["title"] for entry in journal.store.history("timeline")] == ["after it"]
    assert journal.values(EVENTS_REJECTED) == {("fold",): 1}
    assert journal.value(EVENTS, "heartbeat") is None
    assert journal.value(ALERT_EVENTS, "test.py", "critical") == 1


def test_a_fold_that_refuses_an_event_says_why(journal: Journal) -> None:
    def refuse(tx: Transaction, event: Heartbeat, source: Source, settings: Settings) -> None:
        tx.inc(JOB_RUNS, (event.job, "success"))
        raise RejectedError("schema")

    handled_by(journal, Heartbeat, refuse)
    journal.writer().raw(beat())
    journal.read()

    assert journal.values(EVENTS_REJECTED) == {("schema",): 1}
    assert journal.values(JOB_RUNS) == {}


class Odd(msgspec.Struct, frozen=True):
    text: Any


ODD: Kind[Odd] = Kind("odd", Odd)
UNSTORABLE = ["\ud800", object(), {1: {"a": float("nan")}}]


@pytest.mark.parametrize("content", UNSTORABLE[:2], ids=["surrogate", "object"])
@pytest.mark.parametrize("bad", [0, 7, 19], ids=["first", "middle", "last"])
def test_a_line_whose_changes_the_database_refuses_is_found_and_passed_over(
    journal: Journal, content: object, bad: int
) -> None:
    def odd(tx: Transaction, event: JobFinished, source: Source, settings: Settings) -> None:
        tx.inc(JOB_RUNS, ("nightly", "failure"))
        tx.put(ODD, event.run, Odd(content if event.run == f"r{bad}" else "good"))

    handled_by(journal, JobFinished, odd)
    for name in ("a", "b", "c"):
        writer = journal.writer(name)
        for number in range(20):
            run = f"r{number}" if name == "b" else f"{name}{number}"
            writer.event("job.finished", job="nightly", run=run, result="failure", seconds=1)
        writer.close()
    journal.read()

    assert journal.value(JOB_RUNS, "nightly", "failure") == 59
    assert journal.value(EVENTS, "job.finished") == 59
    assert journal.values(EVENTS_REJECTED) == {("commit",): 1}
    assert journal.names() == []
    assert len(journal.store.docs(ODD)) == 59


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("database or disk is full"),
        sqlite3.OperationalError("database is locked"),
        sqlite3.OperationalError("disk I/O error"),
        sqlite3.DatabaseError("database disk image is malformed"),
    ],
    ids=str,
)
def test_a_disk_that_fails_is_not_taken_for_bad_content(
    journal: Journal, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.writer("a").raw(beat())
    writer = journal.writer("b")
    writer.raw(beat())
    writer.close()
    with monkeypatch.context() as patch:
        patch.setattr("vv_exporter.state.changedrows.ChangedRows.write", Mock(side_effect=error))
        for _ in range(3):
            with pytest.raises(StoreError):
                journal.read()
    journal.read()

    assert journal.value(EVENTS, "heartbeat") == 2
    assert journal.values(EVENTS_REJECTED) == {}
    assert journal.names() == ["a.0.jsonl"]


def test_the_end_of_a_writer_that_cannot_be_folded_stops_nobody(journal: Journal) -> None:
    first, *others = journal.reader._counting._folds.writer_gone
    journal.reader._counting._folds = journal.reader._counting._folds._replace(
        writer_gone=(Mock(side_effect=ZeroDivisionError, __module__="broken"), first, *others)
    )
    writer = journal.writer()
    writer.event("job.started", job="nightly", run="r")
    writer.close()
    journal.read()

    assert journal.value(JOB_RUNS, "nightly", "crashed") == 1
    assert journal.value(EVENTS_REJECTED, "fold") == 1
    assert journal.names() == []


def test_the_end_of_a_writer_that_cannot_be_stored_stops_nobody(journal: Journal) -> None:
    def odd(tx: Transaction, writer: str, last_seen: float) -> None:
        if writer == "bad":
            tx.put(ODD, writer, Odd("\ud800"))

    journal.reader._counting._folds = journal.reader._counting._folds._replace(writer_gone=(odd,))
    for name in ("a", "bad", "c"):
        writer = journal.writer(name)
        writer.raw(beat())
        writer.close()
    journal.read()

    assert journal.value(EVENTS, "heartbeat") == 3
    assert journal.values(EVENTS_REJECTED) == {("commit",): 1}
    assert journal.names() == []


def test_a_file_that_cannot_be_deleted_keeps_no_other_from_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        writer = journal.writer(name)
        writer.raw(beat())
        writer.close()
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name == "a.0.jsonl":
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    journal.read()
    journal.read()

    assert journal.names() == ["a.0.jsonl"]
    assert journal.value(EVENTS, "heartbeat") == 3
    assert journal.reader.status.problem == "a.0.jsonl is counted but cannot be deleted: Operation not permitted"


def test_names_and_texts_that_are_too_long_are_cut_and_two_long_names_stay_two(journal: Journal) -> None:
    writer = journal.writer()
    for end in ("a", "b"):
        writer.event("heartbeat", job="j" * 100_000 + end)
    context = {f"key {number}": "v" * 100 for number in range(3000)}
    writer.event("alert", id="i" * 500, level="CRITICAL", title="t" * 60_000, details="d" * 60_000, context=context)
    journal.read()

    jobs = {labels[0] for labels, _ in journal.store.series(JOB_RUNS)}
    assert len(jobs) == 2
    assert {len(name) for name in jobs} == {128}
    (alert,) = journal.store.docs(ALERTS).values()
    assert (len(alert.title), len(alert.details), len(alert.context), len(alert.id)) == (20_000, 20_000, 1000, 128)
    assert journal.values(EVENTS_REJECTED) == {}


def test_the_sdk_and_the_exporter_shorten_a_name_in_the_same_way(journal: Journal) -> None:
    long = "cleanup of ündated files, " * 20
    writer = journals.Journal(folder=str(journal.directory))
    journals.reset(writer)
    try:
        with job(long, component="x.py"):
            pass
    finally:
        journals.reset()
        writer.close()
    journal.writer("other").event("heartbeat", job=long)
    journal.read()

    assert (
        journal.values(JOB_RUNS)[next(labels for labels, series in journal.store.series(JOB_RUNS) if series.value)] == 2
    )


@pytest.mark.parametrize("code", [2**70, -(2**70), 0, 137, "7", None, float("nan"), True, "no number"], ids=repr)
def test_whatever_exit_code_a_script_gives_its_end_is_counted(journal: Journal, code: Any) -> None:
    sink = journals.Journal(folder=str(journal.directory))
    journals.reset(sink)
    try:
        with job("nightly", component="x.py") as run:
            run.exit_code = code
            run.fail("it failed")
    finally:
        journals.reset()
        sink.close()
    journal.read()

    assert journal.value(JOB_RUNS, "nightly", "failure") == 1
    assert journal.value(JOB_LAST_EXIT_CODE, "nightly") is not None
    assert journal.values(EVENTS_REJECTED) == {}


@pytest.mark.parametrize(
    "number",
    [2**70, 10**5000, -1, 1e308, float("inf"), float("nan"), "many", None, 3],
    ids=lambda v: str(v)[:8] if not isinstance(v, int) or v < 10**100 else "digits",
)
def test_whatever_numbers_a_script_gives_the_door_takes_what_comes_of_them(journal: Journal, number: Any) -> None:
    sink = journals.Journal(folder=str(journal.directory))
    journals.reset(sink)
    try:
        with stage("scan", component="x.py", limit=number, video_bytes=number, video_seconds=number) as run:
            run.note(video_bytes=number, video_seconds=number)
        link = DvrLink("front", component="x.py")
        link._frames = number
        link.frame() if isinstance(number, int) else link._report_frames(0.0)
    finally:
        journals.reset()
        sink.close()
    journal.read()

    assert journal.count(STAGE_DURATION, "scan", "success") == 1
    assert journal.values(EVENTS_REJECTED) == {}


def test_every_field_of_every_event_has_bounds() -> None:
    """What is not bounded by its type is made true on admission: times and durations."""
    times = {"ts", "last", "mono", "seconds", "v"}
    unbounded = [
        (tag, field.encode_name)
        for type_, tag in TYPES.items()
        for field in msgspec.inspect.type_info(type_).fields  # type: ignore[union-attr]
        if field.encode_name not in times and not _is_bounded(field.type)
    ]
    assert unbounded == []


def _is_bounded(type_: msgspec.inspect.Type) -> bool:
    match type_:
        case msgspec.inspect.UnionType(types):
            return all(map(_is_bounded, types))
        case msgspec.inspect.StrType():
            return type_.max_length is not None
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return type_.ge is not None and type_.le is not None
        case msgspec.inspect.DictType():
            return type_.max_length is not None and _is_bounded(type_.key_type) and _is_bounded(type_.value_type)
        case msgspec.inspect.StructType():
            return all(_is_bounded(field.type) for field in type_.fields)
        case msgspec.inspect.BoolType() | msgspec.inspect.NoneType():
            return True
    return False


def test_a_writer_with_a_name_that_cannot_be_a_key_harms_nobody(journal: Journal) -> None:
    writer = journal.writer(component="\x00" * 500)
    writer.raw(json.dumps({"v": 1, "type": "heartbeat", "ts": 1.0, "job": "\x00\x1b[31m"}).encode() + b"\n")
    journal.read()
    journal.restart()

    ((labels, _),) = [pair for pair in journal.store.series(JOB_RUNS) if pair[1].value]
    assert labels[0] == "\x00\x1b[31m"
    assert journal.store.docs(PROGRESS)["w.0.jsonl"].offset > 0
    assert decode(beat()).component == ""


@pytest.mark.parametrize(
    ("line", "depth"),
    [
        (b'{"a":[[1]],"b":{}}', 3),
        (b'{"a":"[[[[","b":"\\"[[[["}', 1),
        (b'{"a":"never ends [[[[', 1),
        (b"]]]][", 0),
        (b"[" * 70, 70),
    ],
)
def test_how_deep_a_line_is_does_not_depend_on_the_interpreter(line: bytes, depth: int) -> None:
    assert nesting(line) == depth


@pytest.mark.parametrize("part", [b'"', b'\\"', b"[", b'["', b"\\", b'{"a":'])
def test_the_longest_lines_are_looked_at_once(part: bytes) -> None:
    """Looking at each byte again and again would take hours."""
    line = b"[" * 70 + b'"' + part * ((MAX_LINE - 100) // len(part))

    with pytest.raises(RejectedError, match="depth"):
        decode(line)
