"""Two devices that send their series to one store, and what the overview shows of them there."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import requests

from tests.support import grafana
from tests.support.device import Device
from tests.support.servers import Programs
from tests.support.store import USER, Store
from tests.support.waiting import wait_until

pytestmark = pytest.mark.prometheus

PASSWORD = "5t0re-" + "c0ffee" * 6
NAMES = ("north-1", "south-2")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, store_program: Path) -> Iterator[Store]:
    with Store(store_program, tmp_path_factory.mktemp("store"), PASSWORD) as store:
        yield store


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory, programs: Programs, store: Store) -> Iterator[dict[str, Device]]:
    secret = tmp_path_factory.mktemp("secret") / "password"
    secret.touch(mode=0o600)
    secret.write_text(PASSWORD)
    environ = {
        "VV_REMOTE_WRITE_URL": store.url,
        "VV_REMOTE_WRITE_USERNAME": USER,
        "VV_REMOTE_WRITE_PASSWORD_FILE": str(secret),
        "DOCKER_HOST": "",
    }
    north, south = (Device(tmp_path_factory.mktemp(name), environ | {"VV_DEVICE_ID": name}) for name in NAMES)
    with north, south:
        yield {"north-1": north, "south-2": south}


def seen(store: Store, promql: str) -> set[str]:
    """The devices that an expression has something of."""
    return {series["metric"]["device"] for series in store.query(promql)}


def all_seen(store: Store, promql: str) -> bool:
    return seen(store, promql) == set(NAMES)


def test_the_store_has_the_series_of_each_device_with_its_name(store: Store, devices: dict[str, Device]) -> None:
    for promql in ("vv_exporter_build_info", "up", "path:vv_filesystem_free:ratio", 'ALERTS{alertname="Watchdog"}'):
        wait_until(partial(all_seen, store, promql), 60, what=promql)

    nameless = store.query('count by (__name__) ({device=""})')
    assert nameless == []


def test_the_overview_has_a_row_for_each_device(store: Store, devices: dict[str, Device]) -> None:
    script = """
from vv_core.stages import stage
with stage("scan_video", component="scan_video.py"):
    raise OSError("no such frame")
"""
    assert devices["south-2"].script(script).wait(30) == 1
    overview = grafana.load(grafana.ROOT / "dashboards" / "overview.json")
    queries = [query for query in grafana.queries(overview) if query.of == "Devices"]

    firing = 'count by (device) (ALERTS{alertname="StageFailing",alertstate="firing"})'
    wait_until(lambda: seen(store, firing) == {"south-2"}, 60, what="the alert of one device")
    values = {}
    for query in queries:
        for series in store.query(grafana.fill_in(query, {}, 900)[0]):
            values[query.ref, series["metric"]["device"]] = float(series["value"][1])

    assert {device for _, device in values} == set(NAMES)
    assert (values["A", "north-1"], values["A", "south-2"]) == (1, 1)
    assert (values["C", "north-1"], values["C", "south-2"]) == (0, 1)


def test_who_has_no_password_gets_nothing(store: Store) -> None:
    assert requests.post(store.url, b"", timeout=10).status_code == 401


def test_what_happens_while_the_store_is_away_gets_there(store: Store, devices: dict[str, Device]) -> None:
    north = devices["north-1"]
    store.stop()
    assert north.script("from vv_core.jobs import heartbeat; heartbeat('in_the_dark')").wait(30) == 0
    wait_until(lambda: north.query('vv_job_runs_total{job="in_the_dark",result="success"}'), 30, what="the count here")
    wait_until(
        lambda: float(north.query("prometheus_remote_storage_samples_retried_total")[0]["value"][1]) > 0,
        60,
        what="a try that failed",
    )
    assert north.query('ALERTS{alertname="Watchdog",alertstate="firing"}') != []

    store.start()

    wait_until(lambda: store.query('vv_job_runs_total{job="in_the_dark"}'), 90, what="the count there")


def test_the_password_is_in_its_file_alone(devices: dict[str, Device]) -> None:
    for device in devices.values():
        config = device.state / "stack" / "config"
        holders = [file for file in device.state.rglob("*") if file.is_file() and PASSWORD in readable(file)]
        assert holders == [config / "secrets" / "remote_write_password"]
        assert holders[0].stat().st_mode & 0o777 == 0o600
        assert PASSWORD not in device.output()
        shown = requests.get(f"{device.url('prometheus')}/api/v1/status/config", timeout=10).text
        assert PASSWORD not in shown


def readable(file: Path) -> str:
    return file.read_bytes().decode(errors="replace")
