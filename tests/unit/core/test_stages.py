import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.core.conftest import State
from vv_core.common import journals
from vv_core.stages import stage
from vv_core.testing import Events, captured


@pytest.fixture
def events() -> Iterator[Events]:
    with captured() as events:
        yield events


def test_a_stage_reports_its_start_and_its_end(events: Events) -> None:
    with stage("scan_video", video=Path("/in/a.mp4"), component="scan.py", limit=90, video_bytes=10) as run:
        run.note(video_sha256="ab")

    started, noted, finished = events
    common = {"v": 1, "component": "scan.py", "run": run.id, "stage": "scan_video", "video": "/in/a.mp4"}
    assert isinstance(started.pop("mono"), float)
    assert started == common | {"type": "stage.started", "video_bytes": 10, "limit": 90.0}
    assert noted == {key: common[key] for key in common if key != "video"} | {
        "type": "stage.noted",
        "video_sha256": "ab",
    }
    assert 0 <= finished.pop("seconds") < 60
    assert finished == common | {"type": "stage.finished", "video_sha256": "ab", "outcome": "success"}


def test_a_start_is_on_disk_while_the_stage_runs(state: State) -> None:
    with stage("scan_video"):
        assert [event["type"] for event in state.events()] == ["stage.started"]


def test_an_exception_is_a_failure_and_goes_on_unchanged(events: Events) -> None:
    error = ValueError("bad\nvideo")

    with pytest.raises(ValueError, match="bad") as caught, stage("s"):
        raise error

    assert caught.value is error
    assert tuple(events[1][k] for k in ("outcome", "exception", "error")) == ("failure", "ValueError", "bad video")


def test_an_exception_whose_text_raises_goes_on_unchanged(events: Events) -> None:
    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(HostileError), stage("s"):
        raise HostileError

    assert events[1]["error"] == "<HostileError that cannot be printed: RuntimeError>"


def test_an_exception_without_text_is_told_by_its_type(events: Events) -> None:
    with pytest.raises(KeyboardInterrupt), stage("s"):
        raise KeyboardInterrupt

    assert (events[1]["outcome"], events[1]["error"]) == ("failure", "KeyboardInterrupt")


@pytest.mark.parametrize(
    ("code", "outcome", "error"),
    [
        (0, "success", None), (None, "success", None), (3, "failure", "exit code 3"), (-1, "failure", "exit code 255"),
        ("no input", "failure", "no input"),
    ],
)  # fmt: skip
def test_an_exit_counts_by_its_code(events: Events, code: object, outcome: str, error: str | None) -> None:
    with pytest.raises(SystemExit), stage("s"):
        raise SystemExit(code)

    assert (outcome, error) == (events[1]["outcome"], events[1].get("error"))


def test_a_run_may_fail_without_an_exception(events: Events) -> None:
    with stage("s") as run:
        run.fail("no frames")

    assert (events[1]["outcome"], events[1]["error"]) == ("failure", "no frames")
    assert "exception" not in events[1]


def test_an_error_is_cut(events: Events) -> None:
    with stage("s") as run:
        run.fail("x" * 100_000)

    assert len(events[1]["error"].encode()) == 1000


def test_a_nested_stage_names_its_parent(events: Events) -> None:
    with stage("outer") as outer, stage("inner"):
        pass
    with stage("next"):
        pass

    assert [None, outer.id, None] == [event.get("parent") for event in events.of("stage.started")]


def test_threads_have_no_part_in_each_others_stages(events: Events) -> None:
    def work() -> None:
        with stage("thread"):
            pass

    with stage("main"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert "parent" not in events.of("stage.started")[1]


def test_tasks_have_no_part_in_each_others_stages(events: Events) -> None:
    async def work(name: str) -> None:
        with stage(name):
            await asyncio.sleep(0)
            with stage(f"{name} inner"):
                await asyncio.sleep(0)

    async def main() -> None:
        with stage("main"):
            await asyncio.gather(work("a"), work("b"))

    asyncio.run(main())

    runs = {event["stage"]: event for event in events.of("stage.started")}
    assert runs["main"]["run"] == runs["a"]["parent"] == runs["b"]["parent"]
    assert [runs["a"]["run"], runs["b"]["run"]] == [runs["a inner"]["parent"], runs["b inner"]["parent"]]


def test_a_cancelled_task_is_a_failure(events: Events) -> None:
    async def work() -> None:
        with stage("s"):
            await asyncio.sleep(3600)

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert (events[1]["outcome"], events[1]["exception"]) == ("failure", "CancelledError")


def test_a_generator_left_early_is_a_success_and_does_not_disturb_others(events: Events) -> None:
    def frames() -> Iterator[int]:
        with stage("frames"):
            yield from range(10)

    for _ in frames():
        break

    with stage("next"):
        pass
    assert {e["stage"]: e["outcome"] for e in events.of("stage.finished")} == {"frames": "success", "next": "success"}
    assert "parent" not in events.of("stage.started")[-1]


def test_a_function_may_be_decorated(events: Events) -> None:
    @stage("scan_video", limit=5)
    def scan(depth: int) -> int:
        """Scan."""
        return scan(depth - 1) if depth else 7

    assert scan(2) == 7
    assert (scan.__name__, scan.__doc__) == ("scan", "Scan.")
    assert len({event["run"] for event in events.of("stage.finished")}) == 3


def test_a_coroutine_function_may_be_decorated(events: Events) -> None:
    @stage("s")
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert asyncio.run(work()) == 7
    assert [event["type"] for event in events] == ["stage.started", "stage.finished"]


@pytest.mark.parametrize(
    ("variable", "name", "limit"),
    [
        ("MAX_PROCESSING_TIME_SCAN_VIDEO", "scan_video", 90.0),
        ("MAX_PROCESSING_TIME_SUMMARIZE", "summarize_scene", 90.0),
        ("MAX_PROCESSING_TIME_LOGLINE", "logline_generator", 90.0),
        ("MAX_PROCESSING_TIME_MY_STAGE", "my-stage", 90.0),
        ("MAX_PROCESSING_TIME_SCAN_VIDEO", "scan", None),
        ("MAX_PROCESSING_TIME_SCAN", "scanner", None),
    ],
)
def test_the_limit_comes_from_the_environment(
    events: Events, monkeypatch: pytest.MonkeyPatch, variable: str, name: str, limit: float | None
) -> None:
    monkeypatch.setenv(variable, "1m30s")

    with stage(name):
        pass

    assert limit == events[0].get("limit")


def test_a_limit_that_is_given_wins(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_PROCESSING_TIME_S", "1m")

    with stage("s", limit=5):
        pass

    assert events[0]["limit"] == 5.0


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), -1, 0, "soon", 10**400])
def test_a_limit_that_makes_no_sense_is_left_out(events: Events, limit: object) -> None:
    with stage("s", limit=limit):  # type: ignore[arg-type]
        pass

    assert "limit" not in events[0]


def test_a_wrong_limit_in_the_environment_is_told_once_and_left_out(
    events: Events, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MAX_PROCESSING_TIME_S", "15 minutes")

    for _ in range(3):
        with stage("s"):
            pass

    assert "limit" not in events[0]
    assert caplog.text.count("MAX_PROCESSING_TIME_S: '15 minutes' is not a duration") == 1


@pytest.mark.parametrize("name", ["", None, 5, "a\nb", "x" * 10_000, b"\xff"])
def test_no_name_raises(events: Events, name: object) -> None:
    with stage(name, video=name, component=name) as run:  # type: ignore[arg-type]
        run.note(video=name, video_sha256=name)
        run.fail(name)

    assert [event["type"] for event in (events[0], events[-1])] == ["stage.started", "stage.finished"]
    assert events[0]["stage"]


def test_a_videos_measures_are_told_at_once(events: Events) -> None:
    with stage("s", video_seconds=60.5) as run:
        run.note(video_bytes=10, video_seconds=61)
        assert [event["type"] for event in events] == ["stage.started", "stage.noted"]

    assert events[0]["video_seconds"] == 60.5
    assert (events[1]["video_bytes"], events[1]["video_seconds"]) == (10, 61.0)
    assert "video_bytes" not in events[2]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "long", 10**400, True, None])
def test_measures_that_make_no_sense_are_left_out(events: Events, value: object) -> None:
    with stage("s") as run:
        run.note(video_bytes=value)
        run.note(video_seconds=value if value is not True else 0)

    assert [event["type"] for event in events] == ["stage.started", "stage.finished"]


def test_only_a_limit_of_the_environment_scales_with_the_video(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_PROCESSING_TIME_S", "1m")

    with stage("s"), stage("s", limit=5), stage("other"):
        pass

    assert [event.get("limit_scales") for event in events.of("stage.started")] == [True, None, None]


def test_stages_that_start_each_other_leave_no_chain_behind(events: Events) -> None:
    runs = []

    async def step(number: int) -> None:
        with stage("step") as run:
            runs.append(run)
            following = asyncio.create_task(step(number - 1)) if number else None
        if following:
            await following

    asyncio.run(step(5))

    parents = [event.get("parent") for event in events.of("stage.started")]
    assert parents == [None, *(run.id for run in runs[:-1])]
    assert [run.parent for run in runs] == [None] * 6


def test_a_run_whose_start_was_taken_ends_whatever_the_journal_takes(state: State) -> None:
    with stage("taken"):
        journals._journal._fullness = 100.0
        journals._journal._looked = float("inf")
        with stage("refused"):
            pass

    assert [event["stage"] for event in state.events("stage.finished")] == ["taken"]
    assert journals._journal.lost == 2
