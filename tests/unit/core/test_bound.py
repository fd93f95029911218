"""The bound of the journal while nobody reads it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.core.conftest import State
from vv_core.common import bounds, journals
from vv_core.common.journals import Journal


@pytest.fixture(autouse=True)
def has_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer makes room for a tenth of a second; how much it gets done in that is the machine's affair."""
    monkeypatch.setattr(bounds.make_room, "__defaults__", (60.0,))


def line(kind: str, **fields: Any) -> bytes:
    return json.dumps({"v": 1, "type": kind, "ts": 1.0, **fields}).encode()


HEADER = line("writer", component="x.py", lock=True)
SUCCESS = [
    line("stage.started", run="1", stage="s"),
    line("stage.finished", run="1", stage="s", outcome="success", seconds=1),
    line("heartbeat", job="j", component="other.py"),
]


def test_successes_are_dispensable_and_counted_by_component() -> None:
    assert bounds.dispensable([HEADER, *SUCCESS]) == {"x.py": 2, "other.py": 1}


@pytest.mark.parametrize(
    "kept",
    [
        line("stage.finished", run="2", stage="s", outcome="failure", seconds=1),
        line("stage.finished", run="2", stage="s", outcome="success", seconds=1),
        line("job.finished", run="2", job="s", result="failure", seconds=1),
        line("stage.started", run="2", stage="s"),
        line("job.started", run="2", job="s"),
        line("alert", id="1", level="INFO", title="t"),
        line("of.tomorrow"),
        b'{"v":1,"type":"heartbeat","job":' + b"[" * 100_000,
        b'{"v":1,"type":"heartbeat","job":"j","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"v":1,"type":"dropped","count":1e400}',
        b'{"v":1,"type":"dropped","count":' + b"9" * 5000 + b"}",
        b'{"v":1,"type":["heartbeat"]}',
        b'{"v":1,"type":"heartbe',
        b"[]",
        b"",
    ],
    ids=[
        "stage failed", "end without start", "job failed", "stage crashed", "job crashed", "alert",
        "unknown", "open", "deep", "infinite", "digits", "list", "torn", "no object", "empty line",
    ],
)  # fmt: skip
def test_anything_but_successes_is_kept(kept: bytes) -> None:
    assert bounds.dispensable([HEADER, *SUCCESS, kept]) is None


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [("schema.validated", "valid", "invalid"), ("hmac", "ok", "failed"), ("dvr.attempt", "ok", "timeout")],
)
def test_what_went_well_is_dispensable_by_its_result(kind: str, good: str, bad: str) -> None:
    assert bounds.dispensable([HEADER, line(kind, result=good)]) == {"x.py": 1}
    assert bounds.dispensable([HEADER, line(kind, result=bad)]) is None
    assert bounds.dispensable([HEADER, line(kind)]) is None


@pytest.mark.parametrize("event", [line("dvr.attempt", dvr="front", result="ok"), line("dvr.frames", dvr="front")])
def test_a_link_that_has_not_ended_in_its_writers_latest_file_is_kept_as_its_agent_may_have_been_killed(
    event: bytes,
) -> None:
    end = line("dvr.ended", dvr="front")

    assert bounds.dispensable([HEADER, event]) is None
    assert bounds.dispensable([HEADER, event, line("dvr.ended", dvr="back")]) is None
    assert bounds.dispensable([HEADER, end, event]) is None
    assert bounds.dispensable([HEADER, event], latest=False) == {"x.py": 1}
    assert bounds.dispensable([HEADER, event, end]) == {"x.py": 2}


def test_a_script_that_has_not_ended_is_kept() -> None:
    begun, ended = line("script.started"), line("script.ended")

    assert bounds.dispensable([HEADER, begun, *SUCCESS]) is None
    assert bounds.dispensable([HEADER, ended]) is None
    assert bounds.dispensable([HEADER, begun, ended]) == {"x.py": 2}


def test_of_an_agent_that_was_killed_the_latest_file_stays(tmp_path: Path) -> None:
    for name in ("a.0.jsonl", "a.1.jsonl", "b.0.jsonl"):
        lines = [HEADER.replace(b" ", b""), line("dvr.frames", dvr="front"), b""]
        (tmp_path / name).write_bytes(b"\n".join(lines))

    bounds.make_room(str(tmp_path), 1 << 20, patience=60)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.1.jsonl", "b.0.jsonl"]


def test_an_account_of_losses_passes_into_the_next() -> None:
    told = line("dropped", count=40, component="x.py")

    assert bounds.dispensable([HEADER, *SUCCESS, told]) == {"x.py": 42, "other.py": 1}


@pytest.mark.parametrize(
    "component", ["c" * 100_000, "\ud800", "a\x00\nb", ["x"], {"a": 1}, None, 2**80], ids=lambda v: repr(v)[:9]
)
@pytest.mark.parametrize("count", [2**80, -5, 1e300], ids=str)
def test_a_foreign_account_of_losses_becomes_one_that_can_be_written(state: State, component: Any, count: Any) -> None:
    write(state, "a.0.jsonl", HEADER, line("dropped", count=count, component=component))
    journal = Journal(str(state.journal), 1)

    journal.emit("alert", "c", {"id": "1"}, journals.CLOSING)
    journal.finish()
    journal.close()

    assert journal.lost == 0
    assert not (state.journal / "a.0.jsonl").exists()
    assert len(state.events("alert")) == 1
    (lost,) = state.events("dropped") or [{"count": 0, "component": ""}]
    assert 0 <= lost["count"] <= 2**53
    assert len(lost.get("component", "")) <= 128


@pytest.mark.parametrize("poison", [b"[" * 5000, b'{"a":' * 1000, b'{"v":1,"type":"dropped","count":1e400}'])
def test_a_full_journal_with_a_bad_line_stops_no_writer(state: State, poison: bytes) -> None:
    write(state, "a.0.jsonl", HEADER, poison)
    for number in range(3):
        write(state, f"b{number}.0.jsonl", HEADER, *SUCCESS)
    journal = Journal(str(state.journal), 3 * 4096)

    assert journal.emit("heartbeat", "c", {"job": "a"})
    assert journal.emit("alert", "c", {"id": "1"}, journals.NEEDED)
    journal.close()
    assert sum(file.read_bytes().count(b'"type":"alert"') for file in state.files()) == 1
    (state.journal / "a.0.jsonl").unlink()  # it was kept


def test_a_sparse_file_counts_for_what_it_takes_on_the_disk(state: State) -> None:
    write(state, "a.0.jsonl", HEADER)
    os.truncate(state.journal / "a.0.jsonl", 1 << 40)
    journal = Journal(str(state.journal), 100 * 4096)

    assert bounds.usage(str(state.journal)) == 4096
    assert journal.emit("heartbeat", "c", {"job": "a"})
    journal.close()


def test_a_file_that_is_too_large_to_look_into_holds_no_writer_up(state: State) -> None:
    huge = write(state, "a.0.jsonl", HEADER, *SUCCESS * 10_000)

    assert huge.stat().st_size > 2 << 20
    assert bounds.make_room(str(state.journal), 1, patience=60) == (0, {})


def test_small_files_count_as_the_blocks_they_take(tmp_path: Path) -> None:
    (tmp_path / "a.0.jsonl").write_bytes(b"x")
    (tmp_path / "b.0.jsonl").write_bytes(b"x" * 10_000)
    (tmp_path / "other").write_bytes(b"x" * 10_000)

    assert bounds.usage(str(tmp_path)) == 14_096


def test_thousands_of_files_are_estimated_from_a_sample(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number}.0.jsonl").touch()

    assert bounds.usage(str(tmp_path)) == 3000 * 4096


def write(state: State, name: str, *content: bytes) -> Path:
    state.journal.mkdir(parents=True, exist_ok=True)
    file = state.journal / name
    file.write_bytes(b"".join(part + b"\n" for part in content))
    os.utime(file, (1, 1))
    return file


def test_the_oldest_go_first_and_no_more_than_needed(state: State) -> None:
    files = [write(state, f"w{writer}.{seq}.jsonl", HEADER, *SUCCESS) for writer in (1, 2) for seq in (2, 10)]

    assert bounds.make_room(str(state.journal), 5000, patience=60) == (8192, {"x.py": 4, "other.py": 2})
    assert [file.exists() for file in files] == [False, False, True, True]


def test_what_must_be_kept_is_passed_over(state: State) -> None:
    alert = write(state, "a.0.jsonl", HEADER, line("alert", id="1", level="INFO", title="t"))
    success = write(state, "b.0.jsonl", HEADER, *SUCCESS)

    bounds.make_room(str(state.journal), 1, patience=60)

    assert [alert.exists(), success.exists()] == [True, False]


def test_a_file_whose_writer_lives_is_kept(state: State) -> None:
    journal = Journal(str(state.journal))
    journal.emit("heartbeat", "c", {"job": "a"})

    assert bounds.make_room(str(state.journal), 1, patience=60) == (0, {})
    journal.close()
    assert bounds.make_room(str(state.journal), 1, patience=60) == (4096, {"c": 1})


def test_a_file_without_promise_to_lock_is_kept_until_it_rests(state: State) -> None:
    file = write(state, "a.0.jsonl", *SUCCESS)
    os.utime(file)

    assert bounds.make_room(str(state.journal), 1, patience=60) == (0, {})


def test_other_things_in_the_folder_are_left_alone_and_hold_nobody_up(state: State) -> None:
    state.journal.mkdir(parents=True)
    os.mkfifo(state.journal / "a.0.jsonl")
    (state.journal / "b.0.jsonl").mkdir()
    target = state.folder / "target"
    target.write_bytes(HEADER)
    (state.journal / "c.0.jsonl").symlink_to(target)

    assert bounds.make_room(str(state.journal), 1, patience=60) == (0, {})
    assert target.exists()


def total(state: State) -> int:
    """Events that are there, and those that are told to be lost."""
    events = state.events()
    return sum(e["count"] if e["type"] == "dropped" else 1 for e in events)


def short_lived(state: State, bound: int, kind: str = "heartbeat", worth: float = journals.ROUTINE) -> Journal:
    """A process that reports one event, and ends."""
    journal = Journal(str(state.journal), bound)
    journal.emit(kind, "c", {"job": "a"}, worth)
    journal.finish()
    journal.close()
    return journal


def test_over_the_bound_successes_go_and_failures_survive_and_every_event_is_accounted_for(state: State) -> None:
    bound = 20 * 4096
    for number in range(100):
        if number % 10 == 0:
            short_lived(state, bound, "alert", journals.NEEDED)
        else:
            short_lived(state, bound)

    assert len(state.files()) <= 21
    assert len(state.events("alert")) == 10
    assert total(state) == 100


def test_where_nothing_can_go_new_successes_are_refused_and_failures_taken_up_to_twice_the_bound(state: State) -> None:
    bound = 5 * 4096
    for number in range(6):
        write(state, f"a{number}.0.jsonl", HEADER, line("alert", id="1", level="INFO", title="t"))
    journal = Journal(str(state.journal), bound)

    assert not journal.emit("heartbeat", "c", {"job": "a"})
    assert journal.emit("alert", "c", {"id": "2"}, journals.NEEDED)
    assert [event["count"] for event in state.events("dropped")] == [1]
    journal.close()

    for number in range(4):
        write(state, f"b{number}.0.jsonl", HEADER, line("alert", id="1", level="INFO", title="t"))
    assert [short_lived(state, bound, "alert", journals.NEEDED).lost] == [1]
    assert len(state.files()) == 11


def test_the_end_of_a_run_whose_start_was_taken_is_never_refused(state: State) -> None:
    journal = Journal(str(state.journal), 4096)
    journal.emit("stage.started", "c", {"run": "1"})
    journal._fullness = 100.0
    journal._looked = float("inf")

    assert not journal.emit("stage.started", "c", {"run": "2"})
    assert journal.emit("stage.finished", "c", {"run": "1"}, journals.CLOSING)
    journal.close()


def test_a_long_lived_writer_takes_successes_again_when_there_is_room(state: State) -> None:
    alerts = [write(state, f"a{n}.0.jsonl", HEADER, line("alert", id="1", level="INFO", title="t")) for n in range(6)]
    journal = Journal(str(state.journal), 5 * 4096)
    refused = journal.emit("heartbeat", "c", {"job": "a"})
    for file in alerts:
        file.unlink()
    journal._looked = float("-inf")  # as if ten seconds had passed

    assert [refused, journal.emit("heartbeat", "c", {"job": "a"})] == [False, True]
    journal.close()


def test_the_bound_comes_from_the_environment(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VV_JOURNAL_MAX", "8kB")
    for number in range(3):
        write(state, f"a{number}.0.jsonl", HEADER, line("alert", id="1", level="INFO", title="t"))

    assert not journals.emit("heartbeat", "c", {"job": "a"})
