"""What each event changes, exactly: the entry of the timeline, the failure that is quoted, each series and document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import Clock
from vv_exporter.common.processes import Process
from vv_exporter.containers.records import CLAIMS, CONTAINERS, GONE, Claim, ContainerRecord
from vv_exporter.journal import events
from vv_exporter.journal.folds import Folds, Source, discover, videos
from vv_exporter.journal.folds import alerts as folds_of_alerts
from vv_exporter.journal.folds.stages import CRASH
from vv_exporter.journal.folds.supervisor import SUPERVISED, Supervised
from vv_exporter.metrics import Metric
from vv_exporter.metrics.alerts import ALERT_EVENTS, ALERT_SUPPRESSED, ALERTS_DROPPED
from vv_exporter.metrics.exceptions import EXCEPTIONS_UNHANDLED, SCRIPT_CRASHES
from vv_exporter.metrics.exporter import EVENTS_DROPPED
from vv_exporter.metrics.jobs import (
    JOB_LAST_COMPLETION,
    JOB_LAST_DURATION,
    JOB_LAST_EXIT_CODE,
    JOB_LAST_START,
    JOB_LAST_SUCCESS,
    JOB_RUNS,
    JOB_SKIPPED,
)
from vv_exporter.metrics.pipeline import EXCEPTIONS, STAGE_DURATION, STAGE_LAST_SUCCESS, STAGE_OVERRUNS
from vv_exporter.metrics.security import HMAC_OPERATIONS, SCHEMA_VALIDATIONS
from vv_exporter.metrics.self_monitor import LAST_CHECK, SUPERVISED_RESTARTS
from vv_exporter.metrics.videos import VIDEOS_EXHAUSTED, VIDEOS_QUARANTINED
from vv_exporter.settings import load
from vv_exporter.state.dvrs import LINKS, Link
from vv_exporter.state.failures import FAILURES, Failure
from vv_exporter.state.openalerts import ALERTS, ENDED, OpenAlert
from vv_exporter.state.runs import JOB_RUNS_OPEN, SCRIPTS, STAGE_RUNS, Run, Script
from vv_exporter.state.stagelimits import RECENT_RUNS
from vv_exporter.state.store import Kind, Store
from vv_exporter.state.timeline import Entry, Filter, read

NOW = 1_700_000_000.0
THEN = NOW - 100
SHA = "ab" * 32
SOURCE = Source("w", "cam.py", "b", locks=True, process=Process(5, 6, "n"))


class Fold:
    """The folds over a store, one transaction an event; the clock stands still."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.clock = Clock(NOW)
        self.store = Store(folder / "state.db", self.clock)
        self.store._connection.execute("PRAGMA synchronous = OFF")  # no power is cut here
        self.settings = load({"VV_STATE_DIR": str(folder), "VV_CONFIG": str(folder / "vv.yml"), **environ})
        self.folds: Folds = discover()

    def __call__(self, *given: events.Event, source: Source = SOURCE) -> None:
        with self.store.transaction() as tx:
            for event in given:
                self.folds.handlers[type(event)](tx, event, source, self.settings)

    def gone(self, writer: str = "w", last_seen: float = NOW - 5) -> None:
        with self.store.transaction() as tx:
            for handler in self.folds.writer_gone:
                handler(tx, writer, last_seen)

    def put(self, kind: Kind[Any], key: str, document: Any) -> None:
        with self.store.transaction() as tx:
            tx.put(kind, key, document)

    def told(self) -> list[tuple[float, Entry]]:
        """The timeline, oldest first."""
        names = Entry.__struct_fields__
        page = read(self.store, Filter(), 1000).moments
        return [(one.time, Entry(**{name: getattr(one, name) for name in names})) for one in reversed(page)]

    def failures(self) -> list[Failure]:
        return sorted(self.store.docs(FAILURES).values(), key=lambda one: (one.component, one.kind))

    def value(self, metric: Metric, *labels: str) -> float | None:
        return self.store.value(metric, labels)

    def observed(self, metric: Metric, *labels: str) -> tuple[int, float]:
        series = self.store.find(metric, labels)
        return (sum(series.counts), series.value) if series else (0, 0.0)


@pytest.fixture
def fold(tmp_path: Path) -> Iterator[Fold]:
    (tmp_path / "vv.yml").write_text("stages: {sized: {limit: 10s, limit_per_gb: 20s}}\n")
    made = Fold(tmp_path)
    yield made
    made.store.close()


def run(**more: Any) -> Run:
    return Run(**{"name": "scan", "component": "cam.py", "writer": "w", "started": THEN, **more})


class TestJobs:
    def start(self, **more: Any) -> events.JobStarted:
        return events.JobStarted(1, THEN, run="r", job="nightly", **more)

    def finish(self, result: str = "success", **more: Any) -> events.JobFinished:
        given = {"ts": NOW - 10, "run": "r", "job": "nightly", "result": result, "seconds": 2.5, **more}
        return events.JobFinished(1, **given)

    def test_a_start(self, fold: Fold) -> None:
        fold(self.start(mono=7.0))

        assert fold.store.docs(JOB_RUNS_OPEN) == {
            "r": run(name="nightly", mono=7.0, boot="b", process=Process(5, 6, "n"))
        }
        assert [fold.value(JOB_RUNS, "nightly", result) for result in ("success", "failure", "crashed")] == [0, 0, 0]
        assert fold.value(JOB_LAST_START, "nightly") == THEN
        fold(self.start(component="own"))
        assert fold.store.docs(JOB_RUNS_OPEN)["r"].component == "own"

    def test_a_success(self, fold: Fold) -> None:
        fold(self.start(), self.finish())

        assert fold.store.docs(JOB_RUNS_OPEN) == {}
        assert (fold.value(JOB_RUNS, "nightly", "success"), fold.value(JOB_RUNS, "nightly", "failure")) == (1, 0)
        shown = (JOB_LAST_COMPLETION, JOB_LAST_DURATION, JOB_LAST_EXIT_CODE, JOB_LAST_SUCCESS)
        assert [fold.value(metric, "nightly") for metric in shown] == [NOW - 10, 2.5, 0, NOW - 10]
        assert (fold.told(), fold.failures()) == ([], [])

    @pytest.mark.parametrize(
        ("result", "given", "shown"),
        [("success", None, 0), ("success", 3, 3), ("failure", None, 1), ("failure", 0, 0), ("odd", None, 1)],
    )
    def test_the_exit_code_is_the_given_one(self, fold: Fold, result: str, given: int | None, shown: int) -> None:
        fold(self.finish(result, exit_code=given))

        assert fold.value(JOB_LAST_EXIT_CODE, "nightly") == shown

    def test_a_failure(self, fold: Fold) -> None:
        fold(self.finish("failure", exit_code=3, error="it broke", output="first\nlast\n"))

        entry = Entry("job.failed", "Job nightly failed with exit code 3 after 2.5 s", "error", "cam.py",
                      "it broke\nfirst\nlast\n")  # fmt: skip
        assert [(time, one.title, one.severity, one.component) for time, one in fold.told()] == [
            (NOW - 10, entry.title, "error", "cam.py")
        ]
        assert fold.told()[0][1].details.split() == entry.details.split()
        assert fold.failures() == [Failure("cam.py", "job_failure:nightly", NOW - 10, error="it broke: last")]
        assert (fold.value(JOB_RUNS, "nightly", "failure"), fold.value(JOB_LAST_SUCCESS, "nightly")) == (1, None)

    def test_a_failure_of_which_nothing_is_said(self, fold: Fold) -> None:
        fold(self.finish("failure", component="own"))

        assert [(one.title, one.component) for _, one in fold.told()] == [("Job nightly failed after 2.5 s", "own")]
        assert fold.failures() == [Failure("own", "job_failure:nightly", NOW - 10)]

    def test_of_a_long_output_the_end_is_told(self, fold: Fold) -> None:
        fold(self.finish("failure", output="start " + "x" * 3000 + " the end"))

        details = fold.told()[0][1].details
        assert details.endswith("the end")
        assert "start" not in details
        assert len(details) == 750

    def test_one_that_ended_before_the_latest_moves_nothing_back(self, fold: Fold) -> None:
        fold(self.finish(seconds=1.0, exit_code=7), self.finish("failure", ts=NOW - 11, seconds=9.0))

        assert fold.value(JOB_LAST_COMPLETION, "nightly") == NOW - 10
        assert fold.value(JOB_LAST_DURATION, "nightly") == 1.0
        assert fold.value(JOB_LAST_EXIT_CODE, "nightly") == 7
        fold(self.finish(seconds=-4.0))
        assert fold.value(JOB_LAST_DURATION, "nightly") == 0.0

    def test_one_that_was_not_begun(self, fold: Fold) -> None:
        fold(events.JobSkipped(1, THEN, job="nightly", reason="it still runs"))

        assert fold.value(JOB_SKIPPED, "nightly") == 1
        assert fold.told() == [
            (THEN, Entry("job.skipped", "Job nightly was not begun", "warning", "cam.py", "it still runs"))
        ]

    def test_a_heartbeat(self, fold: Fold) -> None:
        fold(events.Heartbeat(1, THEN, job="beat"))

        assert [fold.value(JOB_RUNS, "beat", result) for result in ("success", "failure", "crashed")] == [1, 0, 0]
        assert (fold.value(JOB_LAST_SUCCESS, "beat"), fold.value(JOB_LAST_COMPLETION, "beat")) == (THEN, THEN)

    @pytest.mark.parametrize(("last_seen", "ended"), [(NOW - 5, NOW - 5), (THEN - 50, THEN)])
    def test_a_crash(self, fold: Fold, last_seen: float, ended: float) -> None:
        fold.put(JOB_RUNS_OPEN, "other", run(name="kept", writer="x"))
        fold(self.start())
        fold.gone(last_seen=last_seen)

        assert list(fold.store.docs(JOB_RUNS_OPEN)) == ["other"]
        assert fold.value(JOB_RUNS, "nightly", "crashed") == 1
        assert fold.value(JOB_LAST_COMPLETION, "nightly") == ended
        assert fold.told() == [(ended, Entry("job.crashed", "Job nightly crashed", "error", "cam.py", CRASH))]
        assert fold.failures() == [Failure("cam.py", "job_crash:nightly", ended, error=CRASH)]


class TestStages:
    def start(self, **more: Any) -> events.StageStarted:
        return events.StageStarted(1, THEN, **{"run": "r", "stage": "scan", **more})

    def finish(self, outcome: str = "success", **more: Any) -> events.StageFinished:
        given = {"ts": NOW - 10, "run": "r", "stage": "scan", "outcome": outcome, "seconds": 2.5, **more}
        return events.StageFinished(1, **given)

    def test_a_start(self, fold: Fold) -> None:
        fold(self.start(mono=7.0, video="a.mp4", video_bytes=4, video_seconds=3.0))

        assert fold.store.docs(STAGE_RUNS) == {
            "r": run(mono=7.0, boot="b", process=Process(5, 6, "n"), video="a.mp4", video_bytes=4, video_seconds=3.0)
        }
        assert [fold.observed(STAGE_DURATION, "scan", one) for one in ("success", "failure", "crashed")] == [(0, 0)] * 3
        assert all(fold.store.find(STAGE_DURATION, ("scan", one)) for one in ("success", "failure", "crashed"))
        assert fold.value(STAGE_OVERRUNS, "scan") == 0

    @pytest.mark.parametrize(
        ("limit", "scales", "given", "found"),
        [
            (None, False, None, True),
            (5.0, False, 5.0, False),
            (5.0, True, 5.0, True),
            (0.0, False, None, True),
            (-1.0, True, None, True),
        ],
    )
    def test_a_limit_of_its_own_scales_only_if_it_says_so(
        self, fold: Fold, limit: float | None, scales: bool, given: float | None, found: bool
    ) -> None:
        fold(self.start(limit=limit, limit_scales=scales))

        one = fold.store.docs(STAGE_RUNS)["r"]
        assert (one.given, one.scales, one.limit) == (given, found, given)

    def test_what_is_noted_later_is_kept_with_what_was_known(self, fold: Fold) -> None:
        fold(self.start(stage="sized", video="a.mp4", video_bytes=4, video_seconds=3.0))
        fold(events.StageNoted(1, NOW, run="r", stage="sized", video_sha256=SHA))
        one = fold.store.docs(STAGE_RUNS)["r"]
        assert (one.video, one.video_sha256, one.video_bytes, one.video_seconds) == ("a.mp4", SHA, 4, 3.0)

        more = {"video": "b.mp4", "video_bytes": 2_000_000_000, "video_seconds": 9.0}
        fold(events.StageNoted(1, NOW, run="r", stage="sized", **more))  # type: ignore[arg-type]
        one = fold.store.docs(STAGE_RUNS)["r"]
        assert (one.video, one.video_sha256, one.video_bytes, one.video_seconds) == ("b.mp4", SHA, 2_000_000_000, 9.0)
        assert one.limit == 10 + 2 * 20
        fold(events.StageNoted(1, NOW, run="unknown", stage="sized"))
        assert list(fold.store.docs(STAGE_RUNS)) == ["r"]

    def test_a_success(self, fold: Fold) -> None:
        fold(self.start(), self.finish())

        assert fold.store.docs(STAGE_RUNS) == {}
        assert fold.observed(STAGE_DURATION, "scan", "success") == (1, 2.5)
        assert fold.value(STAGE_LAST_SUCCESS, "scan") == NOW - 10
        assert fold.store.docs(RECENT_RUNS)["scan"].seconds == (2.5,)
        assert (fold.told(), fold.failures(), fold.value(STAGE_OVERRUNS, "scan")) == ([], [], 0)

    def test_a_failure(self, fold: Fold) -> None:
        fold(self.finish("odd", seconds=-1.0, error="no frames", exception="OSError", video="a.mp4", video_sha256=SHA))

        assert fold.observed(STAGE_DURATION, "scan", "failure") == (1, 0)
        assert fold.value(EXCEPTIONS, "cam.py", "OSError") == 1
        title = "Stage scan failed after -1.0 s"
        assert fold.told() == [(NOW - 10, Entry("stage.failed", title, "error", "cam.py", "no frames", "a.mp4", SHA))]
        assert fold.failures() == [Failure("cam.py", "stage_failure:scan", NOW - 10, "a.mp4", SHA, "no frames")]
        assert (fold.value(STAGE_LAST_SUCCESS, "scan"), fold.store.docs(RECENT_RUNS)) == (None, {})

    def test_a_failure_that_names_no_video_is_of_the_runs(self, fold: Fold) -> None:
        fold(self.start(video="a.mp4"), events.StageNoted(1, NOW, run="r", stage="scan", video_sha256=SHA))
        fold(self.finish("failure", component="own"))

        (failure,) = fold.failures()
        assert (failure.component, failure.video, failure.video_sha256) == ("own", "a.mp4", SHA)
        assert fold.store.series(EXCEPTIONS) == [] or not list(fold.store.series(EXCEPTIONS))

    def test_texts_are_cut_for_what_is_quoted(self, fold: Fold) -> None:
        long = {"video": "v" * 201, "video_sha256": "s" * 65, "error": "e" * 301}
        fold(self.finish("failure", **long))

        (failure,) = fold.failures()
        assert (len(failure.video), len(failure.video_sha256), len(failure.error)) == (200, 64, 300)
        assert (failure.video[-1], failure.video_sha256[-1], failure.error[-1]) == ("…", "…", "…")

    @pytest.mark.parametrize(("seconds", "overran"), [(5.0, False), (5.1, True)])
    def test_a_run_beyond_its_limit(self, fold: Fold, seconds: float, overran: bool) -> None:
        fold(self.start(limit=5.0, video="a.mp4"), self.finish(seconds=seconds))

        assert fold.value(STAGE_OVERRUNS, "scan") == (1 if overran else 0)
        title = "Stage scan takes longer than 5 s"
        entry = Entry("stage.overran", title, "warning", "cam.py", "", "a.mp4")
        assert fold.told() == ([(NOW - 10, entry)] if overran else [])
        assert fold.failures() == (
            [Failure("cam.py", "stage_overrun:scan", NOW - 10, "a.mp4", error=title)] if overran else []
        )

    def test_one_that_was_noticed_before_or_whose_size_is_not_known_is_no_overrun(self, fold: Fold) -> None:
        fold.put(STAGE_RUNS, "r", run(given=5.0, limit=5.0, overdue=True))
        fold(self.finish(seconds=50.0))
        fold(self.start(stage="sized"), self.finish(stage="sized", seconds=500.0))

        assert [one.kind for _, one in fold.told()] == []
        assert (fold.value(STAGE_OVERRUNS, "scan") or 0, fold.value(STAGE_OVERRUNS, "sized")) == (0, 0)

    @pytest.mark.parametrize(("last_seen", "ended", "seconds"), [(THEN + 90, THEN + 90, 90.0), (THEN - 50, THEN, 0.0)])
    def test_a_crash(self, fold: Fold, last_seen: float, ended: float, seconds: float) -> None:
        fold.put(STAGE_RUNS, "other", run(name="kept", writer="x"))
        fold(self.start(video="v" * 201), events.StageNoted(1, NOW, run="r", stage="scan", video_sha256="s" * 65))
        fold.gone(last_seen=last_seen)

        assert list(fold.store.docs(STAGE_RUNS)) == ["other"]
        assert fold.observed(STAGE_DURATION, "scan", "crashed") == (1, seconds)
        ((time, entry),) = fold.told()
        assert (time, entry.kind, entry.title) == (ended, "stage.crashed", "Stage scan crashed")
        assert (entry.severity, entry.component, entry.details) == ("error", "cam.py", CRASH)
        (failure,) = fold.failures()
        assert (failure.kind, failure.time, failure.error) == ("stage_crash:scan", ended, CRASH)
        assert (len(failure.video), len(failure.video_sha256)) == (200, 64)


class TestScripts:
    def test_that_end_are_no_more(self, fold: Fold) -> None:
        fold(events.ScriptStarted(1, THEN, video="a.mp4", video_sha256=SHA))
        assert fold.store.docs(SCRIPTS) == {"w": Script("w", "cam.py", "a.mp4", SHA)}
        assert fold.value(SCRIPT_CRASHES, "cam.py") == 0
        fold(events.ScriptEnded(1, NOW))
        fold.gone()

        assert (fold.store.docs(SCRIPTS), fold.told(), fold.value(SCRIPT_CRASHES, "cam.py")) == ({}, [], 0)

    def test_that_do_not_have_crashed(self, fold: Fold) -> None:
        fold(events.ScriptStarted(1, THEN, component="own", video="v" * 201, video_sha256="s" * 65))
        fold.gone("other")
        assert fold.told() == []
        fold.gone()

        assert (fold.store.docs(SCRIPTS), fold.value(SCRIPT_CRASHES, "own")) == ({}, 1)
        ((time, entry),) = fold.told()
        assert (time, entry.kind, entry.title, entry.severity) == (NOW - 5, "script.crashed", "own crashed", "error")
        (failure,) = fold.failures()
        assert (failure.kind, failure.time, failure.error) == ("crash", NOW - 5, CRASH)
        assert (len(failure.video), len(failure.video_sha256)) == (200, 64)

    def test_that_were_a_stage_crash_once(self, fold: Fold) -> None:
        fold(events.ScriptStarted(1, THEN), events.StageStarted(1, THEN, run="r", stage="scan"))
        fold.gone()

        assert [entry.kind for _, entry in fold.told()] == ["stage.crashed"]
        assert fold.value(SCRIPT_CRASHES, "cam.py") == 0

    def test_that_run_beside_anothers_stage_crash_for_themselves(self, fold: Fold) -> None:
        fold.put(STAGE_RUNS, "r", run(writer="x"))
        fold(events.ScriptStarted(1, THEN))
        fold.gone()

        assert [entry.kind for _, entry in fold.told()] == ["script.crashed"]


class TestVideos:
    def exhausted(self, id_: str = "1", **more: Any) -> events.VideoExhausted:
        given = {"stage": "scan", "attempts": 3, "error": "no frames", "video": "a.mp4", "video_sha256": SHA, **more}
        return events.VideoExhausted(1, THEN, id=id_, **given)

    def test_that_are_given_up(self, fold: Fold) -> None:
        fold(self.exhausted(), self.exhausted())

        assert fold.value(VIDEOS_EXHAUSTED, "scan") == 1
        title = "Stage scan gave up on a video after 3 attempts"
        assert fold.told() == [(THEN, Entry("video.exhausted", title, "error", "cam.py", "no frames", "a.mp4", SHA))]
        assert fold.failures() == [Failure("cam.py", "exhausted:scan", THEN, "a.mp4", SHA, "no frames")]

    def test_that_go_to_quarantine(self, fold: Fold) -> None:
        given = {"path": "/c", "reason": "torn", "error": "e" * 301, "video": "v" * 201, "video_sha256": "s" * 65}
        fold(events.VideoQuarantined(1, THEN, id="1", component="own", **given))

        assert fold.value(VIDEOS_QUARANTINED, "own", "torn") == 1
        ((time, entry),) = fold.told()
        assert (time, entry.kind, entry.title) == (THEN, "video.quarantined", "A file was moved to corrupted/: torn")
        (failure,) = fold.failures()
        assert (failure.component, failure.kind) == ("own", "quarantined:torn")
        assert (len(failure.video), len(failure.video_sha256), len(failure.error)) == (200, 64, 300)

    @pytest.mark.parametrize("length", [128, 129])
    def test_names_become_labels_of_128_characters(self, fold: Fold, length: int) -> None:
        fold(self.exhausted(stage="s" * length))
        fold(events.VideoQuarantined(1, THEN, id="2", path="/c", video="a", reason="r" * length))

        cut = length > 128
        assert fold.value(VIDEOS_EXHAUSTED, "s" * 127 + ("…" if cut else "s")) == 1
        assert fold.value(VIDEOS_QUARANTINED, "cam.py", "r" * 127 + ("…" if cut else "r")) == 1

    def test_without_an_id_each_counts(self, fold: Fold) -> None:
        fold(self.exhausted(""), self.exhausted(""))

        assert fold.value(VIDEOS_EXHAUSTED, "scan") == 2
        assert fold.store.docs(videos.SEEN) == {}

    def test_of_the_ids_the_latest_are_remembered(self, fold: Fold, monkeypatch: pytest.MonkeyPatch) -> None:
        assert videos.MAX_SEEN == 2000
        monkeypatch.setattr(videos, "MAX_SEEN", 2)
        for id_ in ("a", "b", "c", "d"):
            fold.clock.advance(1)
            fold(self.exhausted(id_))

        assert sorted(fold.store.docs(videos.SEEN)) == ["c", "d"]
        assert fold.store.docs(videos.SEEN)["d"].time == NOW + 4


def test_an_exception_that_nothing_handled(fold: Fold) -> None:
    given = {
        "exception": "OSError",
        "error": "gone",
        "traceback": "File a\n  line 1",
        "video": "a",
        "video_sha256": SHA,
    }
    fold(events.ExceptionUnhandled(1, THEN, **given))

    assert (fold.value(EXCEPTIONS, "cam.py", "OSError"), fold.value(EXCEPTIONS_UNHANDLED, "cam.py", "OSError")) == (
        1,
        1,
    )
    ((time, entry),) = fold.told()
    assert (time, entry.kind, entry.title, entry.severity) == (THEN, "exception", "Unhandled OSError", "error")
    assert entry.details == "gone\nFile a\n  line 1"
    assert (entry.video, entry.video_sha256, entry.component) == ("a", SHA, "cam.py")
    assert fold.failures() == [Failure("cam.py", "exception:OSError", THEN, "a", SHA, "OSError: gone | File a line 1")]


@pytest.mark.parametrize("calls", [0, 284, 285, 286, 287, 500])
def test_of_a_long_traceback_the_end_is_quoted_as_far_as_there_is_room(fold: Fold, calls: int) -> None:
    fold(
        events.ExceptionUnhandled(
            1, THEN, exception="OSError", error="gone", traceback="x" * calls + ("y" * bool(calls))
        )
    )

    (failure,) = fold.failures()
    head = "OSError: gone"
    room = 300 - len(head) - 3
    whole = calls + 1 <= room
    assert failure.error == (
        head if not calls else f"{head} | " + ("x" * calls + "y" if whole else "…" + "x" * (room - 2) + "y")
    )
    assert len(failure.error) <= 300


def test_of_a_long_message_and_traceback_each_has_its_part(fold: Fold) -> None:
    long = {"exception": "OSError", "error": "m" * 5000, "traceback": "a" + "t" * 5000 + "z"}
    fold(events.ExceptionUnhandled(1, THEN, component="own", video="v" * 201, video_sha256="s" * 65, **long))

    ((_, entry),) = fold.told()
    message, _, calls = entry.details.partition("\n")
    assert (len(message), len(calls), calls[-1]) == (500, 750, "z")
    (failure,) = fold.failures()
    assert (len(failure.error), failure.error[149], failure.error[-1]) == (300, "…", "z")
    assert (len(failure.video), len(failure.video_sha256), failure.component) == (200, 64, "own")


@pytest.mark.parametrize(("result", "valid"), [("valid", True), ("invalid", False), ("odd", False)])
def test_a_document_that_was_validated(fold: Fold, result: str, valid: bool) -> None:
    given = {"path": "$.a", "error": "is no number", "excerpt": "{", "video": "v", "video_sha256": SHA}
    fold(events.SchemaValidated(1, THEN, schema="analytic", result=result, **given))

    counted = [fold.value(SCHEMA_VALIDATIONS, "analytic", "cam.py", one) for one in ("valid", "invalid")]
    assert counted == ([1, 0] if valid else [0, 1])
    error = "$.a: is no number; it begins: {"
    title = "JSON is not valid by the schema analytic"
    assert fold.told() == (
        [] if valid else [(THEN, Entry("schema.invalid", title, "error", "cam.py", error, "v", SHA))]
    )
    assert fold.failures() == ([] if valid else [Failure("cam.py", "schema:analytic", THEN, "v", SHA, error)])


def test_a_document_of_which_little_is_said(fold: Fold) -> None:
    fold(events.SchemaValidated(1, THEN, schema="a", result="invalid", error="no", component="own",
                                video="v" * 201, video_sha256="s" * 65))  # fmt: skip

    (failure,) = fold.failures()
    assert (failure.component, failure.error, len(failure.video), len(failure.video_sha256)) == ("own", "no", 200, 64)


@pytest.mark.parametrize(
    ("operation", "result", "shown", "title"),
    [
        ("sign", "ok", ("sign", "ok"), ""),
        ("sign", "x", ("sign", "failed"), "A payload could not be signed"),
        ("verify", "failed", ("verify", "failed"), "A signature could not be verified"),
        ("odd", "ok", ("verify", "ok"), ""),
    ],
)
def test_a_signature(fold: Fold, operation: str, result: str, shown: tuple[str, str], title: str) -> None:
    fold(events.HmacUsed(1, THEN, operation=operation, result=result, reason="no key", key_id="k", error="e"))

    for one in ("ok", "failed"):
        assert fold.value(HMAC_OPERATIONS, shown[0], "cam.py", one) == (one == shown[1])
    error = "no key (key k): e"
    assert fold.told() == ([(THEN, Entry("hmac.failed", title, "critical", "cam.py", error))] if title else [])
    assert fold.failures() == ([Failure("cam.py", f"hmac:{shown[0]}", THEN, error=error)] if title else [])


def test_a_signature_of_which_little_is_said(fold: Fold) -> None:
    fold(events.HmacUsed(1, THEN, operation="sign", result="failed", component="own"))

    assert [(one.component, one.error) for one in fold.failures()] == [("own", "failed:")]


@pytest.mark.parametrize(("count", "told"), [(0, "0 events"), (1, "1 event"), (3, "3 events")])
def test_events_that_were_lost(fold: Fold, count: int, told: str) -> None:
    fold(events.Dropped(1, THEN, count=count))

    assert fold.value(EVENTS_DROPPED, "cam.py") == count
    assert fold.told() == [(THEN, Entry("events.dropped", f"{told} lost", "warning", "cam.py"))]


def test_a_storage_that_was_accepted(fold: Fold) -> None:
    fold(events.StorageAccepted(1, THEN))

    title = "The file system of the video storage was accepted as it is"
    assert fold.told() == [(THEN, Entry("storage.accepted", title, component="cam.py"))]


class TestSelfMonitor:
    def test_it_announces(self, fold: Fold) -> None:
        fold.put(SUPERVISED, "web", Supervised(in_window=2, max=5))
        for name in ("web", "new"):
            fold(events.ContainerRestarting(1, THEN, name=name, container="1", attempt=f"a-{name}"))

        assert fold.store.docs(SUPERVISED) == {"web": Supervised(in_window=2, max=5), "new": Supervised()}
        assert fold.store.docs(CLAIMS)["a-web"] == Claim("1", THEN, NOW)
        assert [fold.value(SUPERVISED_RESTARTS, "web", result) for result in ("ok", "failed")] == [0, 0]

    @pytest.mark.parametrize(("result", "shown"), [("ok", "ok"), ("failed", "failed"), ("odd", "failed")])
    def test_it_restarts_each_once(self, fold: Fold, result: str, shown: str) -> None:
        event = events.ContainerRestarted(1, THEN, name="web", attempt="a", result=result, error="no disk")
        fold(event, event)

        assert fold.value(SUPERVISED_RESTARTS, "web", shown) == 1
        assert fold.store.docs(SUPERVISED)["web"] == Supervised(attempt="a")
        title = "Container web could not be restarted"
        entry = Entry("container.restart_failed", title, "error", "web", "no disk")
        assert fold.told() == ([(THEN, entry)] if shown == "failed" else [])

    def gave_up(self, **more: Any) -> events.ContainerGaveUp:
        given = {"name": "web", "restarts": 5, "reason": "it ended", "log_tail": "", **more}
        return events.ContainerGaveUp(1, THEN, **given)

    def test_it_gives_up(self, fold: Fold) -> None:
        fold(self.gave_up(log_tail="a  b\n\n c\n"), self.gave_up(restarts=6))

        assert fold.store.docs(SUPERVISED)["web"] == Supervised(gave_up=True, in_window=6)
        ((time, entry),) = fold.told()
        assert (time, entry.kind, entry.severity, entry.component) == (THEN, "container.gave_up", "critical", "web")
        assert entry.title == "The self-monitor gave up on container web after 5 restarts"
        assert entry.details.startswith("it ended\na  b")
        assert fold.failures() == [Failure("web", "container_failed", THEN, error="it ended")]

    @pytest.mark.parametrize("length", [500, 566, 567, 568, 700])
    def test_it_quotes_the_end_of_what_was_said_last(self, fold: Fold, length: int) -> None:
        fold(self.gave_up(log_tail="f" + "x" * (length - 2) + "l"))

        (failure,) = fold.failures()
        head = "it ended; it said last: "
        room = 600 - len(head)
        tail = "f" + "x" * (length - 2) + "l"
        assert failure.error == head + (tail if length <= room else "…" + tail[length - room + 1 :])
        assert len(failure.error) == min(600, len(head) + length)

    def test_it_quotes_lines_in_one_and_cuts_the_reason(self, fold: Fold) -> None:
        fold(self.gave_up(reason="r" * 301, log_tail=" a\n\n  b "))

        assert fold.failures()[0].error == "r" * 299 + "…; it said last: a | b"

    def test_it_takes_up_again(self, fold: Fold) -> None:
        fold(events.ContainerResumed(1, THEN, name="web", reason="by hand"))
        assert (fold.told(), fold.store.docs(SUPERVISED)) == ([], {})
        for gave_up, kinds in ((False, []), (True, ["container.resumed"])):
            fold.put(SUPERVISED, "web", Supervised(in_window=4, max=5, gave_up=gave_up, attempt="a"))
            fold(events.ContainerResumed(1, THEN, name="web", reason="by hand"))
            assert fold.store.docs(SUPERVISED) == {"web": Supervised(max=5, attempt="a")}
            assert [entry.kind for _, entry in fold.told()] == kinds
        title = "The self-monitor has taken up container web again"
        assert fold.told() == [(THEN, Entry("container.resumed", title, "info", "web", "by hand"))]

    @pytest.mark.parametrize(("state", "gone_at"), [(GONE, 0.0), ("exited", 7.0)])
    def test_it_forgets(self, fold: Fold, state: str, gone_at: float) -> None:
        fold(events.ContainerRestarting(1, THEN, name="web", container="1", attempt="a"))
        fold.put(CONTAINERS, "web", ContainerRecord(name="web", id="1", state=state, wanted=True, gone_at=7.0))
        fold(events.ContainerForgotten(1, NOW, name="web"), events.ContainerForgotten(1, NOW, name="unknown"))

        record = fold.store.docs(CONTAINERS)["web"]
        assert (record.wanted, record.gone_at, record.state) == (False, gone_at, state)
        assert list(fold.store.docs(CONTAINERS)) == ["web"]
        assert (fold.store.docs(SUPERVISED), fold.value(SUPERVISED_RESTARTS, "web", "ok")) == ({}, None)
        assert fold.value(SUPERVISED_RESTARTS, "web", "failed") is None

    def test_it_looks(self, fold: Fold) -> None:
        checked = events.SupervisorChecked
        fold.put(SUPERVISED, "old", Supervised())
        fold.put(SUPERVISED, "web", Supervised(attempt="a"))
        look = {"web": events.Supervision(2, 5, False), "new": events.Supervision(0, 0, False)}
        fold(checked(1, THEN, containers=look))

        assert fold.value(LAST_CHECK) == THEN
        assert fold.store.docs(SUPERVISED) == {"web": Supervised(2, 5, False, "a"), "new": Supervised()}
        assert fold.value(SUPERVISED_RESTARTS, "new", "ok") == 0
        fold(checked(1, THEN - 1, containers={}))
        assert len(fold.store.docs(SUPERVISED)) == 2
        fold(checked(1, THEN, containers={"web": events.Supervision(3, 5, True)}))
        assert fold.store.docs(SUPERVISED) == {"web": Supervised(3, 5, True, "a")}

    def test_it_retires(self, fold: Fold) -> None:
        fold(events.SupervisorChecked(1, THEN, containers={"web": events.Supervision(2, 5, False)}))
        fold(events.SupervisorRetired(1, NOW))

        assert (fold.value(LAST_CHECK), fold.store.docs(SUPERVISED)) == (None, {})


class TestDvrs:
    def frames(self, **more: Any) -> events.DvrFrames:
        return events.DvrFrames(1, **{"ts": NOW - 10, "dvr": "front", "frames": 5, "last": NOW - 11, **more})

    def link(self, **more: Any) -> Link:
        return Link(**{"dvr": "front", "source": "agent", "result": "ok", "time": THEN, "writer": "w", **more})

    def only(self, fold: Fold) -> Link:
        (found,) = fold.store.docs(LINKS).values()
        return found

    def put_link(self, fold: Fold, **more: Any) -> None:
        fold.put(LINKS, "agent\nfront", self.link(**more))

    def test_frames_tell_of_a_stream_whose_beginning_was_lost(self, fold: Fold) -> None:
        fold(self.frames())
        assert self.only(fold) == self.link(time=NOW - 11, frames=True)
        fold(self.frames(dvr="front", last=NOW + 5))
        assert self.only(fold).time == NOW - 11

    @pytest.mark.parametrize(
        ("known", "time"),
        [
            ({"result": "refused"}, NOW - 11),
            ({"writer": "x"}, NOW - 11),
            ({"gone": NOW - 50}, NOW - 11),
            ({"frames": False}, THEN),
            ({"frames": True}, THEN),
            ({"writer": "x", "time": NOW - 5}, NOW - 5),
            ({"writer": "x", "time": NOW - 11}, NOW - 11),
        ],
    )
    def test_frames_after_what_was_known(self, fold: Fold, known: dict[str, Any], time: float) -> None:
        self.put_link(fold, **known)
        before = self.only(fold)
        fold(self.frames())

        after = self.only(fold)
        mine = known.get("writer", "w") == "w"
        newer = known.get("time", THEN) <= NOW - 11
        if newer and not (mine and after.time == THEN):
            assert after == self.link(time=NOW - 11, frames=True)
        elif mine:
            assert after == self.link(frames=True)
        else:
            assert after == before

    def test_an_end_is_that_of_its_own_writer_and_not_before_the_link(self, fold: Fold) -> None:
        for known, ts, gone in (
            ({}, NOW - 10, NOW - 10),
            ({}, THEN - 10, THEN),
            ({"writer": "x"}, NOW - 10, 0.0),
            ({"gone": THEN + 1}, NOW - 10, THEN + 1),
        ):
            self.put_link(fold, **known)
            fold(events.DvrEnded(1, ts, dvr="front"))
            assert self.only(fold).gone == gone
        fold(events.DvrEnded(1, NOW, dvr="unknown"))

    def test_a_process_that_is_gone_takes_its_links_with_it(self, fold: Fold) -> None:
        for source, known, last_seen, gone in (
            ("agent", {}, NOW - 5, NOW - 5),
            ("agent", {}, THEN - 5, THEN),
            ("agent", {"writer": "x"}, NOW - 5, 0.0),
            ("agent", {"gone": THEN + 1}, NOW - 5, THEN + 1),
            ("probe", {}, NOW - 5, 0.0),
        ):
            fold.put(LINKS, "agent\nfront", self.link(source=source, **known))
            fold.gone(last_seen=last_seen)
            assert self.only(fold).gone == gone


class TestAlerts:
    def raised(self, **more: Any) -> events.AlertRaised:
        given = {"ts": NOW - 10, "id": "1", "level": "ERROR", "title": "T", "details": "D", **more}
        return events.AlertRaised(1, **given)

    def only(self, fold: Fold) -> OpenAlert:
        (found,) = fold.store.docs(ALERTS).values()
        return found

    def test_the_first(self, fold: Fold) -> None:
        context = {"video": "v" * 201, "video_sha256": "s" * 65, "x": "y"}
        fold(self.raised(context=context, suggested_actions="A", component="own"))

        one = self.only(fold)
        assert (one.first, one.last, one.ends) == (NOW - 10, NOW - 10, NOW + fold.settings.alert_window)
        assert (one.severity, one.component, one.count, one.occurrence) == ("error", "own", 1, NOW)
        assert (one.details, one.context, one.suggested_actions) == ("D", context, "A")
        assert fold.value(ALERT_EVENTS, "own", "error") == 1
        assert not fold.value(ALERT_SUPPRESSED, "own", "error")
        ((time, entry),) = fold.told()
        assert (time, entry.kind, entry.title, entry.alert_id) == (NOW - 10, "alert.raised", "T", "1")
        assert entry.details.splitlines()[0] == "D"
        assert "x: y" in entry.details.splitlines()
        (failure,) = fold.failures()
        assert (failure.kind, failure.error, failure.alert_id) == ("alert", "T", "1")
        assert (len(failure.video), len(failure.video_sha256)) == (200, 64)

    @pytest.mark.parametrize(
        ("level", "severity", "quoted"),
        [
            ("INFO", "info", False),
            ("WARNING", "warning", False),
            ("Error", "error", True),
            ("critical", "critical", True),
            ("odd", "error", True),
        ],
    )
    def test_its_severity(self, fold: Fold, level: str, severity: str, quoted: bool) -> None:
        fold(self.raised(level=level, id="i" * 65))

        assert self.only(fold).severity == severity
        assert [len(one.alert_id) for one in fold.failures()] == ([64] if quoted else [])

    def test_a_repeat_is_counted_and_lets_it_last(self, fold: Fold) -> None:
        fold(self.raised())
        fold.clock.advance(50)
        fold(self.raised(ts=NOW + 40, id="2"), self.raised(ts=NOW - 20, id="3"))

        one = self.only(fold)
        assert (one.id, one.count, one.first, one.last) == ("1", 3, NOW - 10, NOW + 40)
        assert (one.ends, one.differing) == (NOW + 50 + fold.settings.alert_window, 0)
        assert fold.value(ALERT_SUPPRESSED, "cam.py", "error") == 2
        assert len(fold.told()) == 1

    def test_what_a_repeat_says_anew_is_told_once(self, fold: Fold) -> None:
        fold(self.raised(), self.raised(details="other", suggested_actions="B"))
        fold(self.raised(details="other", suggested_actions="B"), self.raised(details="third"))

        assert self.only(fold).differing == 3
        said = [(one.kind, one.title, one.details.strip(), one.alert_id) for _, one in fold.told()][1:]
        assert said == [
            ("alert.repeated", "Repeated: T", "other\nsuggested actions: B", "1"),
            ("alert.repeated", "Repeated: T", "third", "1"),
        ]

    def test_what_it_remembers_of_repeats_is_bounded(self, fold: Fold) -> None:
        assert folds_of_alerts.MAX_REMEMBERED == 32
        fold(self.raised(), *(self.raised(details=f"d{number}") for number in range(33)))

        remembered = self.only(fold).on_timeline
        assert len(remembered) == len(set(remembered)) == 32
        assert {len(digest) for digest in remembered} == {8}
        fold(self.raised(details="d1"))
        assert self.only(fold).on_timeline == remembered
        fold(self.raised(details="d0"))
        assert self.only(fold).on_timeline[:-1] == remembered[1:]

    @pytest.mark.parametrize(("after", "same"), [(-0.1, True), (0.0, False)])
    def test_after_its_end_it_is_new(self, fold: Fold, after: float, same: bool) -> None:
        fold(self.raised())
        known = self.only(fold)
        fold.put(ALERTS, known.key, type(known)(**{**_fields(known), "delivered": NOW}))
        fold.clock.advance(fold.settings.alert_window + after)
        fold(self.raised(ts=fold.clock(), id="2"))

        assert (self.only(fold).id == "1") == same
        assert len(fold.store.docs(ENDED)) == (0 if same else 1)
        if not same:
            assert self.only(fold).occurrence == fold.clock()

    @pytest.mark.parametrize(("after", "one"), [(0.0, True), (-0.1, True), (0.1, False)])
    def test_alerts_with_one_title_within_the_window_are_one_incident(
        self, fold: Fold, after: float, one: bool
    ) -> None:
        fold(self.raised(context={"n": "1"}))
        fold.clock.advance(fold.settings.alert_window + after if after else 0.0)
        fold(self.raised(context={"n": "2"}, id="2"))

        occurrences = {alert.occurrence for alert in fold.store.docs(ALERTS).values()}
        assert (len(occurrences) == 1) == one

    def test_at_the_end_of_the_window_begins_another(self, fold: Fold) -> None:
        fold(self.raised(context={"n": "1"}))
        fold.clock.advance(fold.settings.alert_window)
        fold(self.raised(context={"n": "2"}, id="2"))

        assert len({alert.occurrence for alert in fold.store.docs(ALERTS).values()}) == 2

    def test_a_title_of_another_severity_or_component_is_another_incident(self, fold: Fold) -> None:
        fold(self.raised())
        fold.clock.advance(1)
        fold(self.raised(level="warning"), self.raised(component="own"), self.raised(title="U"))

        assert sorted(alert.occurrence for alert in fold.store.docs(ALERTS).values()) == [NOW, *[NOW + 1] * 3]

    def full(self, fold: Fold, monkeypatch: pytest.MonkeyPatch, *kept: dict[str, Any]) -> None:
        assert folds_of_alerts.MAX_OPEN == 1000
        monkeypatch.setattr(folds_of_alerts, "MAX_OPEN", len(kept))
        for number, one in enumerate(kept):
            values = {"severity": "error", "first": NOW - 50, **one}
            alert = OpenAlert(
                id=f"k{number}", key=f"k{number}", title=f"k{number}", component="c", last=NOW, ends=NOW + 900, **values
            )
            fold.put(ALERTS, alert.key, alert)

    def titles(self, fold: Fold) -> list[str]:
        return sorted(alert.title for alert in fold.store.docs(ALERTS).values())

    @pytest.mark.parametrize(
        ("kept", "level", "left"),
        [
            ([{}, {"severity": "warning"}], "ERROR", ["T", "k0"]),
            ([{}, {}], "WARNING", ["k0", "k1"]),
            ([{"first": NOW - 60}, {}], "ERROR", ["T", "k1"]),
            ([{"first": NOW - 60}, {"delivered": NOW}], "ERROR", ["T", "k0"]),
            ([{"first": NOW - 60}, {"direct": NOW}], "ERROR", ["T", "k0"]),
        ],
    )
    def test_of_too_many_the_least_important_gives_way(
        self, fold: Fold, monkeypatch: pytest.MonkeyPatch, kept: list[dict[str, Any]], level: str, left: list[str]
    ) -> None:
        self.full(fold, monkeypatch, *kept)
        fold(self.raised(level=level))

        assert self.titles(fold) == left

    def test_one_that_reached_people_ends_early_and_another_is_dropped(
        self, fold: Fold, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.full(fold, monkeypatch, {"delivered": NOW, "severity": "warning"}, {"severity": "warning"})
        fold(self.raised(title="A"))
        gave_way = [(one.kind, one.title, one.alert_id) for _, one in fold.told() if one.kind != "alert.raised"]
        assert gave_way == [("alert.gave_way", "Ended early, since more alerts are open than are kept: k0", "k0")]
        assert [one.key for one in fold.store.docs(ENDED).values()] == ["k0"]
        assert not fold.value(ALERTS_DROPPED, "warning")

        fold(self.raised(title="B"))
        assert fold.value(ALERTS_DROPPED, "warning") == 1
        assert "Alert dropped, more are open than are kept: k1" in [one.title for _, one in fold.told()]
        assert self.titles(fold) == ["A", "B"]

    def test_room_that_was_made_counts_within_one_transaction(
        self, fold: Fold, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.full(fold, monkeypatch, {"severity": "info"}, {"severity": "info"})
        fold(*(self.raised(title=f"n{number}", ts=NOW - 10 + number) for number in range(4)))

        assert self.titles(fold) == ["n2", "n3"]


def _fields(alert: OpenAlert) -> dict[str, Any]:
    return {name: getattr(alert, name) for name in alert.__struct_fields__}
