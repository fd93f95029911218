"""What a device sends to the centre of its fleet, on real servers: what is kept, all on demand, after an outage."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.device import Device
from tests.support.fleet import Centre
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from vv_exporter.fleet import inventory
from vv_exporter.render.agent import machine
from vv_exporter.stack import victoria
from vv_exporter.stack.programs import ALERTMANAGER, find

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(600)]

INTERVAL = 5


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory, store_program: Path) -> Iterator[Centre]:
    found = {name: victoria.find(name) for name in victoria.PROGRAMS} | {"alertmanager": find(ALERTMANAGER)}
    programs: Mapping[str, Path] = {name: path for name, path in found.items() if path is not None}
    with Centre(tmp_path_factory.mktemp("centre"), [inventory.Device("north-1", "Porto")], programs, {}) as centre:
        yield centre


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory, centre: Centre) -> Iterator[Device]:
    environ = {
        "VV_DEVICE_ID": "north-1",
        "VV_SITE": "Porto",
        "VV_FLEET_URL": centre.door,
        "VV_FLEET_TOKEN_FILE": str(centre.configuration / "tokens" / "north-1"),
        "VV_FLEET_AGENT_PORT": str(free_port()),
        "VV_FLEET_INTERVAL": f"{INTERVAL}s",
        "VV_FLEET_BYTES_PER_DAY": "0",
        "DOCKER_HOST": "",
    }
    with Device(tmp_path_factory.mktemp("device"), environ) as device:
        yield device


def vv(device: Device, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "vv_exporter", *arguments]
    return subprocess.run(command, env=device.env, capture_output=True, text=True, timeout=60, check=False)


def times(centre: Centre, series: str, since: float = 0) -> list[float]:
    """When each sample of a series was taken, in Unix seconds."""
    answer = requests.get(f"{centre.store}/api/v1/export", {"match[]": series}, timeout=30)
    answer.raise_for_status()
    return sorted(
        stamp / 1000 for line in answer.text.splitlines() for stamp in json.loads(line)["timestamps"] if stamp > since
    )


def agent(device: Device) -> psutil.Process:
    (found,) = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(device.state / "stack" / "agent") in " ".join(process.info["cmdline"] or [])
        and "vmagent" in (process.info["cmdline"] or [""])[0]
    ]
    return found


def test_what_is_kept_is_there_under_the_device_and_little_else(centre: Centre, device: Device) -> None:
    for promql in ("vv_exporter_build_info", "path:vv_filesystem_free:ratio", 'ALERTS{alertname="Watchdog"}'):
        wait_until(partial(centre.query, promql), 90, what=promql)
    (beat,) = wait_until(lambda: centre.query('up{job="vmagent"}'), 60, what="the beat")

    assert beat["metric"]["device"] == "north-1"
    assert beat["metric"]["site"] == "Porto"
    assert beat["metric"].get("machine", "") == machine()
    assert centre.query('count({__name__!="",device=""}) by (__name__)') == [] or {
        found["metric"]["__name__"].partition(":")[0]
        for found in centre.query('count({__name__!="",device=""}) by (__name__)')
    } <= {"fleet", "ALERTS", "ALERTS_FOR_STATE"}
    recorded = centre.query("path:vv_filesystem_free:ratio")
    assert {"job", "instance"}.isdisjoint(recorded[0]["metric"])
    assert centre.query("vv_host_cpu_seconds_total") == []
    (count,) = centre.query('count({__name__!~"fleet:.*|device:.*",device="north-1"})')
    assert float(count["value"][1]) < 300


def test_what_is_kept_costs_little(centre: Centre, device: Device) -> None:
    """As much a month, once a minute, as a link by the mobile network allows: 150 MB."""
    wait_until(lambda: figure(device, "blocks_sent_total") >= 6, 120, what="some blocks")

    block = figure(device, "bytes_sent_total") / figure(device, "blocks_sent_total")
    print(f"a block of what is kept: {block:.0f} bytes, a month {block * 60 * 24 * 30 / 1e6:.0f} MB")
    assert block * 60 * 24 * 30 < 150e6


def test_everything_is_sent_on_demand(centre: Centre, device: Device) -> None:
    assert vv(device, "fleet", "send-all").returncode == 2
    assert vv(device, "fleet", "send-all", "--for", "2d").returncode == 2
    assert vv(device, "fleet", "send-all", "--for", "10m").returncode == 0
    wait_until(lambda: centre.query("vv_host_cpu_seconds_total"), 120, what="what is not kept")
    assert "everything, until" in vv(device, "fleet", "status").stdout
    assert len(centre.query("device:vv_fleet_seen:timestamp_seconds")) <= 1

    assert vv(device, "fleet", "send-all", "--stop").returncode == 0
    address = f"{device.url('exporter')}/api/v1/fleet/targets"
    assert requests.get(address, timeout=10).json() == []


def test_the_status_says_what_is_taken_and_that_it_is_not(centre: Centre, device: Device) -> None:
    def taken() -> bool:
        shown = vv(device, "fleet", "status", "--json")
        return shown.returncode == 0 and json.loads(shown.stdout)["last_taken"] != "unknown"

    wait_until(taken, 150, what="the status")
    shown = json.loads(vv(device, "fleet", "status", "--json").stdout)
    assert shown["device"] == "north-1"
    assert shown["lost"] == "nothing"
    assert shown["limit"] == "none"


def test_what_could_not_be_sent_comes_when_the_link_is_back(centre: Centre, device: Device) -> None:
    """The door is closed, the agent restarted meanwhile, and the store, too: the sample of each interval arrives."""
    series = 'vv_exporter_build_info{device="north-1"}'
    before = max(times(centre, series))
    centre.stop("vmauth")
    wait_until(lambda: waiting(device) > 0, 90, what="what waits")
    old = agent(device)
    old.terminate()
    old.wait(30)
    centre.stop("VictoriaMetrics")
    centre.start("VictoriaMetrics")
    wait_until(lambda: waiting(device) > 0, 90, what="what waits after the restart")
    assert "waiting" in vv(device, "fleet", "status").stdout
    centre.start("vmauth")

    wait_until(lambda: waiting(device) == 0, 150, what="an empty queue")
    latest = max(float(found["value"][1]) for found in device.query(f"timestamp({series})"))
    wait_until(lambda: max(times(centre, series)) >= latest, 120, what="what is now")
    stamps = [stamp for stamp in times(centre, series) if stamp >= before]
    here = own_times(device, series, before)
    assert len(stamps) == len(set(stamps))
    assert set(stamps) <= here
    gaps = [later - earlier for earlier, later in pairwise(stamps)]
    # Scraped every five seconds from samples a second apart; the agent itself was away for a moment.
    assert max(gaps) < 4 * INTERVAL


def own_times(device: Device, series: str, since: float) -> set[float]:
    """When Prometheus here took each sample."""
    (found,) = device.query(f"{series}[30m]")
    return {round(float(stamp), 3) for stamp, _ in found["values"] if float(stamp) >= since}


def waiting(device: Device) -> float:
    """Bytes that the agent could not send yet."""
    return figure(device, "pending_data_bytes")


def figure(device: Device, name: str) -> float:
    """What the agent says of the way of what is kept."""
    text = requests.get(f"http://127.0.0.1:{device.env['VV_FLEET_AGENT_PORT']}/metrics", timeout=10).text
    (line,) = [line for line in text.splitlines() if line.startswith(f"vmagent_remotewrite_{name}{{") and '"2:' in line]
    return float(line.rsplit(" ", 1)[1])


def test_the_token_is_in_its_file_alone(centre: Centre, device: Device) -> None:
    token = centre.token("north-1")
    holders = [
        file
        for file in device.state.rglob("*")
        if file.is_file() and token in file.read_bytes().decode(errors="replace")
    ]

    assert {file.name for file in holders} <= {"fleet_token", "VV_FLEET_TOKEN"}
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in holders)
    assert token not in " ".join(agent(device).cmdline()) + device.output()
