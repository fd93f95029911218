import pytest

from vv_core.jobs import heartbeat, job, skipped
from vv_core.testing import captured


def test_a_job_reports_its_start_and_its_end() -> None:
    with captured() as events, job("cleanup", component="c.py") as run:
        pass

    assert [event["type"] for event in events] == ["job.started", "job.finished"]
    assert [run.id] * 2 == [event["run"] for event in events]
    assert tuple(events[1][key] for key in ("job", "result", "component")) == ("cleanup", "success", "c.py")


def test_an_exception_is_a_failure_and_goes_on() -> None:
    with captured() as events, pytest.raises(OSError, match="gone"), job("cleanup"):
        raise OSError("gone")

    assert (events[1]["result"], events[1]["error"]) == ("failure", "OSError: gone")


def test_an_exit_carries_its_code() -> None:
    with captured() as events, pytest.raises(SystemExit), job("cleanup"):
        raise SystemExit(3)

    assert tuple(events[1][key] for key in ("result", "exit_code", "error")) == ("failure", 3, "exit code 3")


def test_the_end_of_the_output_is_kept() -> None:
    with captured() as events, job("cleanup") as run:
        run.output = b"begin" + b"\xffx" * 20_000 + b"end"

    assert len(events[1]["output"].encode()) <= 10_000
    assert events[1]["output"].endswith("xend")


def test_a_function_may_be_decorated() -> None:
    @job("cleanup")
    def clean() -> str:
        return "done"

    with captured() as events:
        assert clean() == "done"

    assert [event["result"] for event in events.of("job.finished")] == ["success"]


def test_a_heartbeat_is_one_event() -> None:
    with captured() as events:
        heartbeat("log_exporter", component="x.py")

    assert events == [{"v": 1, "type": "heartbeat", "component": "x.py", "job": "log_exporter"}]


class Undecided:
    """What cannot be asked for its truth, as an array cannot."""

    def __bool__(self) -> bool:
        raise ValueError("neither")

    def __str__(self) -> str:
        return "undecided"


def test_what_cannot_be_asked_for_its_truth_is_reported_as_it_prints() -> None:
    with captured() as events:
        with job("cleanup") as run:
            run.output = Undecided()
        skipped("cleanup", Undecided())  # type: ignore[arg-type]

    assert (events[1]["output"], events[2]["reason"]) == ("undecided", "undecided")
