"""What has just failed, as `/metrics/events` shows it: growth of counters between looks, and what was said of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.unit.web.conftest import Serve, serve
from vv_exporter.collectors._growth import Growth
from vv_exporter.collectors.recent_failures import RECENT, RecentFailuresCollector
from vv_exporter.context import Context
from vv_exporter.metrics import Labels, Metric
from vv_exporter.metrics.exceptions import EXCEPTIONS_UNHANDLED, SCRIPT_CRASHES
from vv_exporter.metrics.jobs import JOB_LAST_EXIT_CODE, JOB_RUNS
from vv_exporter.metrics.pipeline import STAGE_DURATION
from vv_exporter.metrics.security import HMAC_OPERATIONS, SCHEMA_VALIDATIONS
from vv_exporter.metrics.videos import VIDEOS_EXHAUSTED
from vv_exporter.settings import load
from vv_exporter.state.failures import Failure, remember
from vv_exporter.state.scrapes import HELD
from vv_exporter.state.store import Store, Transaction
from vv_exporter.web import create_app
from vv_exporter.web.guard import Guarded

__all__ = ["serve"]

FAILED: list[tuple[Metric, Labels, str, dict[str, str]]] = [
    (JOB_RUNS, ("cleanup", "failure"), "vv_job_runs_recent", {"name": "cleanup", "result": "failure"}),
    (JOB_RUNS, ("cleanup", "crashed"), "vv_job_runs_recent", {"name": "cleanup", "result": "crashed"}),
    (
        SCHEMA_VALIDATIONS,
        ("video", "scan.py", "invalid"),
        "vv_schema_validations_recent",
        {"schema": "video", "component": "scan.py", "result": "invalid"},
    ),
    (
        HMAC_OPERATIONS,
        ("sign", "scan.py", "failed"),
        "vv_hmac_operations_recent",
        {"operation": "sign", "component": "scan.py", "result": "failed"},
    ),
    (
        EXCEPTIONS_UNHANDLED,
        ("cut.py", "KeyError"),
        "vv_exceptions_unhandled_recent",
        {"component": "cut.py", "exception": "KeyError"},
    ),
    (SCRIPT_CRASHES, ("cut.py",), "vv_script_crashes_recent", {"component": "cut.py"}),
    (VIDEOS_EXHAUSTED, ("scan",), "vv_videos_exhausted_recent", {"stage": "scan"}),
]
SUCCEEDED: list[tuple[Metric, Labels]] = [
    (JOB_RUNS, ("cleanup", "success")),
    (SCHEMA_VALIDATIONS, ("video", "scan.py", "valid")),
    (HMAC_OPERATIONS, ("sign", "scan.py", "ok")),
]


class Device:
    """A context whose time stands in it, and the collector."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.now = 1000.0
        settings = load({"VV_STATE_DIR": str(folder), **environ})
        self.store = Store(folder / "state.db", lambda: self.now)
        self.context = Context(settings, self.store, lambda: self.now, lambda: self.now, lambda: 9000.0)
        self.start()

    def start(self) -> None:
        """As the exporter does, with what was counted before."""
        self.collector = RecentFailuresCollector(self.context)

    def shown(self) -> list[tuple[str, dict[str, str], float]]:
        return [
            (sample.name, dict(sample.labels), sample.value)
            for family in self.collector.collect()
            for sample in family.samples
        ]

    def counted(self, metric: Metric, labels: Labels, amount: int = 1) -> None:
        with self.store.transaction() as tx:
            self._add(tx, metric, labels, amount)

    def _add(self, tx: Transaction, metric: Metric, labels: Labels, amount: int) -> None:
        if metric.type == "histogram":
            for _ in range(amount):
                tx.observe(metric, labels, 2.0)
        else:
            tx.inc(metric, labels, amount)

    def failed(self, **failure: Any) -> None:
        with self.store.transaction() as tx:
            remember(tx, Failure(**{"component": "scan.py", "kind": "stage_failure:scan", **failure}))


@pytest.fixture
def device(tmp_path: Path) -> Iterable[Device]:
    device = Device(tmp_path)
    yield device
    device.store.close()


def test_what_grew_is_shown_at_the_next_look_for_a_minute(device: Device) -> None:
    for metric, labels, *_ in FAILED:
        device.counted(metric, labels, 7)
    device.start()
    assert device.shown() == []
    device.now += 2
    assert device.shown() == []

    for metric, labels, *_ in FAILED:
        device.counted(metric, labels, 2)
    for metric, labels in SUCCEEDED:
        device.counted(metric, labels)
    device.now += 2
    expected = [(name, labels, 2.0) for _, _, name, labels in FAILED]
    assert sorted(device.shown(), key=str) == sorted(expected, key=str)
    device.now += 59.9
    assert len(device.shown()) == len(FAILED)
    device.now += 0.1
    assert device.shown() == []


def test_the_exit_code_of_a_job_that_failed_is_shown_with_it(device: Device) -> None:
    def ended(job: str, result: str, code: float) -> None:
        with device.store.transaction() as tx:
            tx.inc(JOB_RUNS, (job, result))
            tx.set(JOB_LAST_EXIT_CODE, (job,), code)

    ended("long-ago", "failure", 4)
    device.start()
    for job, result, code in (("cleanup", "failure", 3), ("upload", "success", 0), ("mended", "failure", 1)):
        ended(job, result, code)
    ended("mended", "success", 0)
    codes = [(labels, code) for name, labels, code in device.shown() if name == "vv_job_exit_code_recent"]
    assert codes == [({"name": "cleanup"}, 3.0)]
    device.now += 60
    assert device.shown() == []


def test_what_is_counted_before_the_first_look_is_new_as_well(device: Device) -> None:
    """What waited in the journal when the exporter started."""
    device.counted(SCRIPT_CRASHES, ("cut.py",))
    device.failed(time=990.0)
    assert [name for name, _, _ in device.shown()] == [
        "vv_script_crashes_recent",
        "vv_last_failure_recent_timestamp_seconds",
    ]


def test_runs_of_stages_are_counted_whatever_they_took(device: Device) -> None:
    device.shown()
    for outcome in ("success", "failure", "crashed"):
        device.counted(STAGE_DURATION, ("scan", outcome), 3)
    assert device.shown() == [
        ("vv_stage_runs_recent", {"stage": "scan", "outcome": outcome}, 3.0) for outcome in ("failure", "crashed")
    ]


def test_a_failure_is_quoted_once_it_is_new_and_only_the_latest(device: Device) -> None:
    device.failed(time=900.0, error="long ago")
    device.start()
    assert device.shown() == []
    said = {"video": "cam1.mp4", "video_sha256": "abc1", "error": "empty", "alert_id": "0197-1"}
    device.failed(time=990.0, **said)
    name = "vv_last_failure_recent_timestamp_seconds"
    of = {"component": "scan.py", "kind": "stage_failure:scan"}
    assert device.shown() == [(name, {**of, **said}, 990.0)]
    device.failed(time=995.0, **said | {"error": "empty again"})
    assert device.shown() == [(name, {**of, **said, "error": "empty again"}, 995.0)]
    device.now += 60
    assert device.shown() == []


@pytest.mark.parametrize(("interval", "seconds"), [("10s", 60), ("20s", 60), ("30s", 90), ("60s", 180)])
def test_it_is_shown_until_the_counters_were_scraped_and_their_rules_evaluated(
    tmp_path: Path, interval: str, seconds: int
) -> None:
    device = Device(tmp_path, VV_SCRAPE_INTERVAL=interval)
    device.shown()
    device.counted(SCRIPT_CRASHES, ("cut.py",))
    assert len(device.shown()) == 1
    device.now += seconds - 1
    assert len(device.shown()) == 1
    device.now += 1
    assert device.shown() == []
    device.store.close()


def test_each_of_them_is_held_after_a_pause_as_well() -> None:
    """So that what counts as a success is known of each."""
    assert RECENT.keys() <= HELD.keys()


def test_the_page_of_events_shows_it(device: Device, serve: Serve) -> None:
    url = serve(create_app(device.context, [Guarded(device.collector)])).url + "/metrics/events"
    requests.get(url, timeout=10)
    device.counted(SCRIPT_CRASHES, ("cut.py",))
    assert 'vv_script_crashes_recent{component="cut.py"} 1.0' in requests.get(url, timeout=10).text


def test_growth_is_what_was_added_between_looks() -> None:
    growth = Growth(10.0, {"a": 5.0})
    assert growth.update({"a": 5.0}, 0.0) == {}
    assert growth.update({"a": 6.0, "new": 2.0}, 1.0) == {"a": 1.0, "new": 2.0}
    assert growth.update({"a": 6.0, "new": 3.0}, 10.9) == {"a": 1.0, "new": 3.0}
    assert growth.update({"a": 6.0, "new": 3.0}, 11.0) == {"new": 1.0}
    assert growth.update({"a": 6.0, "new": 3.0}, 21.0) == {}


def test_a_count_that_was_reset_has_not_grown_and_one_that_is_gone_is_not_shown() -> None:
    growth = Growth(10.0, {"a": 5.0, "b": 5.0})
    assert growth.update({"a": 7.0, "b": 6.0}, 1.0) == {"a": 2.0, "b": 1.0}
    assert growth.update({"a": 3.0}, 2.0) == {"a": 2.0}
    assert growth.update({"a": 4.0}, 3.0) == {"a": 3.0}
    assert growth.update({"a": 4.0, "b": 1.0}, 4.0) == {"a": 3.0, "b": 2.0}


def test_growth_of_a_huge_count_is_a_number() -> None:
    growth = Growth(10.0, {"a": 0.0})
    assert growth.update({"a": 2.0**70}, 1.0) == {"a": 2.0**70}
