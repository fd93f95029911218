"""What the collector of stages shows of runs in progress, and which of them it finds past their limits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.waiting import wait_until
from tests.unit.collectors.test_collectors import Series, series
from vv_exporter.collectors import Context
from vv_exporter.collectors.pipeline import PipelineCollector, Sizes, note_overruns
from vv_exporter.metrics.pipeline import STAGE_OVERRUNS
from vv_exporter.runs import STAGE_RUNS, Run
from vv_exporter.settings import Duration, StageSettings, load
from vv_exporter.store import Store

NOW = 1_700_000_000.0


class Device:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock(NOW)
        self.store = Store(folder / "state.db", self.clock)

    def run(self, key: str, age: float, limit: float | None, stage: str = "scan", video: str = "") -> None:
        run = Run(name=stage, component="c", writer="w", started=NOW - age, video=video, given=limit, limit=limit)
        with self.store.transaction() as tx:
            tx.put(STAGE_RUNS, key, run)

    def collector(self, stages: str = "{}") -> PipelineCollector:
        config = self.folder / "vv.yml"
        config.write_text(f"stages: {stages}")
        settings = load({"VV_CONFIG": str(config), "VV_STATE_DIR": str(self.folder)})
        return PipelineCollector(Context(settings, self.store, self.clock, self.clock))

    def shown(self) -> Series:
        return series(self.collector().collect())


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
    assert shown["vv_stage_overdue", "scan"] == 1
    assert shown["vv_stage_limit_used_ratio", "scan"] == pytest.approx(3.01)
    assert shown["vv_stage_oldest_start_timestamp_seconds", "scan"] == NOW - 1e6
    assert (shown["vv_stage_overdue", "free"], shown["vv_stage_limit_used_ratio", "free"]) == (0, 0)


def test_each_overrun_is_counted_once_while_it_runs(device: Device) -> None:
    device.run("a", age=101, limit=100)
    device.run("b", age=99, limit=100)
    collector = device.collector()
    for _ in range(3):
        note_overruns(device.store, collector._overdue)
    device.clock.advance(2)
    note_overruns(device.store, collector._overdue)

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
