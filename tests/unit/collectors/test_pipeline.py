"""What the collector of stages shows of runs in progress, and which of them it finds past their limits."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support.clock import Clock
from tests.support.waiting import wait_until
from tests.unit.collectors.test_collectors import Series, series
from vv_exporter.collectors import thresholds
from vv_exporter.collectors.pipeline import PipelineCollector
from vv_exporter.common.processes import OF_THE_MACHINE, Process
from vv_exporter.context import Context
from vv_exporter.journal.overruns import Overruns, RunsInProgress, Sizes, note_overruns
from vv_exporter.metrics.pipeline import STAGE_OVERRUNS
from vv_exporter.settings import Duration, StageSettings, load
from vv_exporter.state.failures import FAILURES
from vv_exporter.state.runs import STAGE_RUNS, Run
from vv_exporter.state.stagelimits import RECENT_RUNS, RecentRuns, note_success, usual_seconds
from vv_exporter.state.store import Store

NOW = 1_700_000_000.0
NOBODY = Process()


def local(pid: int) -> Process:
    """A process of the machine."""
    return Process(pid, OF_THE_MACHINE, "edge-1")


class Device:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock(NOW)
        self.store = Store(folder / "state.db", self.clock)

    def run(
        self, key: str, age: float, limit: float | None, stage: str = "scan", video: str = "", process: Process = NOBODY
    ) -> None:
        times = {"started": NOW - age, "given": limit, "limit": limit}
        run = Run(name=stage, component="c", writer="w", video=video, process=process, **times)
        with self.store.transaction() as tx:
            tx.put(STAGE_RUNS, key, run)

    def succeed(self, stage: str, *seconds: float) -> None:
        with self.store.transaction() as tx:
            for each in seconds:
                note_success(tx, stage, each)

    def collector(self, stages: str = "{}") -> PipelineCollector:
        return PipelineCollector(self.context(stages))

    def context(self, stages: str) -> Context:
        config = self.folder / "vv.yml"
        config.write_text(f"stages: {stages}")
        settings = load({"VV_CONFIG": str(config), "VV_STATE_DIR": str(self.folder)})
        return Context(settings, self.store, self.clock, self.clock)

    def shown(self) -> Series:
        return series(self.collector().collect())

    def shown_thresholds(self, stages: str) -> Series:
        return series(thresholds.build(self.context(stages)).collect())


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path)
    yield device
    device.store.close()


def test_runs_in_progress_are_shown_with_what_they_used_of_their_limits(device: Device) -> None:
    device.run("a", age=50, limit=100)
    device.run("b", age=100, limit=100)
    device.run("c", age=301, limit=100)
    device.run("d", age=1e6, limit=None)
    device.run("e", age=5, limit=None, stage="free")

    shown = device.shown()

    assert shown["vv_stage_running", "scan"] == 4
    assert shown["vv_stage_overdue", "scan"] == 2
    assert shown["vv_stage_limit_used_ratio", "scan"] == pytest.approx(1e6 / 3600)
    assert shown["vv_stage_oldest_start_timestamp_seconds", "scan"] == NOW - 1e6
    assert (shown["vv_stage_overdue", "free"], shown["vv_stage_limit_used_ratio", "free"]) == (0, 5 / 3600)


def test_the_longest_overdue_runs_are_named_each_once(device: Device) -> None:
    for key, age in (("a", 101), ("b", 500), ("c", 300), ("d", 400), ("e", 99)):
        device.run(key, age=age, limit=100, video=f"/v/{key}.mp4", process=local(ord(key)))
    device.run("twin", age=450, limit=100, video="/v/b.mp4", process=local(ord("b")))

    named = {labels[1:]: started for labels, started in device.shown().items() if "_overdue_start_" in labels[0]}

    assert named == {
        ("scan", "c", str(ord(key)), "", f"/v/{key}.mp4", "", "100", "script"): NOW - age
        for key, age in (("b", 500), ("c", 300), ("d", 400))
    }


def test_a_run_without_a_limit_is_overdue_by_what_the_stages_recent_runs_took(device: Device) -> None:
    device.succeed("scan", *[100.0] * 19, 200.0)  # 19 of 20 took at most 100 s
    device.run("ends", age=300, limit=None)
    device.run("hangs", age=301, limit=None)
    device.run("as its script says", age=999, limit=1000)

    shown = device.shown()

    assert shown["vv_stage_overdue", "scan"] == 1
    assert [labels[-1] for labels in shown if "_overdue_start_" in labels[0]] == ["usual"]


def test_it_is_not_overdue_before_the_floor_however_short_runs_usually_are(device: Device) -> None:
    device.succeed("scan", *[1.0] * 5)
    device.run("a", age=300, limit=None)
    shown = device.shown()
    device.clock.advance(1)

    assert shown["vv_stage_overdue", "scan"] == 0
    assert device.shown()["vv_stage_overdue", "scan"] == 1


def test_of_a_stage_that_never_or_hardly_ever_succeeded_it_is_the_default(device: Device) -> None:
    device.succeed("few", *[1.0] * 4)
    for stage in ("few", "none"):
        device.run(stage, age=3600, limit=None, stage=stage)
    before = device.shown()
    device.clock.advance(1)
    after = device.shown()

    assert [before["vv_stage_overdue", stage] for stage in ("few", "none")] == [0, 0]
    assert [after["vv_stage_overdue", stage] for stage in ("few", "none")] == [1, 1]


def test_only_the_latest_runs_tell_what_is_usual(device: Device) -> None:
    device.succeed("scan", *[1e5] * 50, *[200.0] * 50)
    device.run("a", age=601, limit=None)

    assert device.shown()["vv_stage_overdue", "scan"] == 1
    assert len(device.store.docs(RECENT_RUNS)["scan"].seconds) == 50


@pytest.mark.parametrize(
    ("runs", "usual"),
    # nearest rank: of fewer than 20 runs 95 % are all of them
    [(4, None), (5, 5.0), (19, 19.0), (20, 19.0), (21, 20.0), (39, 38.0), (40, 38.0), (41, 39.0), (50, 48.0)],
)
def test_what_is_usual_is_what_95_of_100_runs_did_not_exceed(runs: int, usual: float | None) -> None:
    durations = [float(seconds) for seconds in range(runs, 0, -1)]

    assert usual_seconds(RecentRuns("scan", tuple(durations))) == usual
    assert usual_seconds(None) is None


def test_durations_that_no_clock_measures_spoil_nothing(device: Device) -> None:
    device.succeed("scan", -5.0, *[1e10] * 4)
    device.run("a", age=1e6, limit=None)

    assert device.shown()["vv_stage_overdue", "scan"] == 0
    assert device.shown_thresholds("{}")["vv_threshold_stage_usual_seconds", "scan"] == 3e10


def test_a_run_is_as_old_as_it_is_whatever_the_clock_was_set_to(device: Device) -> None:
    device.run("a", age=0, limit=None)
    run = device.store.docs(STAGE_RUNS)["a"]
    context = device.context("{}")
    with device.store.transaction() as tx:
        tx.put(STAGE_RUNS, "a", msgspec.structs.replace(run, mono=device.clock(), boot=context.boot))
    for wrong in (-1e8, 1e8):
        is_set = Clock(NOW + wrong)
        shown = series(PipelineCollector(dataclasses.replace(context, clock=is_set)).collect())
        assert shown["vv_stage_overdue", "scan"] == 0
        assert shown["vv_stage_oldest_start_timestamp_seconds", "scan"] == NOW + wrong


def test_a_hostile_name_of_a_video_is_one_line_and_short(device: Device) -> None:
    device.run("a", age=200, limit=100, video="/v/x\n4. Run: `reboot`\r\n" + "y" * 5000, process=local(7))
    ((labels, _),) = [one for one in device.shown().items() if "_overdue_start_" in one[0][0]]

    assert labels[5].startswith("/v/x 4. Run")
    assert len(labels[5]) == 200


def test_a_run_in_a_container_is_named_with_it_and_with_its_own_number(device: Device) -> None:
    device.run("a", age=200, limit=100, process=Process(7, 4026532280, "6f1e0d2c4b5a"))
    ((labels, _),) = [one for one in device.shown().items() if "_overdue_start_" in one[0][0]]

    assert labels[3:5] == ("7", "6f1e0d2c4b5a")


def test_an_exporter_that_is_restarted_knows_what_is_usual_and_what_it_counted(device: Device) -> None:
    device.succeed("scan", *[200.0] * 5)
    device.run("a", age=601, limit=None)
    runs = RunsInProgress(device.context("{}"))
    note_overruns(device.store, runs.is_overdue, runs.limit)
    device.store.close()
    device.store = Store(device.folder / "state.db", device.clock)
    runs = RunsInProgress(device.context("{}"))
    note_overruns(device.store, runs.is_overdue, runs.limit)

    assert device.store.value(STAGE_OVERRUNS, ("scan",)) == 1
    assert device.shown()["vv_stage_overdue", "scan"] == 1


def test_of_a_thousand_overdue_runs_a_few_are_named_and_all_are_counted_once(device: Device) -> None:
    with device.store.transaction() as tx:
        for number in range(1000):
            run = Run(name="scan", component="c", writer="w", started=NOW - 3601 - number, process=local(number + 2))
            tx.put(STAGE_RUNS, str(number), run)
    runs = RunsInProgress(device.context("{}"))
    note_overruns(device.store, runs.is_overdue, runs.limit)
    shown = device.shown()

    assert sorted(int(labels[3]) for labels in shown if "_overdue_start_" in labels[0]) == [999, 1000, 1001]
    assert shown["vv_stage_overdue", "scan"] == device.store.value(STAGE_OVERRUNS, ("scan",)) == 1000


def test_what_is_learned_is_a_threshold_where_nothing_is_configured(device: Device) -> None:
    device.succeed("scan", *[200.0] * 5)
    device.succeed("configured", *[200.0] * 5)
    device.succeed("few", 200.0)

    shown = device.shown_thresholds("{configured: {limit_per_gb: 1m}}")

    assert {labels: value for labels, value in shown.items() if "_stage_usual_" in labels[0]} == {
        ("vv_threshold_stage_usual_seconds", "scan"): 600.0
    }
    assert shown["vv_threshold_stage_default_seconds",] == 3600.0


def test_an_overrun_is_remembered_with_its_video(device: Device) -> None:
    device.run("a", age=3601, limit=None, video="/v/a.mp4")
    runs = RunsInProgress(device.context("{}"))
    note_overruns(device.store, runs.is_overdue, runs.limit)

    (failure,) = device.store.docs(FAILURES).values()
    assert (failure.kind, failure.component, failure.video) == ("stage_overrun:scan", "c", "/v/a.mp4")
    assert "3600 s" in failure.error


def test_each_overrun_is_counted_once_while_it_runs(device: Device) -> None:
    device.run("a", age=101, limit=100)
    device.run("b", age=99, limit=100)
    runs = RunsInProgress(device.context("{}"))
    for _ in range(3):
        note_overruns(device.store, runs.is_overdue, runs.limit)
    device.clock.advance(2)
    note_overruns(device.store, runs.is_overdue, runs.limit)

    assert device.store.value(STAGE_OVERRUNS, ("scan",)) == 2


def test_a_videos_size_is_looked_up_where_the_limit_depends_on_it(device: Device, tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    with video.open("wb") as file:
        file.truncate(3 * 10**9)
    device.run("a", age=0, limit=None, video=str(video))
    device.run("b", age=0, limit=None, video="a.mp4")
    device.run("c", age=0, limit=None, video=str(tmp_path / "none"))
    device.run("d", age=0, limit=None, video=str(tmp_path))
    device.run("e", age=0, limit=None, video=str(video), stage="other")

    sizes = Sizes(device.store, {"scan": StageSettings(limit=Duration(60), limit_per_gb=Duration(20))})
    sizes.look()

    runs = device.store.docs(STAGE_RUNS)
    assert {key: run.video_bytes for key, run in runs.items()} == {"a": 3 * 10**9, "b": 0, "c": 0, "d": 0, "e": 0}
    assert runs["a"].limit == 120


def test_sizes_are_looked_up_in_the_background(device: Device, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x" * 1000)
    device.run("a", age=0, limit=None, video=str(tmp_path / "a.mp4"))
    service = Overruns(device.context("{scan: {limit_per_gb: 1h}}"))
    service.start()
    try:
        wait_until(lambda: device.store.docs(STAGE_RUNS)["a"].limit == pytest.approx(0.0036))
    finally:
        service.stop()
