"""What runs in the background: that it is listed, the order in which it starts and stops, and what costs whom."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import vv_exporter.collectors
from tests.support.scarcity import NoThreads
from tests.support.waiting import wait_until
from vv_exporter import exporter, services
from vv_exporter.collectors import discover
from vv_exporter.context import Context
from vv_exporter.runtime.loop import Loop
from vv_exporter.services import Services, at_work, build_services
from vv_exporter.settings import load
from vv_exporter.state.database import StoreError
from vv_exporter.state.scrapes import Scrapes
from vv_exporter.state.store import Store
from vv_exporter.status import Past

EVERYTHING = """
dvrs: {front: {url: "rtsp://127.0.0.1:1/x"}}
"""


class Part:
    """A service that writes down what happens to it; its first starts raise these."""

    def __init__(self, name: str, happened: list[str], *failures: Exception, stops: Exception | None = None) -> None:
        self._name = name
        self._happened = happened
        self._failures = list(failures)
        self._stops = stops

    def start(self) -> None:
        if self._failures:
            raise self._failures.pop(0)
        self._happened.append(f"+{self._name}")

    def stop(self) -> None:
        self._happened.append(f"-{self._name}")
        if self._stops is not None:
            raise self._stops


def named(*parts: Part) -> list[tuple[str, Part]]:
    return [(part._name, part) for part in parts]


def test_they_start_in_their_order_and_stop_in_reverse() -> None:
    happened: list[str] = []

    with at_work(named(*(Part(name, happened) for name in "abc"))):
        assert happened == ["+a", "+b", "+c"]

    assert happened[3:] == ["-c", "-b", "-a"]


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), OSError(28, "No space left on device")])
def test_one_that_cannot_start_ends_those_before_it_and_none_after_it_begins(error: Exception) -> None:
    happened: list[str] = []

    with (
        pytest.raises(type(error)),
        at_work(named(Part("a", happened), Part("b", happened, error), Part("c", happened))),
    ):
        pytest.fail("it is at work")

    assert happened == ["+a", "-b", "-a"]


def test_one_that_cannot_write_yet_is_named_and_started_later_and_keeps_none_from_its_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(services, "RETRY_INTERVAL_SECONDS", 0.01)
    happened: list[str] = []
    full = [StoreError("disk full")] * 3

    with at_work(named(Part("a", happened), Part("b", happened, *full), Part("c", happened))):
        assert happened[:2] == ["+a", "+c"]
        wait_until(lambda: "+b" in happened, 30, what="the late start")

    assert happened == ["+a", "+c", "+b", "-c", "-b", "-a"]
    assert caplog.text.count("b: will be started later: disk full") == 1


def test_nothing_is_started_late_once_all_is_being_stopped() -> None:
    happened: list[str] = []

    with at_work(named(Part("a", happened, *[StoreError("disk full")] * 1000), Part("b", happened))):
        pass

    assert happened == ["+b", "-b", "-a"]


def test_one_that_fails_to_stop_keeps_no_other_from_stopping() -> None:
    happened: list[str] = []

    with (
        pytest.raises(ValueError, match="broken"),
        at_work(named(Part("a", happened), Part("b", happened, stops=ValueError("broken")), Part("c", happened))),
    ):
        pass

    assert happened == ["+a", "+b", "+c", "-c", "-b", "-a"]


def test_a_loop_that_begins_at_once_waits_for_nothing() -> None:
    rounds: list[int] = []

    def work() -> None:
        rounds.append(1)

    with at_work([("often", Loop("often", "often", work, 3600, at_once=True))]):
        wait_until(lambda: rounds, 30, what="the first round")


def test_a_thread_that_cannot_be_had_is_raised_and_what_had_begun_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vv_exporter.runtime.threads.start.__defaults__", (0.1,))
    NoThreads(monkeypatch, "second")
    happened: list[str] = []
    second = Loop("second", "the second", lambda: None)

    with (
        pytest.raises(RuntimeError, match="can't start new thread"),
        at_work([*named(Part("a", happened)), ("b", second)]),
    ):
        pytest.fail("it is at work")

    assert happened == ["+a", "-a"]


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[Services]:
    """All that can be configured."""
    file = tmp_path / "vv.yml"
    file.write_text(EVERYTHING)
    environment = {
        "VV_STATE_DIR": str(tmp_path),
        "VV_CONFIG": str(file),
        "VIDEO_STORAGE_ROOT": str(tmp_path / "video"),
        "WEBHOOK_URL": "http://127.0.0.1:1/hook",
        "SMTP_SMARTHOST": "127.0.0.1:1",
        "SMTP_FROM": "vv@example.test",
        "ALERT_EMAIL_TO": "ops@example.test",
        "VV_FLEET_CONFIG_URL": "https://127.0.0.1:1/vv.signed",
        "VV_FLEET_CONFIG_KEY": "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    }
    store = Store(tmp_path / "state.db", time.time)
    yield build_services(Context(load(environment), store, time.time, time.monotonic))
    store.close()


def listed(found: Services) -> list[tuple[str, object]]:
    return list(exporter.in_order(found, list, Past(), Scrapes(found.store, time.time)))


def test_every_service_that_collectors_read_is_in_the_list_once(everything: Services) -> None:
    shown = [service for _, service in listed(everything)]

    for name in Services.__slots__:
        read = getattr(everything, name)
        for service in read.values() if name == "filesystems" else [read]:
            assert shown.count(service) == 1, name
    names = [name for name, _ in listed(everything)]
    assert len(set(names)) == len(names)


def test_what_reads_the_answers_of_another_starts_after_it(everything: Services) -> None:
    order = [service for _, service in listed(everything)]

    assert order.index(everything.delivery) < order.index(everything.reader)
    assert order.index(everything.filesystems["video_storage"]) < order.index(everything.ingest_pause)


def test_what_is_not_configured_is_not_listed(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db", time.time)
    bare = build_services(Context(load({"VV_STATE_DIR": str(tmp_path)}), store, time.time, time.monotonic))

    names = [name for name, _ in listed(bare)]

    assert "the digest" not in names
    assert "the pause of ingestion" not in names
    assert "the journal's reader" in names
    store.close()


def test_a_collector_starts_nothing_and_writes_nothing(everything: Services) -> None:
    for collector in [build(everything) for build in discover()]:
        assert not hasattr(collector, "start"), collector.name
    for path in Path(vv_exporter.collectors.__file__).parent.glob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not names & {"transaction", "start", "Thread"}, path
