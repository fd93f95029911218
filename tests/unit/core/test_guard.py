"""The last resort: what it reports, how often, and how the script goes on."""

import asyncio
import json
import logging
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.core.conftest import State
from vv_core import quarantine
from vv_core.guard import guard
from vv_core.jobs import job
from vv_core.schemas import check_schema
from vv_core.stages import stage
from vv_core.testing import Events, captured


def fail(message: str = "no frames") -> None:
    raise ValueError(message)


def exceptions(events: Events) -> list[dict[str, Any]]:
    return events.of("exception")


class TestReport:
    def test_type_message_traceback_and_video_are_told_and_the_exception_goes_on(self) -> None:
        with captured() as events, pytest.raises(ValueError, match="no frames") as caught:  # noqa: SIM117
            with guard(component="scan_video.py", video="a.mp4", video_sha256="ab"):
                fail()

        (event,) = events
        calls = event.pop("traceback")
        assert event == {
            "v": 1,
            "type": "exception",
            "component": "scan_video.py",
            "exception": "ValueError",
            "error": "no frames",
            "video": "a.mp4",
            "video_sha256": "ab",
        }
        assert calls.endswith("in fail\n    raise ValueError(message)")
        assert caught.value.__traceback__ is not None

    def test_it_is_logged_with_its_traceback(self, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(ValueError, match="no frames"), guard(component="scan_video.py", video="a.mp4"):
            fail()

        (record,) = caplog.records
        assert (record.name, record.levelno) == ("vv_core.guard", logging.ERROR)
        assert record.getMessage() == "unhandled ValueError in scan_video.py: no frames; video: a.mp4"
        assert record.exc_info is not None

    def test_a_success_is_not_reported(self) -> None:
        with captured() as events, guard():
            pass

        assert events == []

    @pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
    @pytest.mark.parametrize("then", ["raise", "exit", "continue"])
    def test_how_a_program_is_asked_to_end_is_no_failure_and_goes_on(self, error: BaseException, then: Any) -> None:
        with captured() as events, pytest.raises(type(error)) as caught, guard(then=then):
            raise error

        assert caught.value is error
        assert events == []

    def test_what_derives_from_base_exception_alone_is_a_failure(self) -> None:
        class PanicException(BaseException):  # as native code raises it
            pass

        with captured() as events, guard(then="continue"):
            raise PanicException("overflow")

        assert exceptions(events)[0]["exception"] == "PanicException"

    def test_hostile_exceptions_are_told_and_nothing_else_is_raised(self, caplog: pytest.LogCaptureFixture) -> None:
        class HostileError(Exception):
            def __str__(self) -> str:
                raise RuntimeError

            def __setattr__(self, name: str, value: object) -> None:
                raise RuntimeError

        with captured() as events, guard(component="x.py", then="continue"):
            raise HostileError
        with captured() as more, guard(component="x.py", then="continue"):
            raise ValueError("x\x1b[31m\n" * 100_000)

        assert exceptions(events)[0]["error"] == "<HostileError that cannot be printed: RuntimeError>"
        assert len(exceptions(more)[0]["error"].encode()) <= 1000
        assert exceptions(more)[0]["error"].isprintable()

    def test_of_a_long_traceback_the_end_is_told(self) -> None:
        def deep(level: int) -> None:
            if level:
                deep(level - 1)
            fail()

        with captured() as events, guard(then="continue"):
            deep(500)

        calls = exceptions(events)[0]["traceback"]
        assert len(calls.encode()) <= 4000
        assert calls.endswith("raise ValueError(message)")

    def test_it_can_be_told_in_any_state_of_the_journal(self, state: State) -> None:
        state.folder.write_text("no folder")

        with guard(then="continue"):
            fail()

    def test_component_and_video_are_those_of_the_stage_around(self) -> None:
        with captured() as events, stage("scan", video="a.mp4", component="scan_video.py"), guard(then="continue"):
            fail()

        assert (exceptions(events)[0]["component"], exceptions(events)[0]["video"]) == ("scan_video.py", "a.mp4")


class TestOnce:
    def test_one_that_a_stage_failed_with_is_the_stages(self, caplog: pytest.LogCaptureFixture) -> None:
        with captured() as events, guard(component="x.py", then="continue"), stage("scan_video"):
            fail()

        assert exceptions(events) == []
        assert events.of("stage.finished")[0]["exception"] == "ValueError"
        assert "unhandled ValueError" in caplog.text

    def test_one_that_passes_nested_stages_is_the_inner_ones(self) -> None:
        with captured() as events, guard(then="continue"), stage("outer"), stage("inner"):
            fail()

        inner, outer = events.of("stage.finished")
        assert (inner.get("exception"), outer.get("exception")) == ("ValueError", None)
        assert (inner["outcome"], outer["outcome"]) == ("failure", "failure")

    def test_one_that_a_job_failed_with_is_the_jobs(self) -> None:
        with captured() as events, guard(then="continue"), job("cleanup"):
            fail()

        assert exceptions(events) == []

    def test_one_that_a_validation_raised_is_the_validations(self) -> None:
        with captured() as events, guard(then="continue"):
            check_schema("[]", {"type": "object"})

        assert [event["type"] for event in events] == ["schema.validated"]

    def test_what_is_raised_from_one_that_was_told_is_the_same_cause(self) -> None:
        with captured() as events, guard(then="continue"):
            try:
                with stage("scan_video"):
                    fail()
            except ValueError as error:
                raise RuntimeError("scanning failed") from error

        assert exceptions(events) == []

    def test_what_happens_while_one_that_was_told_is_handled_is_another(self) -> None:
        with captured() as events, guard(then="continue"):
            try:
                with stage("scan_video"):
                    fail()
            except ValueError:
                raise OSError("disk full")  # noqa: B904

        assert [event["exception"] for event in exceptions(events)] == ["OSError"]

    def test_nested_guards_report_and_log_it_once(self, caplog: pytest.LogCaptureFixture) -> None:
        with captured() as events, guard(component="o.py", then="continue"), guard(component="i.py"):
            fail()

        assert [event["component"] for event in exceptions(events)] == ["i.py"]
        assert len(caplog.records) == 1


class TestThen:
    def test_continue(self) -> None:
        done = []
        with captured() as events:
            for number in range(3):
                with guard(then="continue"):
                    done.append(number)
                    fail(str(number))

        assert done == [0, 1, 2]
        assert [event["error"] for event in exceptions(events)] == ["0", "1", "2"]

    def test_exit(self) -> None:
        with captured() as events, pytest.raises(SystemExit) as caught, guard(then="exit"):
            fail()

        assert caught.value.code == 1
        assert len(exceptions(events)) == 1

    def test_another_word_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'ignore' is none of raise, exit, continue"):
            guard(then="ignore")  # type: ignore[arg-type]

    def test_as_decorator(self) -> None:
        @guard(component="x.py", then="continue")
        def double(number: int) -> int:
            """Twice as much."""
            if number < 0:
                fail()
            return 2 * number

        with captured() as events:
            results = [double(1), double(-1), double(2)]

        assert results == [2, None, 4]
        assert double.__doc__ == "Twice as much."
        assert len(exceptions(events)) == 1

    def test_as_decorator_of_a_coroutine_function(self) -> None:
        @guard(component="x.py", then="continue")
        async def work() -> int:
            await asyncio.sleep(0)
            fail()
            return 1

        with captured() as events:
            result = asyncio.run(work())  # type: ignore[arg-type]

        assert result is None
        assert len(exceptions(events)) == 1


class TestQuarantine:
    @pytest.fixture
    def video(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("VIDEO_STORAGE_ROOT", str(tmp_path))
        file = tmp_path / "input" / "a.mp4"
        file.parent.mkdir()
        file.write_bytes(b"FRAME")
        return file

    def test_the_video_is_moved_with_what_happened_to_it(self, tmp_path: Path, video: Path) -> None:
        with captured() as events, guard(component="scan_video.py", video=video, quarantine=True, then="continue"):
            fail()

        about = json.loads((tmp_path / "corrupted" / "a.mp4.meta.json").read_text())
        assert not video.exists()
        assert (tmp_path / "corrupted" / "a.mp4").read_bytes() == b"FRAME"
        assert (about["error_type"], about["source_component"]) == ("ValueError", "scan_video.py")
        assert "no frames" in about["error_message"]
        assert {event["type"] for event in events} == {"exception", "video.quarantined"}

    def test_a_success_leaves_it_where_it_is(self, video: Path) -> None:
        with guard(video=video, quarantine=True):
            pass
        with pytest.raises(KeyboardInterrupt), guard(video=video, quarantine=True):
            raise KeyboardInterrupt

        assert video.exists()

    def test_what_goes_wrong_with_it_does_not_hide_the_exception(
        self, video: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*args: object, **options: object) -> None:
            raise RuntimeError("no folder")

        monkeypatch.setattr(quarantine, "move_to_corrupted", broken)

        with captured(), pytest.raises(ValueError, match="no frames"), guard(video=video, quarantine=True):
            fail()

        assert "the guard itself failed: no folder" in caplog.text


class TestProcess:
    """Seen from outside, as cron or a service manager sees the script."""

    @staticmethod
    def run(state: State, code: str) -> tuple[int, str]:
        process = state.python(code, stderr=subprocess.PIPE)
        error = process.communicate(timeout=60)[1]
        return process.returncode, str(error)

    def test_without_logging_python_prints_the_traceback_once(self, state: State) -> None:
        for then in ("raise", "exit"):
            code, error = self.run(state, f"from vv_core.guard import guard\nwith guard('x.py', then='{then}'): 1 / 0")
            assert code == 1
            assert error.count("ZeroDivisionError: division by zero") == 1

        assert [event["exception"] for event in state.events("exception")] == ["ZeroDivisionError"] * 2

    def test_with_exit_and_logging_stderr_stays_silent(self, state: State) -> None:
        code, error = self.run(
            state,
            "from vv_core.guard import guard\nfrom vv_core.logs import setup_logging\nsetup_logging('x.py')\n"
            "with guard('x.py', then='exit'): 1 / 0",
        )

        assert (code, error) == (1, "")
        assert "unhandled ZeroDivisionError in x.py: division by zero" in state.log.read_text()
        assert "Traceback" in state.log.read_text()

    def test_continue_without_logging_prints_the_traceback(self, state: State) -> None:
        code, error = self.run(
            state, "from vv_core.guard import guard\nwith guard('x.py', then='continue'): 1 / 0\nprint(1)"
        )

        assert code == 0
        assert "ZeroDivisionError" in error

    def test_installed_it_reports_what_no_guard_is_around(self, state: State) -> None:
        code, error = self.run(
            state,
            "from vv_core import guard\nfrom vv_core.logs import setup_logging\nsetup_logging('x.py')\n"
            "guard.install('old.py')\nguard.install('x.py')\n{}['camera']",
        )

        (event,) = state.events("exception")
        assert (event["component"], event["exception"], event["error"]) == ("x.py", "KeyError", "'camera'")
        assert (code, error.count("KeyError: 'camera'")) == (1, 1)
        assert state.log.read_text().count("unhandled KeyError") == 1

    def test_installed_it_reports_threads_and_the_process_goes_on(self, state: State) -> None:
        code, error = self.run(
            state,
            "import threading\nfrom vv_core import guard\nguard.install('x.py')\n"
            "def work(): raise RuntimeError('in a thread')\n"
            "def leave(): raise SystemExit\n"
            "for target in (work, leave):\n"
            "    thread = threading.Thread(target=target); thread.start(); thread.join()",
        )

        assert [event["error"] for event in state.events("exception")] == ["in a thread"]
        assert (code, error.count("RuntimeError: in a thread")) == (0, 1)

    def test_an_exception_that_a_guard_reported_is_not_reported_by_the_hook_too(self, state: State) -> None:
        self.run(state, "from vv_core.guard import guard, install\ninstall('x.py')\nwith guard('x.py'): 1 / 0")

        assert len(state.events("exception")) == 1

    @pytest.mark.parametrize("code", ["raise SystemExit(0)", "import os, signal; os.kill(os.getpid(), signal.SIGINT)"])
    def test_installed_it_says_nothing_of_an_exit_or_an_interrupt(self, state: State, code: str) -> None:
        self.run(state, f"from vv_core.guard import install\ninstall('x.py')\n{code}")

        assert state.events("exception") == []

    def test_a_forked_child_is_guarded_as_well(self, state: State) -> None:
        self.run(
            state,
            "import multiprocessing\nfrom vv_core.guard import guard\n"
            "@guard('child.py')\ndef work(): 1 / 0\n"
            "process = multiprocessing.get_context('fork').Process(target=work); process.start(); process.join()",
        )

        assert [event["component"] for event in state.lines() if event["type"] == "writer"] == ["child.py"]
        assert [event["exception"] for event in state.events()] == ["ZeroDivisionError"]

    def test_ctrl_c_ends_a_guarded_script_as_ever(self, state: State) -> None:
        process = state.python(
            "import signal, time\nfrom vv_core.guard import guard\n"
            # Many sleeps: a signal that comes just before one is noticed after it, in every Python.
            "with guard('x.py', then='exit'):\n    print('ready', flush=True)\n"
            "    for _ in range(1200):\n        time.sleep(0.05)",
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)

        assert process.wait(timeout=30) == -signal.SIGINT
        process.stdout.close()
        assert [event["type"] for event in state.events()] == ["script.started", "script.ended"]
