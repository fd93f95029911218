"""Containers that should run and do not, as `/metrics/events` shows them, and how that page is asked for."""

import gzip
from collections.abc import Iterable
from pathlib import Path

import pytest
import requests
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.unit.web.conftest import Serve, serve
from vv_exporter.collectors.containers_down import ContainersDownCollector
from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import CONTAINERS, ContainerRecord
from vv_exporter.context import Context
from vv_exporter.journal.folds.supervisor import SUPERVISED, Supervised
from vv_exporter.metrics import gauge, gauges
from vv_exporter.settings import load
from vv_exporter.state.store import Store
from vv_exporter.web import create_app
from vv_exporter.web.guard import Guarded

__all__ = ["serve"]
OTHER = gauge("vv_other", "Of a collector that costs more.")
ENDED = 1000 * SECOND
RECORDS = [
    ContainerRecord(name="runs", id="1", state="running", wanted=True),
    ContainerRecord(name="paused", id="2", state="paused", wanted=True),
    ContainerRecord(name="stopped", id="3", state="exited", finished=ENDED, stopped=True),
    ContainerRecord(name="ended", id="4", state="exited", finished=ENDED, exit_code=137, wanted=True),
    ContainerRecord(name="agent_dvr", id="5", state="exited", finished=ENDED, exit_code=0, stopped=True),
    ContainerRecord(name="watched", id="6", state="exited", finished=ENDED, exit_code=1, wanted=True),
    ContainerRecord(name="given-up", id="7", state="exited", finished=ENDED, exit_code=1, wanted=True),
]
LABELS = {
    ("ended", "false", "true", "exited", "137"),
    ("agent_dvr", "true", "false", "exited", "0"),
    ("watched", "false", "false", "exited", "1"),
    ("given-up", "false", "true", "exited", "1"),
    ("never", "true", "false", "", ""),
    ("listed", "false", "false", "", ""),
}


class Device:
    """A context whose time stands in it."""

    def __init__(self, folder: Path) -> None:
        self.now, self.uptime, self.settled, self.current = 1000.0, 9000.0, True, True
        config = folder / "vv.yml"
        config.write_text("containers: {essential: [agent_dvr, never], expected: [listed]}")
        settings = load({"VV_STATE_DIR": str(folder), "VV_CONFIG": str(config)})
        store = Store(folder / "state.db", lambda: self.now)
        self.context = Context(settings, store, lambda: self.now, lambda: self.now, lambda: self.uptime)
        self.collector = ContainersDownCollector(self.context, lambda: self.settled, lambda: self.current)
        with store.transaction() as tx:
            for record in RECORDS:
                tx.put(CONTAINERS, record.name, record)
            tx.put(SUPERVISED, "watched", Supervised(max=5))
            tx.put(SUPERVISED, "given-up", Supervised(max=5, gave_up=True))

    def shown(self) -> dict[tuple[str, ...], float]:
        return {
            tuple(sample.labels[name] for name in ("name", "essential", "crashed", "state", "exit_code")): sample.value
            for family in self.collector.collect()
            for sample in family.samples
        }


@pytest.fixture
def device(tmp_path: Path) -> Iterable[Device]:
    device = Device(tmp_path)
    yield device
    device.context.store.close()


def test_what_should_run_and_does_not_is_shown_with_how_long_and_why(device: Device) -> None:
    assert device.shown() == dict.fromkeys(LABELS, 0.0)
    device.now += 2.5
    assert device.shown() == dict.fromkeys(LABELS, 2.5)


def test_nothing_is_shown_before_the_engine_was_asked(device: Device) -> None:
    device.settled = False
    assert device.shown() == {}
    device.settled, device.now = True, 1004.0
    assert device.shown() == dict.fromkeys(LABELS, 0.0)


def test_after_a_start_of_the_device_containers_have_two_minutes(device: Device) -> None:
    device.uptime = 119.9
    assert device.shown() == {}
    device.now, device.uptime = 1005.0, 120.0
    assert device.shown() == dict.fromkeys(LABELS, 5.0)


class Dear:
    """A collector that costs more, and counts how often it is asked."""

    name = "dear"

    def __init__(self) -> None:
        self.asked = 0

    def collect(self) -> Iterable[Family]:
        self.asked += 1
        yield gauges(OTHER, [((), 1.0)])


def names(text: str) -> set[str]:
    return {family.name for family in text_string_to_metric_families(text)}


def test_the_page_of_events_shows_these_alone_and_asks_nobody_else(device: Device, serve: Serve) -> None:
    dear = Dear()
    url = serve(create_app(device.context, [Guarded(dear), Guarded(device.collector)])).url
    headers = {
        "Accept": "application/openmetrics-text; version=1.0.0",
        "X-Prometheus-Scrape-Timeout-Seconds": "2",
    }
    events = requests.get(f"{url}/metrics/events", headers=headers, timeout=10)
    beats = device.context.beats.scraped_age()

    assert names(events.text) == {"vv_container_down_seconds"}
    assert events.text.count("\nvv_container_down_seconds{") == len(LABELS)
    assert (dear.asked, beats) == (0, None), "it is no scrape as the alert path proves it"

    everything = requests.get(f"{url}/metrics", headers=headers, timeout=10)
    assert names(everything.text) == {
        "vv_container_down_seconds", "vv_other", "vv_collector_success", "vv_collector_duration_seconds",
    }  # fmt: skip
    assert everything.headers["Content-Type"] == events.headers["Content-Type"]


def test_the_page_of_events_is_answered_like_the_other(device: Device, serve: Serve) -> None:
    url = serve(create_app(device.context, [Guarded(device.collector)])).url + "/metrics/events"
    plain = requests.get(url, headers={"Accept": "text/plain", "Accept-Encoding": "identity"}, timeout=10)
    packed = requests.get(url, headers={"Accept-Encoding": "gzip"}, timeout=10, stream=True)
    head = requests.head(url, timeout=10)

    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"vv_container_down_seconds{" in gzip.decompress(packed.raw.read())
    assert (head.status_code, head.content) == (200, b"")


def test_a_collector_that_fails_leaves_an_empty_page_and_is_told_by_the_other(serve: Serve, device: Device) -> None:
    device.collector._is_settled = lambda: 1 / 0 > 0
    url = serve(create_app(device.context, [Guarded(device.collector)])).url

    events = requests.get(f"{url}/metrics/events", timeout=10)
    assert (events.status_code, events.text) == (200, "")
    assert 'vv_collector_success{collector="containers_down"} 0.0' in requests.get(f"{url}/metrics", timeout=10).text


def test_while_the_engine_does_not_answer_nothing_is_down_for_longer(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.shown()
    device.now += 2.0
    device.shown()
    device.current = False
    device.now += 60.0
    assert set(device.shown().values()) == {2.0}

    device.current = True
    device.now += 1.0
    assert set(device.shown().values()) == {3.0}
