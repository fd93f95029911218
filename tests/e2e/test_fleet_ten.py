"""Ten devices' real agents and one real centre: the link of three is cut, and the power of one of these.

Each agent runs as on a device (`agent_command`); its Prometheus is a stand-in that says which samples it gave away.
"""

import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from tests.support.fleet import Agent, Centre
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from vv_exporter.fleet import inventory
from vv_exporter.stack import victoria
from vv_exporter.stack.processes import Child
from vv_exporter.stack.programs import ALERTMANAGER, find
from vv_exporter.stack.servers import LOOPBACK, ready

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(900)]

INTERVAL = 2
WAITING, BORNE = 15, 8
"""So many samples wait when the power is cut; so many of them it may cost: what was about to be sent, and what was not
written for five seconds at most, on a busy machine."""
NAMES = [f"north-{number}" for number in range(10)]
CUT, POWER_CUT = NAMES[:3], NAMES[0]
KEPT = "vv_exporter_build_info"


class Prometheuses(ThreadingHTTPServer):
    """`/NAME/federate` of all devices; `given` has the times in milliseconds of what each agent was given."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, free_port()), _Handler)
        self.given: dict[str, set[int]] = {name: set() for name in NAMES}

    def __enter__(self) -> "Prometheuses":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Prometheuses

    def do_GET(self) -> None:
        name, now = self.path.split("/")[1], time.time_ns() // 1_000_000
        body = f'{KEPT}{{device="{name}",version="1"}} 1 {now}\n'.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.given[name].add(now)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def agent_of(name: str, folder: Path, door: str, token: Path, prometheus: str) -> Agent:
    """A device's agent, which sends as often as a test can wait for."""
    often = {"VV_FLEET_INTERVAL": f"{INTERVAL}s", "VV_FLEET_BYTES_PER_DAY": "0"}
    return Agent(name, folder, door, token, {**often, "VV_PROMETHEUS_URL": f"{prometheus}/{name}"})


@pytest.fixture
def prometheuses() -> Iterator[Prometheuses]:
    with Prometheuses() as servers:
        yield servers


@pytest.fixture
def centre(tmp_path: Path, store_program: Path) -> Iterator[Centre]:
    found = {name: victoria.find(name) for name in victoria.PROGRAMS} | {"alertmanager": find(ALERTMANAGER)}
    programs = {name: path for name, path in found.items() if path is not None}
    with Centre(tmp_path / "centre", [inventory.Device(name, "Porto") for name in NAMES], programs, {}) as centre:
        yield centre


@pytest.fixture
def link(centre: Centre, tmp_path: Path) -> Iterator[Child]:
    """Another door to the same store, which three devices use alone: closed, it is their link that is cut."""
    (door,) = [server for server in centre.servers if server.name == "vmauth"]
    port = free_port()
    command = [str(part).replace(f":{centre.ports.door}", f":{port}") for part in door.command]
    link = Child("link", command, tmp_path / "link.log")
    link.start()
    wait_until(lambda: ready(port, "/health"), 60, what="the link")
    yield link
    link.stop()


@pytest.fixture
def agents(centre: Centre, link: Child, prometheuses: Prometheuses, tmp_path: Path) -> Iterator[dict[str, Agent]]:
    address = f"http://{LOOPBACK}:{prometheuses.server_address[1]}"
    (port,) = [str(part).rpartition(":")[2] for part in link.command if "httpListenAddr" in str(part)]
    agents = {}
    for name in NAMES:
        (tmp_path / name).mkdir()
        door = f"http://{LOOPBACK}:{port}" if name in CUT else centre.door
        token = centre.configuration / "tokens" / name
        agents[name] = agent_of(name, tmp_path / name, door, token, address)
    try:
        for agent in agents.values():
            agent.start()
        yield agents
    finally:
        for agent in agents.values():
            agent.child.stop()


def stored(centre: Centre, name: str) -> list[int]:
    """The times of what the store has of a device, in milliseconds."""
    requests.get(f"{centre.store}/internal/force_flush", timeout=30)
    answer = requests.get(f"{centre.store}/api/v1/export", {"match[]": f'{KEPT}{{device="{name}"}}'}, timeout=30)
    return sorted(stamp for line in answer.text.splitlines() for stamp in json.loads(line)["timestamps"])


def test_three_of_ten_are_cut_off_and_lose_nothing(
    centre: Centre, link: Child, agents: dict[str, Agent], prometheuses: Prometheuses
) -> None:
    for name in NAMES:
        wait_until(partial(stored, centre, name), 120, what=f"something of {name}")
    link.stop()
    cut_at = time.time()
    for name in CUT:
        wait_until(lambda name=name: agents[name].waiting() > 0, 120, what=f"what waits at {name}")
    given = prometheuses.given[POWER_CUT]
    wait_until(lambda: sum(stamp > cut_at * 1000 for stamp in given.copy()) >= WAITING, 300, what="a queue")
    agents[POWER_CUT].cut_power()
    agents[POWER_CUT].start()
    for name in CUT:
        wait_until(lambda name=name: agents[name].waiting() > 0, 120, what=f"what waits at {name} then")
    assert all(agents[name].waiting() == 0 for name in NAMES if name not in CUT)

    link.start()
    for name in CUT:
        fresh = f'timestamp(up{{job="vmagent",device="{name}"}}) > time() - 60'
        wait_until(partial(centre.query, fresh), 120, what=f"that {name} lives")
    back_at = time.time_ns() // 1_000_000
    for name in NAMES:
        wait_until(lambda name=name: max(stored(centre, name)) > back_at, 240, what=f"what is new of {name}")

    for name in NAMES:
        given, there = prometheuses.given[name], stored(centre, name)
        lost = {stamp for stamp in given if stamp <= back_at} - set(there)
        assert len(there) == len(set(there)), f"{name}: twice"
        assert set(there) <= given, name
        assert any(cut_at * 1000 < stamp < back_at for stamp in there), name
        borne = agents[name].given_up() + (BORNE if name == POWER_CUT else 0)
        assert len(lost) <= borne, f"{name}: {sorted(lost)} of {len(given)}"
