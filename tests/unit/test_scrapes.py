"""What was counted while nobody scraped is told: the first scrapes after a long pause show counters as they were."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.core import Metric as Family

from tests.support.clock import Clock
from tests.unit.collectors.test_collectors import series
from vv_exporter.collectors._store import stored
from vv_exporter.metrics import Metric, all_metrics
from vv_exporter.metrics.exceptions import EXCEPTIONS_UNHANDLED
from vv_exporter.metrics.jobs import JOB_RUNS
from vv_exporter.metrics.pipeline import STAGE_DURATION
from vv_exporter.state.scrapes import HELD, HELD_SCRAPES, LAST_SCRAPE, SCRAPED, Scrapes, with_held
from vv_exporter.state.store import Store

DAY = 86400.0
ROOT = Path(__file__).parents[2]
PROMETHEUS, VMAGENT = "Prometheus/3.5.3", "vm_promscrape"
FAILED = ("vv_job_runs_total", "j", "failure")


class Device:
    """An exporter that is scraped, stopped and started."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.path = folder / "state.db"
        self.store = Store(self.path, self.clock)
        self.scrapes = Scrapes(self.store, self.clock)

    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.path, self.clock)
        self.scrapes = Scrapes(self.store, self.clock)

    def fails(self, times: int = 1) -> None:
        with self.store.transaction() as tx:
            tx.ensure(JOB_RUNS, *(("j", result) for result in ("success", "failure", "crashed")))
            tx.inc(JOB_RUNS, ("j", "failure"), times)
            tx.inc(JOB_RUNS, ("j", "success"), times)

    def scrape(self, agent: str = PROMETHEUS) -> dict[tuple[str, ...], float]:
        before = self.scrapes.held(agent)
        families: list[Family] = [stored(self.store, metric) for metric in HELD]
        shown = series(families if before is None else with_held(families, self.store, before))
        self.clock.advance(10)
        return shown

    def scrapes_of(self, seconds: float, agent: str = PROMETHEUS) -> None:
        for _ in range(int(seconds / 10)):
            self.scrape(agent)
        self.scrapes.save()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path)
    yield device
    device.store.close()


@pytest.fixture
def seen(device: Device) -> Device:
    """A device whose Prometheus has seen one failure."""
    device.fails()
    device.scrapes_of(60)
    return device


def test_what_was_counted_before_the_first_scrape_after_two_days_is_seen_to_grow(seen: Device) -> None:
    seen.clock.advance(2 * DAY)
    seen.restart()
    seen.fails(3)

    assert [seen.scrape()[FAILED] for _ in range(HELD_SCRAPES + 2)] == [1, 1, 4, 4]


def test_nothing_new_is_nothing_to_tell(seen: Device) -> None:
    seen.clock.advance(2 * DAY)
    seen.restart()

    assert {seen.scrape()[FAILED] for _ in range(5)} == {1}


def test_a_short_pause_changes_nothing(seen: Device) -> None:
    seen.clock.advance(3600)
    seen.restart()
    seen.fails()

    assert seen.scrape()[FAILED] == 2


def test_what_one_prometheus_missed_is_held_for_it_alone(seen: Device) -> None:
    seen.scrapes_of(60, VMAGENT)
    for _ in range(2 * 24 * 60):
        seen.scrape(VMAGENT)
        seen.clock.advance(50)
    seen.fails()

    assert seen.scrape(VMAGENT)[FAILED] == 2
    assert [seen.scrape("Prometheus/3.6.0")[FAILED] for _ in range(HELD_SCRAPES + 1)] == [1, 1, 2]


def test_successes_are_never_held(seen: Device) -> None:
    seen.clock.advance(2 * DAY)
    seen.restart()
    seen.fails(3)

    assert seen.scrape()["vv_job_runs_total", "j", "success"] == 4


def test_a_series_that_is_new_was_0(seen: Device) -> None:
    seen.clock.advance(2 * DAY)
    seen.restart()
    with seen.store.transaction() as tx:
        tx.inc(EXCEPTIONS_UNHANDLED, ("scan.py", "ValueError"))
        tx.observe(STAGE_DURATION, ("scan", "crashed"), 5.0)

    first, _, third = (seen.scrape() for _ in range(HELD_SCRAPES + 1))

    for name in (
        ("vv_exceptions_unhandled_total", "scan.py", "ValueError"),
        ("vv_stage_duration_seconds_count", "scan", "crashed"),
    ):
        assert (first[name], third[name]) == (0, 1)


def test_a_device_that_is_new_begins_at_0(device: Device) -> None:
    device.fails()

    assert [device.scrape()[FAILED] for _ in range(HELD_SCRAPES + 1)] == [0, 0, 1]


def test_what_an_older_version_counted_was_seen(seen: Device) -> None:
    with seen.store.transaction() as tx:  # it wrote nothing down
        tx.delete(LAST_SCRAPE, "")
    seen.restart()
    seen.fails()

    assert [seen.scrape()[FAILED] for _ in range(HELD_SCRAPES + 1)] == [1, 1, 2]


def test_what_was_shown_in_the_last_minute_before_a_power_cut_is_told_again_rather_than_not(seen: Device) -> None:
    seen.fails()
    seen.scrape()  # and the power is cut before it is written down
    seen.clock.advance(2 * DAY)
    seen.restart()

    assert [seen.scrape()[FAILED] for _ in range(HELD_SCRAPES + 1)] == [1, 1, 2]


def test_nothing_is_written_while_nothing_changes(seen: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    transaction = seen.store.transaction
    monkeypatch.setattr(seen.store, "transaction", lambda: written.append(1) or transaction())
    for _ in range(9):
        seen.scrapes_of(60)

    assert written == []


def asked_by_rules() -> set[Metric]:
    """The counters of the store over whose range of time a rule looks."""
    texts = [
        str(rule["expr"])
        for path in (ROOT / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    names = {name for text in texts for name in re.findall(r"(vv_\w+?)(?:_count)?(?:\{[^}]*\})?\[", text)}
    metrics = all_metrics()
    return {metrics[name] for name in names if name in metrics and metrics[name].type != "gauge"}


def test_every_counter_whose_growth_rules_tell_is_held() -> None:
    measured = {"vv_container_cpu_seconds_total", "vv_host_cpu_seconds_total", "vv_host_pressure_waiting_seconds_total"}
    missing = {metric.name for metric in asked_by_rules() - HELD.keys()} - measured

    assert missing == set()
    assert HELD.keys() <= asked_by_rules()


def test_who_begins_to_scrape_an_exporter_that_is_long_at_work_sees_counters_as_they_are(seen: Device) -> None:
    seen.fails(3)
    seen.scrapes_of(DAY)

    assert seen.scrape(VMAGENT)[FAILED] == seen.scrape()[FAILED] == 4


def test_what_was_shown_costs_the_disk_no_commit_of_its_own(device: Device) -> None:
    device.fails()
    device.scrapes_of(60)

    assert device.store.waiting
    assert device.store.docs(SCRAPED)
    with sqlite3.connect(device.path) as connection:
        query = "SELECT count(*) FROM document WHERE kind = 'scraped'"
        assert connection.execute(query).fetchone() == (0,)
        device.store.commit()
        assert connection.execute(query).fetchone() > (0,)
