"""The worker where there is no Engine, or one that does not behave; with a real one see tests/e2e."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from vv_exporter.collectors.containers import ContainersCollector
from vv_exporter.containers import watch as watching
from vv_exporter.containers.asker import Asker
from vv_exporter.containers.engine_record import ENGINE, EngineRecord
from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import CONTAINERS, GONE, ContainerRecord, all_series
from vv_exporter.containers.watch import ContainerWatch
from vv_exporter.context import Context
from vv_exporter.metrics.containers import RESTARTS
from vv_exporter.settings import ContainersSettings, load
from vv_exporter.state.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.db", time.time)
    yield store
    store.close()


def collector(store: Store, watch: ContainerWatch, tmp_path: Path, config: str = "") -> ContainersCollector:
    file = tmp_path / "vv.yml"
    file.write_text(config or "{}")
    settings = load({"VV_STATE_DIR": str(tmp_path), "VV_CONFIG": str(file)})
    return ContainersCollector(Context(settings, store, time.time, time.monotonic), watch, Asker(watch.connect))


def watch_of(store: Store, host: str) -> ContainerWatch:
    return ContainerWatch(host, ContainersSettings(), store, time.time, time.monotonic)


def samples(collector: ContainersCollector) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in collector.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@contextlib.contextmanager
def started(watch: ContainerWatch) -> Iterator[None]:
    watch.start()
    try:
        yield
    finally:
        watch.stop()


def test_a_device_without_docker_shows_no_engine(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "DEFAULT_HOST", f"unix://{tmp_path}/none.sock")
    watch = watch_of(store, "")
    with started(watch):
        wait_until(lambda: watch.settled, what="a look")

        assert samples(collector(store, watch, tmp_path)) == {}


def test_an_engine_that_was_named_and_does_not_answer_is_down(store: Store, tmp_path: Path) -> None:
    watch = watch_of(store, f"unix://{tmp_path}/none.sock")
    with started(watch):
        wait_until(lambda: watch.settled, what="a look")

        assert samples(collector(store, watch, tmp_path)) == {
            "vv_docker_up[]": 0,
            "vv_docker_event_stream_connected[]": 0,
        }


def test_an_engine_that_was_seen_before_is_down_when_its_socket_is_gone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "DEFAULT_HOST", f"unix://{tmp_path}/none.sock")
    with store.transaction() as tx:
        tx.put(ENGINE, "engine", EngineRecord(cursor=1))
    watch = watch_of(store, "")
    with started(watch):
        wait_until(lambda: watch.settled, what="a look")

        assert samples(collector(store, watch, tmp_path))["vv_docker_up[]"] == 0


def test_an_engine_that_accepts_and_never_answers_does_not_hold_up_the_end(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "mute.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        watch = watch_of(store, f"unix://{path}")
        watch.start()
        connection, _ = server.accept()
        begin = time.monotonic()
        watch.stop()
        took = time.monotonic() - begin
        connection.close()

    assert took < 3
    assert not watch.up


def test_what_answers_but_is_no_engine_is_down(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        watch = watch_of(store, f"unix://{path}")
        with started(watch):
            for answer in (b"hello", b"{}"):  # to a ping, and to the question of its version
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
            wait_until(lambda: watch.settled, what="a look")

            assert not watch.up


def test_listed_containers_that_never_were_are_down_once_the_engine_was_asked(store: Store, tmp_path: Path) -> None:
    watch = watch_of(store, f"unix://{tmp_path}/none.sock")
    shown = collector(store, watch, tmp_path, "containers: {essential: [agent_dvr]}")
    before = samples(shown)
    with started(watch):
        wait_until(lambda: watch.settled, what="a look")
        after = samples(shown)

    assert not any("agent_dvr" in name for name in before)
    assert after["vv_container_expected[('name', 'agent_dvr')]"] == 1
    assert after["vv_container_running[('name', 'agent_dvr')]"] == 0


def test_a_container_is_shown_with_what_it_is_and_how_it_fares(store: Store, tmp_path: Path) -> None:
    record = ContainerRecord(
        name="web",
        id="1",
        image="web:1",
        project="site",
        service="w",
        state="running",
        health="unhealthy",
        streak=4,
        exit_code=3,
        started=5 * SECOND,
        wanted=True,
    )
    with store.transaction() as tx:
        tx.put(CONTAINERS, "web", record)
        for metric, labels in all_series("web"):
            tx.inc(metric, labels, 0)
        tx.inc(RESTARTS, ("web", "policy"), 2)
    shown = samples(collector(store, watch_of(store, ""), tmp_path, "containers: {essential: [web]}"))

    name = "('name', 'web')"
    info = f"('essential', 'true'), ('image', 'web:1'), {name}, ('project', 'site'), ('service', 'w')"
    assert shown[f"vv_container_info[{info}]"] == 1
    assert shown[f"vv_container_expected[{name}]"] == 1
    assert shown[f"vv_container_running[{name}]"] == 1
    assert shown[f"vv_container_state[{name}, ('state', 'running')]"] == 1
    assert shown[f"vv_container_health[{name}, ('status', 'unhealthy')]"] == 1
    assert shown[f"vv_container_health_failing_streak[{name}]"] == 4
    assert shown[f"vv_container_last_exit_code[{name}]"] == 3
    assert shown[f"vv_container_start_time_seconds[{name}]"] == 5
    assert shown[f"vv_container_restarts_total[('cause', 'policy'), {name}]"] == 2
    assert shown[f"vv_container_restarts_total[('cause', 'daemon'), {name}]"] == 0
    assert shown[f"vv_container_exits_total[{name}, ('reason', 'oom')]"] == 0
    assert shown[f"vv_container_oom_kills_total[{name}]"] == 0


def test_a_container_that_is_gone_reads_0(store: Store, tmp_path: Path) -> None:
    with store.transaction() as tx:
        tx.put(CONTAINERS, "web", ContainerRecord(name="web", id="1", state=GONE, wanted=True))
    shown = samples(collector(store, watch_of(store, ""), tmp_path))

    assert shown["vv_container_running[('name', 'web')]"] == 0
    assert shown["vv_container_expected[('name', 'web')]"] == 1
