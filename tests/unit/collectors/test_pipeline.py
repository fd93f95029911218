"""What the collector of stages shows of runs in progress, and which of them it finds past their limits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.waiting import wait_until
from tests.unit.collectors.test_collectors import Series, series
from vv_exporter.collectors import Context, thresholds
from vv_exporter.collectors.pipeline import PipelineCollector, Sizes, note_overruns
from vv_exporter.failures import FAILURES
from vv_exporter.metrics.pipeline import STAGE_OVERRUNS
from vv_exporter.runs import STAGE_RUNS, Run
from vv_exporter.settings import Duration, StageSettings, load
from vv_exporter.stagelimits import RECENT_RUNS, note_success
from vv_exporter.store import Store

NOW = 1_700_000_000.0


class Device:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock(NOW)
        self.store = Store(folder / "state.db", self.clock)

    def run(
        self, key: str, age: float, limit: float | None, stage: str = "scan", video: str = "", pid: int = 0
    ) -> None:
        times = {"started": NOW - age, "given": limit, "limit": limit}
        run = Run(name=stage, component="c", writer="w", video=video, pid=pid, host="h", **times)
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
        device.run(key, age=age, limit=100, video=f"/v/{key}.mp4", pid=ord(key))
    device.run("twin", age=450, limit=100, video="/v/b.mp4", pid=ord("b"))

    named = {labels[1:]: started for labels, started in device.shown().items() if "_overdue_start_" in labels[0]}

    assert named == {
        ("scan", "c", "h", str(ord(key)), f"/v/{key}.mp4", "", "100", "script"): NOW - age
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


def test_what_is_learned_is_a_threshold_where_nothing_is_configured(device: Device) -> None:
    device.succeed("scan", *[200.0] * 5)
    device.succeed("configured", *[200.0] * 5)
    device.succeed("few", 200.0)

    shown = device.shown_thresholds("{configured: {limit_per_gb: 1m}}")

    assert {labels: value for labels, value in shown.items() if "_stage_usual_" in labels[0]} == {
        ("vv_threshold_stage_usual_seconds", "scan"): 600.0
    }
    assert shown["vv_threshold_stage_default_seconds",] == 3600.0


def test_an_overrun_is_remembered_with_its_video_and_process(device: Device) -> None:
    device.run("a", age=3601, limit=None, video="/v/a.mp4", pid=4711)
    collector = device.collector()
    note_overruns(device.store, collector._overdue, collector._limit)

    (failure,) = device.store.docs(FAILURES).values()
    assert (failure.kind, failure.component, failure.video) == ("stage_overrun:scan", "c", "/v/a.mp4")
    assert "3600 s" in failure.error
    assert "PID 4711" in failure.error


def test_each_overrun_is_counted_once_while_it_runs(device: Device) -> None:
    device.run("a", age=101, limit=100)
    device.run("b", age=99, limit=100)
    collector = device.collector()
    for _ in range(3):
        note_overruns(device.store, collector._overdue, collector._limit)
    device.clock.advance(2)
    note_overruns(device.store, collector._overdue, collector._limit)

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
    collector = device.collector("{scan: {limit_per_gb: 1h}}")
    collector.start()
    try:
        wait_until(lambda: device.store.docs(STAGE_RUNS)["a"].limit == pytest.approx(0.0036))
    finally:
        collector.stop()
