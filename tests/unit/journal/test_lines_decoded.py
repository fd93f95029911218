"""How a line of the journal becomes an event: what is refused and why, and what is cut so that the rest is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vv_exporter.common.processes import Process
from vv_exporter.journal import events
from vv_exporter.journal.events import AlertRaised, Heartbeat, JobFinished, RejectedError, decode, nesting

BEAT = {"v": 1, "ts": 5.0, "type": "heartbeat", "job": "j"}


def of(**more: Any) -> bytes:
    return json.dumps({**BEAT, **more}).encode()


def reason(line: bytes) -> str:
    with pytest.raises(RejectedError) as refused:
        decode(line)
    assert str(refused.value) == refused.value.reason
    return refused.value.reason


def test_the_bounds_are_those_of_the_format() -> None:
    assert (events.VERSION, events.MAX_LINE, events.MAX_DEPTH) == (1, 1_048_576, 64)
    assert (events.MAX_TEXT, events.MAX_ENTRIES, events.MAX_COUNT, events.MAX_SECONDS) == (20_000, 1000, 2**53, 1e10)


def test_a_line_is_an_event() -> None:
    assert decode(of()) == Heartbeat(1, 5.0, job="j")
    assert decode(memoryview(of(component="c", unknown=[1]) + b"\n")) == Heartbeat(1, 5.0, "c", job="j")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "syntax"),
        (b"{", "syntax"),
        (b"\xff", "syntax"),
        (b"[]", "schema"),
        (b"5", "schema"),
        (b'"heartbeat"', "schema"),
        (of(v=2), "version"),
        (of(v="1"), "version"),
        (b'{"v": 2, "type": 5}', "version"),
        (b'{"type": "heartbeat"}', "version"),
        (of(type="other"), "unknown_type"),
        (of(type=5), "unknown_type"),
        (of(type=["heartbeat"]), "unknown_type"),
        (b'{"v": 1, "ts": 5.0}', "unknown_type"),
        (of(ts="x"), "schema"),
        (b'{"v": 1, "ts": 5.0, "type": "heartbeat"}', "schema"),
        (of(job=None), "schema"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(line: bytes, why: str) -> None:
    assert reason(line) == why


@pytest.mark.parametrize(
    ("line", "depth"),
    [
        (b"", 0),
        (b"{}", 1),
        (b"[[]]", 2),
        (b"[[],[],[]]", 2),
        (b'{"a": {"b": []}}', 3),
        (b'["[[[["]', 1),
        (b'["\\"[["]', 1),
        (b'["\\\\", []]', 2),
        (b'["[[', 1),
        (b"]]][", 0),
        (b"[[[", 3),
    ],
)
def test_depth_is_counted_outside_of_strings(line: bytes, depth: int) -> None:
    assert nesting(line) == depth


@pytest.mark.parametrize(("depth", "taken"), [(63, True), (64, False)])
def test_64_levels_are_followed(depth: int, taken: bool) -> None:
    line = of(unknown=0).replace(b": 0}", b": " + b"[" * depth + b"]" * depth + b"}")
    if taken:
        assert decode(line) == Heartbeat(1, 5.0, job="j")
    else:
        assert reason(line) == "depth"


def test_many_brackets_are_not_deep() -> None:
    assert decode(of(unknown=[[]] * 200)) == Heartbeat(1, 5.0, job="j")


def test_a_name_that_is_too_long_is_hashed_and_a_text_cut() -> None:
    assert decode(of(job="x" * 128)) == Heartbeat(1, 5.0, job="x" * 128)
    long, other = decode(of(job="x" * 129)), decode(of(job="x" * 128 + "y"))
    assert isinstance(long, Heartbeat)
    assert isinstance(other, Heartbeat)
    assert len(long.job) == len(other.job) == 128
    assert long.job != other.job

    for length in (20_000, 20_001):
        alert = decode(of(type="alert", id="1", level="INFO", title="t", details="d" * length, job=1))
        assert isinstance(alert, AlertRaised)
        assert len(alert.details) == 20_000


def test_of_a_context_the_beginning_is_kept() -> None:
    for count in (1000, 1001):
        context = {f"{number:04}": "x" * (20_001 if number == 0 else 1) for number in range(count)}
        alert = decode(of(type="alert", id="1", level="INFO", title="t", context=context))
        assert isinstance(alert, AlertRaised)
        assert len(alert.context) == 1000
        assert (min(alert.context), max(alert.context), len(alert.context["0000"])) == ("0000", "0999", 20_000)


def test_of_containers_too_many_are_refused() -> None:
    looks = {f"c{number}": {"in_window": 1} for number in range(1001)}

    assert reason(of(type="supervisor.checked", containers=looks)) == "schema"
    del looks["c0"]
    assert decode(of(type="supervisor.checked", containers=looks)).ts == 5.0


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ({"exit_code": -(2**31)}, True),
        ({"exit_code": -(2**31) - 1}, False),
        ({"exit_code": 2**32 - 1}, True),
        ({"exit_code": 2**32}, False),
        ({"exit_code": 1.5}, False),
        ({"seconds": 1e300}, True),
        ({"seconds": None}, False),
    ],
)
def test_a_number_out_of_its_bounds_is_no_measurement(fields: dict[str, Any], taken: bool) -> None:
    line = of(type="job.finished", run="r", result="success", **{"seconds": 1.0, **fields})
    if taken:
        assert isinstance(decode(line), JobFinished)
    else:
        assert reason(line) == "schema"


@pytest.mark.parametrize(("count", "taken"), [(0, True), (2**53, True), (2**53 + 1, False), (-1, False)])
def test_a_count_is_a_whole_number_that_floats_know(count: int, taken: bool) -> None:
    line = of(type="dropped", count=count)
    if taken:
        assert decode(line).ts == 5.0
    else:
        assert reason(line) == "schema"


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ({"video_bytes": 2**63 - 1}, True),
        ({"video_bytes": 2**63}, False),
        ({"video_bytes": -1}, False),
        ({"video_seconds": 1e10}, True),
        ({"video_seconds": 1.1e10}, False),
        ({"video_seconds": -1e10}, True),
        ({"video_seconds": -1.1e10}, False),
        ({"limit": 1.1e10}, False),
    ],
)
def test_sizes_and_lengths_have_bounds(fields: dict[str, Any], taken: bool) -> None:
    line = of(type="stage.started", run="r", stage="s", **fields)
    if taken:
        assert decode(line).ts == 5.0
    else:
        assert reason(line) == "schema"


def test_a_writer_says_which_process_it_is() -> None:
    writer = decode(of(type="writer", pid=5, pid_ns=6, node="n", lock=True))

    assert isinstance(writer, events.WriterStarted)
    assert (writer.process, writer.lock) == (Process(5, 6, "n"), True)


def test_what_is_not_said_is_nothing() -> None:
    stage = decode(of(type="stage.started", run="r", stage="s"))

    assert isinstance(stage, events.StageStarted)
    assert (stage.mono, stage.video_bytes, stage.video_seconds, stage.limit, stage.limit_scales) == (
        0.0, 0, 0.0, None, False
    )  # fmt: skip
    job = decode(of(type="job.started", run="r"))
    assert isinstance(job, events.JobStarted)
    assert job.mono == 0.0
    writer = decode(of(type="writer"))
    assert isinstance(writer, events.WriterStarted)
    assert (writer.lock, writer.pid, writer.pid_ns) == (False, 0, 0)
    assert events.Supervision() == events.Supervision(0, 0, False)
