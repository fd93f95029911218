"""What the collector of jobs shows, and how it counts what heartbeat files tell."""

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.support.clock import Clock
from tests.support.waiting import wait_until
from tests.unit.collectors.test_collectors import Series, series
from vv_exporter.collectors.jobs import JobsCollector
from vv_exporter.context import Context
from vv_exporter.journal.configured_jobs import TOUCHED, ConfiguredJobs, note_touch
from vv_exporter.metrics.jobs import JOB_LAST_COMPLETION, JOB_LAST_SUCCESS, JOB_RUNS
from vv_exporter.settings import load
from vv_exporter.state.runs import JOB_RUNS_OPEN, Run
from vv_exporter.state.store import Store

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


class Device:
    """An exporter's state with a configuration, which may be restarted with another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock(NOW)
        self.store = Store(folder / "state.db", self.clock)

    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.folder / "state.db", self.clock)

    def configured(self, jobs: str) -> tuple[ConfiguredJobs, JobsCollector]:
        config = self.folder / "vv.yml"
        config.write_text(f"jobs: {jobs}")
        settings = load({"VV_CONFIG": str(config), "VV_STATE_DIR": str(self.folder)})
        collector = JobsCollector(Context(settings, self.store, self.clock, self.clock))
        return ConfiguredJobs(self.store, settings.jobs), collector

    def shown(self, jobs: str) -> Series:
        service, collector = self.configured(jobs)
        service.start()
        try:
            return series(collector.collect())
        finally:
            service.stop()

    def successes(self, job: str = "j") -> float | None:
        return self.store.value(JOB_RUNS, (job, "success"))


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path)
    yield device
    device.store.close()


def test_a_job_that_never_ran_is_due_from_when_it_was_configured(device: Device) -> None:
    device.shown('{j: {schedule: "0 3 * * *", grace: 10m}}')
    device.clock.advance(3 * 86400)
    device.restart()

    shown = device.shown('{j: {schedule: "0 3 * * *", grace: 10m}}')

    assert shown["vv_job_next_due_timestamp_seconds", "j"] == 1_700_017_200  # 2023-11-15T03:00:00Z
    assert shown["vv_job_grace_seconds", "j"] == 600
    assert {shown["vv_job_runs_total", "j", result] for result in ("success", "failure", "crashed")} == {0}


def test_another_schedule_begins_to_count_when_it_is_configured(device: Device) -> None:
    device.shown('{j: {schedule: "0 3 * * *"}}')
    device.clock.advance(3 * 86400)

    shown = device.shown('{j: {schedule: "0 4 * * *"}}')

    assert shown["vv_job_next_due_timestamp_seconds", "j"] == 1_700_020_800 + 3 * 86400


def test_the_next_time_is_due_after_the_last_success(device: Device) -> None:
    device.shown('{j: {schedule: "0 * * * *"}}')
    with device.store.transaction() as tx:
        tx.set(JOB_LAST_SUCCESS, ("j",), 1_700_002_800.0)  # 23:00:00Z sharp
    device.clock.advance(3600)

    shown = device.shown('{j: {schedule: "0 * * * *"}}')

    assert shown["vv_job_next_due_timestamp_seconds", "j"] == 1_700_006_400


def test_a_job_without_a_schedule_is_never_due(device: Device) -> None:
    shown = device.shown("{j: {max_runtime: 5m}}")

    assert not [key for key in shown if key[0] in ("vv_job_next_due_timestamp_seconds", "vv_job_grace_seconds")]
    assert shown["vv_job_running", "j"] == 0


def test_runs_in_progress_are_counted_and_the_oldest_is_shown(device: Device) -> None:
    with device.store.transaction() as tx:
        for key, started in (("a", 60.0), ("b", 50.0)):
            tx.put(JOB_RUNS_OPEN, key, Run(name="j", component="c", writer="w", started=started))

    shown = device.shown("{}")

    assert ("vv_job_running", "j") not in shown  # nothing of it was ever counted: no event came
    assert shown["vv_job_oldest_start_timestamp_seconds", "j"] == 50


class TestHeartbeatFiles:
    def test_each_new_time_is_one_success_at_that_time(self, device: Device) -> None:
        note_touch(device.store, "j", "/f", 0)
        for ago in (20, 20, 10, 10):
            note_touch(device.store, "j", "/f", int(NOW - ago) * 10**9)

        assert device.successes() == 2
        success, completion = (device.store.value(metric, ("j",)) for metric in (JOB_LAST_SUCCESS, JOB_LAST_COMPLETION))
        assert success == completion == NOW - 10

    def test_each_is_counted_once_across_restarts(self, device: Device) -> None:
        note_touch(device.store, "j", "/f", 0)
        for seconds in (10, 20, 30):
            device.restart()
            note_touch(device.store, "j", "/f", seconds * 10**9)
            device.restart()
            note_touch(device.store, "j", "/f", seconds * 10**9)

        assert device.successes() == 3

    def test_what_was_there_before_anyone_watched_is_shown_but_not_counted(self, device: Device) -> None:
        note_touch(device.store, "j", "/f", int(NOW - 20) * 10**9)
        note_touch(device.store, "j", "/other", int(NOW - 10) * 10**9)

        assert device.successes() is None
        assert device.store.value(JOB_LAST_SUCCESS, ("j",)) == NOW - 10

    def test_a_time_that_no_clock_showed_is_none_of_before_and_now_for_a_new_success(self, device: Device) -> None:
        note_touch(device.store, "j", "/f", 10 * 10**9)
        assert device.store.value(JOB_LAST_SUCCESS, ("j",)) is None

        note_touch(device.store, "j", "/f", -5 * 10**18)
        assert device.store.value(JOB_LAST_SUCCESS, ("j",)) == NOW

    def test_a_file_that_is_removed_and_comes_back_as_it_was_is_no_success(self, device: Device) -> None:
        for time in (0, 5, 0, 5):
            note_touch(device.store, "j", "/f", time)

        assert device.successes() == 1

    def test_a_time_to_come_counts_as_now(self, device: Device) -> None:
        note_touch(device.store, "j", "/f", 0)
        note_touch(device.store, "j", "/f", int((NOW + 1e6) * 1e9))

        assert device.store.value(JOB_LAST_SUCCESS, ("j",)) == NOW

    def test_the_files_are_watched_in_the_background(self, device: Device) -> None:
        file = device.folder / "alive"
        service, _ = device.configured(f'{{j: {{schedule: "0 3 * * *", heartbeat_file: {file}}}}}')
        service.start()
        try:
            wait_until(lambda: device.store.document(TOUCHED, "j"))
            file.touch()
            os.utime(file, ns=(0, int(NOW - 5) * 10**9))
            wait_until(lambda: device.successes() == 1)
        finally:
            service.stop()

        assert device.store.value(JOB_LAST_SUCCESS, ("j",)) == NOW - 5

    def test_a_job_that_leaves_the_configuration_begins_anew_when_it_returns(self, device: Device) -> None:
        note_touch(device.store, "j", "/f", 10 * 10**9)
        device.shown("{}")
        note_touch(device.store, "j", "/f", 20 * 10**9)

        assert device.store.value(JOB_RUNS, ("j", "success")) is None

    def test_a_file_that_hangs_holds_up_nothing(
        self, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        released, reached = Event(), Event()

        def hang(path: str) -> int:
            reached.set()
            released.wait(60)
            return 0

        monkeypatch.setattr("vv_exporter.probes.files.touched", hang)
        service, collector = device.configured("{j: {heartbeat_file: /mnt/dead/alive}}")
        service.start()
        try:
            assert reached.wait(10)
            assert series(collector.collect())["vv_job_running", "j"] == 0
            service.stop()
        finally:
            released.set()
