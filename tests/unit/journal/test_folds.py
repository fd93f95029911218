"""What each event changes, seen through the journal as a script would write it."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.unit.journal.conftest import Journal
from vv_exporter.common.processes import Process
from vv_exporter.journal.folds import alerts as folds_of_alerts
from vv_exporter.journal.folds.stages import CRASH
from vv_exporter.metrics.alerts import ALERT_EVENTS, ALERT_SUPPRESSED, ALERTS_DROPPED
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
from vv_exporter.probes.mounts import FileSystem
from vv_exporter.probes.storagedevices import SEEN
from vv_exporter.state import timeline
from vv_exporter.state.failures import FAILURES
from vv_exporter.state.openalerts import ALERTS, ENDED, OpenAlert
from vv_exporter.state.runs import JOB_RUNS_OPEN, STAGE_RUNS


def only_alert(journal: Journal) -> OpenAlert:
    (alert,) = journal.store.docs(ALERTS).values()
    return alert


class TestStages:
    def test_a_run_is_open_until_it_ends(self, journal: Journal) -> None:
        writer = journal.writer(pid=4711, pid_ns=5, node="6f1e")
        writer.event("stage.started", stage="scan", run="r", mono=5.0, video="a.mp4", ts=1_699_999_000.0)
        journal.read()
        (run,) = journal.store.docs(STAGE_RUNS).values()
        writer.event("stage.finished", stage="scan", run="r", outcome="success", seconds=2.0, ts=1_699_999_002.0)
        journal.read()

        assert (run.name, run.video, run.started, run.mono, run.boot) == ("scan", "a.mp4", 1_699_999_000.0, 5.0, "b")
        assert run.process == Process(4711, 5, "6f1e")
        assert journal.store.docs(STAGE_RUNS) == {}
        assert journal.count(STAGE_DURATION, "scan", "success") == 1
        assert journal.value(STAGE_LAST_SUCCESS, "scan") == 1_699_999_002.0

    def test_a_run_that_ended_beyond_what_is_usual_counts_as_an_overrun(self, journal: Journal) -> None:
        writer = journal.writer()
        for run, seconds in (*((f"r{number}", 200.0) for number in range(5)), ("slow", 601.0), ("usual", 599.0)):
            writer.event("stage.started", stage="scan", run=run, mono=5.0, video="a.mp4")
            writer.event("stage.finished", stage="scan", run=run, outcome="success", seconds=seconds)
            journal.read()

        assert journal.value(STAGE_OVERRUNS, "scan") == 1

    def test_all_outcomes_begin_at_0_when_the_first_run_starts(self, journal: Journal) -> None:
        journal.writer().event("stage.started", stage="scan", run="r")
        journal.read()

        outcomes = {labels for labels, _ in journal.store.series(STAGE_DURATION)}
        assert outcomes == {("scan", outcome) for outcome in ("success", "failure", "crashed")}
        assert journal.value(STAGE_OVERRUNS, "scan") == 0

    def test_a_failure_is_counted_and_its_cause_remembered(self, journal: Journal) -> None:
        writer = journal.writer()
        writer.event("stage.started", stage="scan", run="r", video="a.mp4")
        writer.event(
            "stage.finished",
            stage="scan",
            run="r",
            outcome="failure",
            seconds=2.0,
            error="no\nframes",
            exception="ValueError",
            video_sha256="ab" * 32,
        )
        journal.read()

        (failure,) = journal.store.docs(FAILURES).values()
        assert journal.count(STAGE_DURATION, "scan", "failure") == 1
        assert journal.value(EXCEPTIONS, "test.py", "ValueError") == 1
        assert (failure.kind, failure.video, failure.video_sha256) == ("stage_failure:scan", "a.mp4", "ab" * 32)
        assert failure.error == "no frames"

    def test_only_the_latest_failure_is_remembered_whatever_order_they_are_read_in(self, journal: Journal) -> None:
        writer = journal.writer()
        for ts, error in ((1_699_999_003.0, "third"), (1_699_999_001.0, "first")):
            writer.event("stage.finished", stage="s", run="r", outcome="failure", seconds=1, error=error, ts=ts)
        journal.read()

        assert [failure.error for failure in journal.store.docs(FAILURES).values()] == ["third"]

    def test_what_a_dead_writer_left_open_has_crashed(self, journal: Journal) -> None:
        writer = journal.writer()
        writer.event("stage.started", stage="scan", run="r", video="a.mp4", ts=journal.clock.now)
        journal.read()
        journal.clock.advance(60)
        journal.read()
        writer.close()
        journal.read()

        series = journal.store.find(STAGE_DURATION, ("scan", "crashed"))
        (failure,) = journal.store.docs(FAILURES).values()
        assert series is not None
        assert sum(series.counts) == 1
        assert series.value >= 60  # it was last seen alive then
        assert (failure.kind, failure.video, failure.error) == ("stage_crash:scan", "a.mp4", CRASH)
        assert journal.store.docs(STAGE_RUNS) == {}

    def test_a_crash_is_noticed_though_it_happened_while_the_exporter_was_down(self, journal: Journal) -> None:
        writer = journal.writer()
        writer.event("stage.started", stage="scan", run="r")
        journal.read()
        writer.close()
        journal.restart()
        journal.read()

        assert journal.count(STAGE_DURATION, "scan", "crashed") == 1

    def test_runs_of_others_are_not_touched_by_a_crash(self, journal: Journal) -> None:
        dead, alive = journal.writer("dead"), journal.writer("alive")
        dead.event("stage.started", stage="scan", run="d")
        alive.event("stage.started", stage="scan", run="a")
        dead.close()
        journal.read()

        assert list(journal.store.docs(STAGE_RUNS)) == ["a"]

    def test_a_finish_whose_start_was_never_seen_counts(self, journal: Journal) -> None:
        journal.writer().event("stage.finished", stage="scan", run="r", outcome="success", seconds=1.0)
        journal.read()

        assert journal.count(STAGE_DURATION, "scan", "success") == 1

    def test_an_overrun_is_counted_also_when_it_ended_before_anyone_looked(self, journal: Journal) -> None:
        writer = journal.writer()
        for run, seconds in (("a", 9.0), ("b", 10.0), ("c", 10.5)):
            writer.event("stage.started", stage="scan", run=run, limit=10)
            writer.event("stage.finished", stage="scan", run=run, outcome="success", seconds=seconds)
        journal.read()

        assert journal.value(STAGE_OVERRUNS, "scan") == 1

    @pytest.mark.parametrize(("own", "expected"), [(None, 900.0), (5, 5.0)])
    def test_the_writers_limit_wins_over_the_configured_one(
        self, make_journal: Callable[..., Journal], own: float | None, expected: float
    ) -> None:
        journal = make_journal(MAX_PROCESSING_TIME_SCAN_VIDEO="15m")
        fields = {} if own is None else {"limit": own}
        journal.writer().event("stage.started", stage="scan_video", run="r", **fields)
        journal.read()

        assert journal.store.docs(STAGE_RUNS)["r"].limit == expected

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({}, 60.0),
            ({"video_seconds": 120}, 60 + 2 * 30),
            ({"video_bytes": 2_500_000_000}, 60 + 2.5 * 10),
            ({"video_seconds": 30, "video_bytes": 1_000_000_000}, 60 + 15 + 10),
            ({"video_seconds": 120, "limit": 5}, 5.0),
            ({"video_seconds": 120, "limit": 5, "limit_scales": True}, 5 + 2 * 30),
            ({"limit": 0}, 60.0),
        ],
    )
    def test_a_limit_grows_with_the_video(
        self, make_journal: Callable[..., Journal], tmp_path: Path, fields: dict[str, object], expected: float
    ) -> None:
        (tmp_path / "vv.yml").write_text("stages: {scan: {limit: 1m, limit_per_minute: 30s, limit_per_gb: 10s}}")
        journal = make_journal(VV_CONFIG=str(tmp_path / "vv.yml"))
        journal.writer().event("stage.started", stage="scan", run="r", **fields)
        journal.read()

        assert journal.store.docs(STAGE_RUNS)["r"].limit == expected

    def test_a_limit_that_depends_on_the_video_alone_holds_when_the_video_is_known(
        self, make_journal: Callable[..., Journal], tmp_path: Path
    ) -> None:
        (tmp_path / "vv.yml").write_text("stages: {scan: {limit_per_minute: 30s}}")
        journal = make_journal(VV_CONFIG=str(tmp_path / "vv.yml"))
        writer = journal.writer()
        writer.event("stage.started", stage="scan", run="r")
        journal.read()
        before = journal.store.docs(STAGE_RUNS)["r"].limit
        writer.event("stage.noted", stage="scan", run="r", video_seconds=600)
        journal.read()

        assert before is None
        assert journal.store.docs(STAGE_RUNS)["r"].limit == 300

    @pytest.mark.parametrize(("known", "overruns"), [({}, 0), ({"video_bytes": 1_000_000_000}, 1)])
    def test_a_run_that_ended_before_its_videos_size_was_known_was_in_time(
        self, make_journal: Callable[..., Journal], tmp_path: Path, known: dict[str, int], overruns: int
    ) -> None:
        (tmp_path / "vv.yml").write_text("stages: {scan: {limit: 5, limit_per_gb: 5}}")
        journal = make_journal(VV_CONFIG=str(tmp_path / "vv.yml"))
        writer = journal.writer()
        writer.event("stage.started", stage="scan", run="r", **known)
        writer.event("stage.finished", stage="scan", run="r", outcome="success", seconds=11)
        journal.read()

        assert journal.value(STAGE_OVERRUNS, "scan") == overruns

    def test_a_crash_tells_what_was_noted(self, journal: Journal) -> None:
        writer = journal.writer()
        writer.event("stage.started", stage="scan", run="r", video="a.mp4")
        writer.event("stage.noted", stage="scan", run="r", video_sha256="ab" * 32)
        writer.event("stage.noted", stage="scan", run="r", video="b.mp4")
        writer.close()
        journal.read()

        (failure,) = journal.store.docs(FAILURES).values()
        assert (failure.video, failure.video_sha256) == ("b.mp4", "ab" * 32)

    def test_a_note_of_a_run_that_is_not_known_changes_nothing(self, journal: Journal) -> None:
        journal.writer().event("stage.noted", stage="scan", run="r", video="a.mp4")
        journal.read()

        assert journal.store.docs(STAGE_RUNS) == {}

    def test_a_run_whose_file_was_removed_by_the_bound_did_not_crash(self, journal: Journal) -> None:
        writer = journal.writer()
        writer.event("stage.started", stage="scan", run="r")
        journal.read()
        writer.path.unlink()
        writer.close()
        journal.read()

        assert journal.store.docs(STAGE_RUNS) == {}
        assert journal.count(STAGE_DURATION, "scan", "crashed") == 0


class TestJobs:
    def test_a_run_leaves_its_times_and_its_result(self, journal: Journal) -> None:
        writer = journal.writer()
        writer.event("job.started", job="nightly", run="r", ts=1_699_999_000.0)
        writer.event(
            "job.finished", job="nightly", run="r", result="success", seconds=5.0, exit_code=0, ts=1_699_999_005.0
        )
        journal.read()

        assert journal.value(JOB_LAST_START, "nightly") == 1_699_999_000.0
        assert journal.value(JOB_LAST_SUCCESS, "nightly") == 1_699_999_005.0
        assert journal.value(JOB_LAST_COMPLETION, "nightly") == 1_699_999_005.0
        assert journal.value(JOB_LAST_DURATION, "nightly") == 5.0
        assert journal.value(JOB_LAST_EXIT_CODE, "nightly") == 0
        assert journal.values(JOB_RUNS) == {
            ("nightly", "success"): 1,
            ("nightly", "failure"): 0,
            ("nightly", "crashed"): 0,
        }

    def test_a_failure_is_no_success_and_says_why(self, journal: Journal) -> None:
        journal.writer().event(
            "job.finished",
            job="nightly",
            run="r",
            result="failure",
            seconds=1,
            exit_code=3,
            output="a\nno space left\n",
        )
        journal.read()

        (failure,) = journal.store.docs(FAILURES).values()
        assert journal.value(JOB_LAST_SUCCESS, "nightly") is None
        assert journal.value(JOB_LAST_EXIT_CODE, "nightly") == 3
        assert (failure.kind, failure.error) == ("job_failure:nightly", "no space left")

    def test_a_heartbeat_is_a_success(self, journal: Journal) -> None:
        journal.writer().event("heartbeat", job="nightly", ts=1_699_999_000.0)
        journal.read()

        assert journal.value(JOB_LAST_SUCCESS, "nightly") == 1_699_999_000.0
        assert journal.value(JOB_RUNS, "nightly", "success") == 1

    def test_times_never_go_back(self, journal: Journal) -> None:
        writer = journal.writer()
        for ts, exit_code in ((1_699_999_900.0, 0), (1_699_999_000.0, 7)):
            result = "success" if exit_code == 0 else "failure"
            writer.event("job.started", job="j", run=f"r{ts}", ts=ts)
            writer.event(
                "job.finished", job="j", run=f"r{ts}", result=result, seconds=1, exit_code=exit_code, ts=ts + 1
            )
        journal.read()

        assert journal.value(JOB_LAST_START, "j") == 1_699_999_900.0
        assert journal.value(JOB_LAST_COMPLETION, "j") == 1_699_999_901.0
        assert journal.value(JOB_LAST_EXIT_CODE, "j") == 0

    def test_a_run_that_was_skipped_is_counted_and_changes_nothing_else(self, journal: Journal) -> None:
        journal.writer().event("job.skipped", job="nightly", reason="another run is in progress")
        journal.read()

        assert journal.value(JOB_SKIPPED, "nightly") == 1
        assert journal.values(JOB_RUNS) == {}
        assert journal.values(JOB_LAST_START) == {}

    def test_a_killed_job_has_crashed(self, journal: Journal) -> None:
        writer = journal.writer()
        writer.event("job.started", job="nightly", run="r")
        writer.close()
        journal.read()

        (failure,) = journal.store.docs(FAILURES).values()
        assert (failure.kind, failure.error) == ("job_crash:nightly", CRASH)
        assert journal.value(JOB_RUNS, "nightly", "crashed") == 1
        assert journal.store.docs(JOB_RUNS_OPEN) == {}


def deliver(journal: Journal, *titles: str) -> None:
    """Mark alerts as taken by Alertmanager, all of them if none is named."""
    with journal.store.transaction() as tx:
        for key, alert in tx.docs(ALERTS).items():
            if not titles or alert.title in titles:
                tx.put(ALERTS, key, msgspec.structs.replace(alert, delivered=tx.now))


class TestTooManyAlerts:
    """As many as are kept are open already: 5 here."""

    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(folds_of_alerts, "MAX_OPEN", 5)

    def raise_alerts(self, journal: Journal, *alerts: str) -> None:
        """Each a level and a title, in order, a second apart."""
        for alert in alerts:
            level, title = alert.split()
            journal.writer(f"w-{title}").event(
                "alert", id=f"id-{title}", level=level, title=title, details="why", ts=journal.clock.now
            )
            journal.read()

    def titles(self, journal: Journal) -> set[str]:
        return {alert.title for alert in journal.store.docs(ALERTS).values()}

    def dropped(self, journal: Journal) -> dict[str, float]:
        return {severity: count for (severity,), count in journal.values(ALERTS_DROPPED).items()}

    def test_the_oldest_of_the_lowest_severity_gives_way_and_is_counted_and_said(
        self, journal: Journal, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        self.raise_alerts(journal, "ERROR e", "INFO i1", "INFO i2", "WARNING w", "INFO i3", "CRITICAL c")

        assert self.titles(journal) == {"e", "i2", "w", "i3", "c"}
        assert self.dropped(journal) == {"info": 1}
        assert journal.value(ALERT_SUPPRESSED, "test.py", "critical") is None
        kinds = {(moment.kind, moment.alert_id) for moment in timeline.read(journal.store, timeline.Filter()).moments}
        assert ("alert.dropped", "id-i1") in kinds
        assert ("alert.raised", "id-c") in kinds
        (line,) = [record.getMessage() for record in caplog.records if "ALERT DROPPED" in record.getMessage()]
        assert line == (
            "ALERT DROPPED INFO: Alert dropped, more are open than are kept: i1 | why "
            "| component=test.py alert_id=id-i1"
        )

    def test_what_is_of_less_weight_than_all_others_is_what_is_dropped(self, journal: Journal) -> None:
        self.raise_alerts(journal, *(f"CRITICAL c{number}" for number in range(5)), "WARNING w")

        assert self.titles(journal) == {"c0", "c1", "c2", "c3", "c4"}
        assert self.dropped(journal) == {"warning": 1}
        assert "w" in {moment.title for moment in timeline.read(journal.store, timeline.Filter()).moments}

    def test_of_critical_ones_a_delivered_one_gives_way_which_is_no_loss_and_an_undelivered_one_last(
        self, journal: Journal
    ) -> None:
        self.raise_alerts(journal, *(f"CRITICAL c{number}" for number in range(5)))
        deliver(journal, "c2", "c3")
        self.raise_alerts(journal, "CRITICAL c5")
        assert self.titles(journal) == {"c0", "c1", "c3", "c4", "c5"}
        assert self.dropped(journal) == {}
        assert [alert.title for alert in journal.store.docs(ENDED).values()] == ["c2"]

        self.raise_alerts(journal, "CRITICAL c6", "CRITICAL c7")
        assert self.titles(journal) == {"c1", "c4", "c5", "c6", "c7"}
        assert self.dropped(journal) == {"critical": 1}

    def test_repeats_in_one_batch_do_not_count_as_more_alerts(self, journal: Journal) -> None:
        self.raise_alerts(journal, "INFO a", "INFO b", "INFO c")
        for title in ("a", "b", "c", "d", "e"):
            journal.writer(f"again-{title}").event("alert", id="x", level="INFO", title=title, ts=journal.clock.now)
        journal.read()

        assert self.titles(journal) == {"a", "b", "c", "d", "e"}
        assert self.dropped(journal) == {}

    def test_a_thousand_notes_do_not_hide_a_critical_one_from_the_timeline(self, journal: Journal) -> None:
        writer = journal.writer()
        for number in range(1000):
            writer.event("alert", id="i", level="INFO", title=f"note {number}", ts=journal.clock.now)
        writer.event("alert", id="c", level="CRITICAL", title="Key gone", ts=journal.clock.now)
        journal.read()

        critical = timeline.read(journal.store, timeline.Filter(severity="critical")).moments
        assert "Key gone" in {moment.title for moment in critical}
        assert "Key gone" in self.titles(journal)


class TestAlerts:
    FIELDS = {"id": "0190", "level": "ERROR", "title": "No frames", "details": "none for 30 s"}

    def test_an_alert_opens_for_the_window(self, journal: Journal) -> None:
        journal.writer().event("alert", **self.FIELDS, context={"video": "a.mp4"}, ts=journal.clock.now)
        journal.read()

        alert = only_alert(journal)
        assert (alert.id, alert.severity, alert.title, alert.component) == ("0190", "error", "No frames", "test.py")
        assert alert.ends == journal.clock.now + 900
        assert alert.count == 1
        assert not alert.delivered

    def test_repeats_are_counted_and_keep_it_open(self, journal: Journal) -> None:
        writer = journal.writer()
        for number in range(37):
            writer.event("alert", **{**self.FIELDS, "id": f"id{number}"}, ts=journal.clock.now)
        journal.read()
        journal.restart()
        journal.clock.advance(600)
        writer.event("alert", **self.FIELDS, ts=journal.clock.now)
        journal.read()

        alert = only_alert(journal)
        assert (alert.id, alert.count) == ("id0", 38)
        assert alert.ends == journal.clock.now + 900
        assert journal.value(ALERT_EVENTS, "test.py", "error") == 38
        assert journal.value(ALERT_SUPPRESSED, "test.py", "error") == 37

    @pytest.mark.parametrize(
        "change",
        [
            {"title": "Other"},
            {"component": "other.py"},
            {"level": "CRITICAL"},
            {"context": {"video": "b.mp4"}},
            {"dedupe_key": "k"},
        ],
    )
    def test_what_differs_is_another_alert(self, journal: Journal, change: dict[str, object]) -> None:
        writer = journal.writer()
        writer.event("alert", **self.FIELDS)
        writer.event("alert", **{**self.FIELDS, **change})
        journal.read()

        assert len(journal.store.docs(ALERTS)) == 2

    def test_a_dedupe_key_stands_for_the_context(self, journal: Journal) -> None:
        writer = journal.writer()
        for video in ("a.mp4", "b.mp4"):
            writer.event("alert", **self.FIELDS, context={"video": video}, dedupe_key="dvr")
        journal.read()

        assert only_alert(journal).count == 2

    @pytest.mark.parametrize(
        ("change", "kept"),
        [
            ({"details": "none for 60 s"}, "none for 60 s"),
            ({"context": {"video": "b.mp4", "camera": "door"}}, "camera: door"),
            ({"suggested_actions": "Restart it."}, "suggested actions: Restart it."),
            ({"details": ""}, "video: a.mp4"),
        ],
    )
    def test_what_differs_in_a_repeat_is_on_the_timeline_once_and_counted(
        self, journal: Journal, change: dict[str, object], kept: str
    ) -> None:
        writer = journal.writer()
        first = {**self.FIELDS, "context": {"video": "a.mp4"}, "dedupe_key": "dvr"}
        for fields in (first, first, first | change, first, first | change):
            writer.event("alert", **fields | {"id": "later"} if fields is not first else fields)
            journal.read()

        assert (only_alert(journal).count, only_alert(journal).differing) == (5, 2)
        moments = timeline.read(journal.store, timeline.Filter()).moments
        kinds = [one for one in moments if one.kind.startswith("alert.")]
        assert [one.kind for one in kinds] == ["alert.repeated", "alert.raised"]
        assert kept in kinds[0].details
        assert (kinds[0].title, kinds[0].severity, kinds[0].alert_id) == ("Repeated: No frames", "error", "0190")
        assert kinds[0].video == ("b.mp4" if "context" in change else "a.mp4")

    def test_what_an_alert_remembers_of_its_repeats_is_bounded(self, journal: Journal) -> None:
        writer = journal.writer()
        for number in range(1000):
            writer.event("alert", **self.FIELDS | {"details": f"none for {number} s"}, ts=journal.clock.now)
        journal.read()

        alert = only_alert(journal)
        assert (alert.count, alert.differing) == (1000, 999)
        assert len(alert.on_timeline) == folds_of_alerts.MAX_REMEMBERED
        moments = timeline.read(journal.store, timeline.Filter(), limit=5000).moments
        repeats = [one.title for one in moments if one.kind == "alert.repeated"]
        assert repeats[0] == f"{999 - timeline.BURST} more like this since 2023-11-14T22:13:20Z"
        assert repeats[1:] == ["Repeated: No frames"] * timeline.BURST

    def test_an_alert_that_waited_long_lasts_from_when_it_was_read(self, journal: Journal) -> None:
        journal.writer().event("alert", **self.FIELDS, ts=journal.clock.now - 86_400)
        journal.read()

        alert = only_alert(journal)
        assert alert.first == journal.clock.now - 1 - 86_400
        assert alert.ends == journal.clock.now + 900

    def test_raised_again_after_its_end_it_is_another_occurrence_though_the_relay_has_not_come_to_it(
        self, journal: Journal
    ) -> None:
        writer = journal.writer()
        writer.event("alert", **self.FIELDS, ts=journal.clock.now)
        journal.read()
        first = only_alert(journal)
        deliver(journal)
        journal.clock.advance(900)
        writer.event("alert", **{**self.FIELDS, "id": "0191"}, ts=journal.clock.now)
        journal.read()

        second = only_alert(journal)
        assert (second.id, second.key, second.count, second.delivered) == ("0191", first.key, 1, 0)
        assert second.identity != first.identity
        assert [alert.id for alert in journal.store.docs(ENDED).values()] == ["0190"]

    def test_alerts_of_one_title_within_the_window_are_one_incident_and_later_ones_another(
        self, journal: Journal
    ) -> None:
        writer = journal.writer()
        for video in ("a.mp4", "b.mp4", "c.mp4", "d.mp4"):
            writer.event("alert", **self.FIELDS, context={"video": video}, ts=journal.clock.now)
            journal.read()
            journal.clock.advance(400)
        writer.event("alert", **{**self.FIELDS, "title": "Other"}, ts=journal.clock.now)
        journal.read()

        by_video = {alert.context.get("video"): alert for alert in journal.store.docs(ALERTS).values()}
        occurrences = {video: alert.occurrence_label for video, alert in by_video.items()}
        assert occurrences["a.mp4"] == occurrences["b.mp4"] == occurrences["c.mp4"]
        assert len(set(occurrences.values())) == 3

    def test_an_unknown_level_is_an_error(self, journal: Journal) -> None:
        journal.writer().event("alert", **{**self.FIELDS, "level": "PANIC"})
        journal.read()

        assert only_alert(journal).severity == "error"


def test_who_accepts_the_storage_makes_what_was_there_forgotten(journal: Journal) -> None:
    seen = FileSystem("/srv/video", "ext4", "/dev/sdb1", 2065, "b1", "ext4 abc")
    with journal.store.transaction() as tx:
        tx.put(SEEN, "/srv/video", seen)
    journal.writer().event("storage.accepted", component="vv storage")
    journal.read()

    assert journal.store.docs(SEEN) == {}
    titles = {moment.title for moment in timeline.read(journal.store, timeline.Filter()).moments}
    assert titles == {"The file system of the video storage was accepted as it is"}
