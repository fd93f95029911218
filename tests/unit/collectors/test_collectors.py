"""What the collectors storage, host, thresholds and itself show."""

import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from prometheus_client.core import Metric

from tests.support.waiting import wait_until
from vv_exporter.collectors import discover, itself, storage, thresholds
from vv_exporter.collectors import host as host_module
from vv_exporter.collectors.host import Host, pressure
from vv_exporter.context import Context
from vv_exporter.metrics.exporter import EVENTS
from vv_exporter.probes.filesystem import Answer, PathProbe, Status, Usage
from vv_exporter.services import at_work, build_services
from vv_exporter.settings import FreeSpace, load
from vv_exporter.state.store import Store

Series = dict[tuple[str, ...], float]


def series(families: Iterable[Metric]) -> Series:
    """Values by sample name and label values."""
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


@pytest.fixture
def context(tmp_path: Path) -> Iterable[Context]:
    environment = {
        "VV_STATE_DIR": str(tmp_path),
        "VIDEO_STORAGE_ROOT": str(tmp_path / "video"),
        "DISK_WARNING_FREE": "20%,50GB",
        "DISK_CRITICAL_FREE": "10GB",
        "MAX_PROCESSING_TIME_SCAN_VIDEO": "15m",
    }
    store = Store(tmp_path / "state.db", time.time)
    yield Context(settings=load(environment), store=store, clock=time.time, monotonic=time.monotonic)
    store.close()


def test_every_module_of_the_folder_but_private_ones_is_found() -> None:
    modules = {build.__module__.rpartition(".")[2] for build in discover()}

    assert {"storage", "host", "thresholds", "itself"} <= modules
    assert not any(name.startswith("_") for name in modules)


def test_storage_shows_the_video_storage_and_the_system_disk(context: Context, tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    services = build_services(context)
    collector = storage.build(services)
    with at_work(list(services.filesystems.items())):
        shown = wait_until(lambda: complete(series(collector.collect())))

    video = ("video_storage", str(tmp_path / "video"))
    assert shown["vv_filesystem_probe_success", *video] == 1.0
    assert shown["vv_filesystem_probe_success", "system", "/"] == 1.0
    assert 0 < shown["vv_filesystem_free_bytes", *video] < shown["vv_filesystem_size_bytes", *video]
    assert shown["vv_filesystem_readonly", *video] == 0.0


def complete(shown: Series) -> Series:
    return shown if sum(key[0] == "vv_filesystem_probe_success" for key in shown) == 2 else {}


def test_a_video_storage_that_does_not_exist_is_not_available(context: Context) -> None:
    services = build_services(context)
    collector = storage.build(services)
    with at_work(list(services.filesystems.items())):
        shown = wait_until(lambda: complete(series(collector.collect())))

    video = ("video_storage", str(context.settings.video_storage_root))
    assert shown["vv_filesystem_probe_success", *video] == 0.0
    assert ("vv_filesystem_free_bytes", *video) not in shown


def test_a_limit_in_bytes_counts_as_far_as_is_sensible_for_the_disk(tmp_path: Path) -> None:
    usage = Usage(size=32 * 10**9, free=10**9, inodes=0, inodes_free=0, readonly=False)
    probes = {
        "system": PathProbe(tmp_path, lambda path: Answer(usage, None)),
        "video_storage": PathProbe(tmp_path, lambda path: Answer(None, "gone")),
    }
    limits = {"warning": FreeSpace(0.2, 50 * 10**9, 0.3), "critical": FreeSpace(0.1, 10**9)}
    collector = storage.Storage(probes, limits=limits)
    with at_work(list(probes.items())):
        shown = wait_until(lambda: _probed(collector))

    assert shown == {
        ("vv_threshold_filesystem_free_bytes", "system", "warning"): 9.6e9,
        ("vv_threshold_filesystem_free_bytes", "system", "critical"): 1e9,
        ("vv_threshold_filesystem_reduced_bytes", "system", "warning"): 50e9,
    }


def _probed(collector: storage.Storage) -> dict[tuple[str, ...], float]:
    shown = series(collector.collect())
    return {labels: value for labels, value in shown.items() if labels[0].startswith("vv_threshold_")}


def test_storage_leaves_out_what_is_not_known() -> None:
    usage = Usage(size=100, free=10, inodes=5, inodes_free=4, readonly=True)
    seen = [(("a", "/a"), Status(True, usage, 0.5)), (("b", "/b"), Status(False, None, None))]

    assert series(storage.families(seen)) == {
        ("vv_filesystem_size_bytes", "a", "/a"): 100,
        ("vv_filesystem_free_bytes", "a", "/a"): 10,
        ("vv_filesystem_inodes", "a", "/a"): 5,
        ("vv_filesystem_inodes_free", "a", "/a"): 4,
        ("vv_filesystem_readonly", "a", "/a"): 1,
        ("vv_filesystem_probe_success", "a", "/a"): 1,
        ("vv_filesystem_probe_success", "b", "/b"): 0,
        ("vv_filesystem_probe_duration_seconds", "a", "/a"): 0.5,
    }


def test_thresholds_are_shown_for_both_roles_where_they_are_set(context: Context) -> None:
    shown = series(thresholds.build(context).collect())

    assert shown == {
        ("vv_threshold_filesystem_free_ratio", "video_storage", "warning"): 0.2,
        ("vv_threshold_filesystem_free_ratio", "system", "warning"): 0.2,
        ("vv_threshold_dvr_lost",): 5,
        ("vv_threshold_cpu_ratio", "container"): 0.9,
        ("vv_threshold_cpu_ratio", "host"): 0.9,
        ("vv_threshold_memory_ratio", "container"): 0.9,
        ("vv_threshold_memory_ratio", "host"): 0.9,
        ("vv_threshold_filesystem_inodes_free_ratio",): 0.1,
        ("vv_threshold_filesystem_full_seconds",): 86400.0,
        ("vv_threshold_temperature_celsius",): 85.0,
        ("vv_threshold_event_lag_seconds",): 60.0,
        ("vv_threshold_stage_seconds", "scan_video"): 900.0,
        ("vv_threshold_stage_default_seconds",): 3600.0,
        ("vv_threshold_stage_stuck_ratio",): 3.0,
        ("vv_threshold_dvr_failures",): 3,
        ("vv_threshold_dvr_down_seconds",): 900.0,
        ("vv_threshold_dvr_frozen_seconds",): 30.0,
    }


def test_the_host_shows_what_the_kernel_says() -> None:
    shown = series(Host().collect())

    times = psutil.cpu_times()
    assert times.idle == pytest.approx(shown["vv_host_cpu_seconds_total", "idle"], abs=5)
    assert ("vv_host_cpu_seconds_total", "guest") not in shown
    assert psutil.cpu_count() == shown["vv_host_cpu_count",]
    assert psutil.virtual_memory().total == shown["vv_host_memory_total_bytes",]
    assert psutil.boot_time() == shown["vv_host_boot_time_seconds",]
    assert 0 < shown["vv_host_memory_available_bytes",] <= shown["vv_host_memory_total_bytes",]


def test_pressure_is_read_in_seconds(tmp_path: Path) -> None:
    (tmp_path / "io").write_text(
        "some avg10=0.00 avg60=1.50 avg300=0.54 total=11317870\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=99\n"
    )

    assert list(pressure(tmp_path)) == [(("io",), 11.31787)]


def test_a_kernel_without_pressure_information_is_no_error(tmp_path: Path) -> None:
    assert list(pressure(tmp_path / "none")) == []


def test_sensors_with_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    sensors = {
        "nvme": [SimpleNamespace(label="Composite", current=40.0), SimpleNamespace(label="Composite", current=41.0)],
        "cpu_thermal": [SimpleNamespace(label="", current=55.5), SimpleNamespace(label="", current=None)],
    }
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: sensors)

    assert list(host_module.temperatures()) == [
        (("nvme", "Composite"), 40.0),
        (("nvme", "Composite 2"), 41.0),
        (("cpu_thermal", "sensor"), 55.5),
    ]


def test_the_exporter_shows_its_build_its_events_and_its_process(context: Context) -> None:
    with context.store.transaction() as tx:
        tx.inc(EVENTS, ("stage.finished",), 3)

    shown = series(itself.build(context).collect())

    assert shown["vv_events_total", "stage.finished"] == 3
    assert sum(value for key, value in shown.items() if key[0] == "vv_exporter_build_info") == 1
    assert shown["process_resident_memory_bytes",] > 1e6
    assert shown["process_open_fds",] > 0
