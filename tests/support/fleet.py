"""The centre of a fleet for tests, on free loopback ports, and the agents of devices that write to it.

with Centre(folder, devices, programs, environ) as centre:
    agent = Agent("north-1", folder, centre.door, centre.configuration / "tokens" / "north-1", {})
    agent.start()                        # as on a device
    centre.query("up")                   # as Grafana asks
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from vv_exporter.fleet import centre
from vv_exporter.fleet.agent import prepare
from vv_exporter.fleet.inventory import Device
from vv_exporter.fleet.servers import Ports, servers
from vv_exporter.settings import Settings, load
from vv_exporter.stack.processes import Child
from vv_exporter.stack.servers import LOOPBACK, ready


class Centre:
    """All servers of the centre. `faster` divides the waits of its Alertmanagers and rules for a test."""

    def __init__(self, folder: Path, devices: list[Device], programs: Mapping[str, Path], environ: Mapping[str, str]):
        self.folder = folder
        free = iter(free_port, None)
        self.ports = Ports(next(free), next(free), next(free), (next(free), next(free)), (next(free), next(free)))
        self.door = f"http://{LOOPBACK}:{self.ports.door}"
        self.store = f"http://{LOOPBACK}:{self.ports.store}"
        self.configuration = folder / "config"
        settings = load({"VV_STATE_DIR": str(folder / "state"), "VV_CONFIG": "", **environ})
        centre.render(devices, settings, self.configuration, self.store)
        self.servers = servers(programs, self.configuration, folder, self.ports)
        self.children = {one.name: Child(one.name, one.command, folder / f"{one.name}.log") for one in self.servers}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for server in self.servers:
            self._stack.callback(self.children[server.name].stop)
            self.start(server.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if error is not None:
            for child in self.children.values():
                error.add_note(f"{child.name} said last:\n{child.tail(8)}")

    def start(self, name: str) -> None:
        """Start a server, or start it again on its data."""
        (server,) = (one for one in self.servers if one.name == name)
        self.children[name].start()
        wait_until(lambda: ready(server.port, server.ready_path), 60, what=name)

    def stop(self, name: str) -> None:
        """Stop a server, and keep its data."""
        self.children[name].stop()

    def token(self, name: str) -> str:
        """What a device, or grafana, shows to the door."""
        return (self.configuration / "tokens" / name).read_text()

    def query(self, promql: str) -> list[dict[str, Any]]:
        """What an instant query gives who may read."""
        answer = requests.get(
            f"{self.door}/api/v1/query",
            {"query": promql},
            headers={"Authorization": f"Bearer {self.token(centre.READER)}"},
            timeout=10,
        )
        answer.raise_for_status()
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def insert(self, lines: Iterable[str]) -> None:
        """Put samples into the store itself, past the door: text, with milliseconds where it is of another time."""
        text = "\n".join(lines)
        requests.post(f"{self.store}/api/v1/import/prometheus", text, timeout=30).raise_for_status()

    def past(self, series: str, value: float, *, age: float, every: float = 15, until: float = 0) -> None:
        """A series as it would be if it had been written for `age` seconds, up to `until` seconds ago."""
        now = time.time()
        steps = int((age - until) / every)
        self.insert(f"{series} {value} {(now - age + step * every) * 1000:.0f}" for step in range(steps + 1))


class Agent:
    """A device's agent, run as `vv fleet agent` runs it, with its queue below `folder`. Without a Prometheus and an
    exporter beside it, unless `environ` says where they are."""

    def __init__(self, name: str, folder: Path, door: str, token: Path, environ: Mapping[str, str]) -> None:
        self.settings: Settings = load(
            {
                "VV_CONFIG": "",
                "VV_STATE_DIR": str(folder),
                "VV_DEVICE_ID": name,
                "VV_SITE": "Porto",
                "VV_FLEET_URL": door,
                "VV_FLEET_TOKEN_FILE": str(token),
                "VV_FLEET_AGENT_PORT": str(free_port()),
                "VV_PROMETHEUS_URL": "http://127.0.0.1:9",
                "VV_EXPORTER_URL": "http://127.0.0.1:9",
                **environ,
            }
        )
        self.queue = folder / "queue"
        self.child = Child(name, prepare(self.settings, folder), folder / "log")

    def start(self) -> None:
        """Start it, or start it again on what it left."""
        self.child.start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        wait_until(lambda: ready(self.settings.fleet_agent_port, "/health"), 120, what=self.child.name)

    def cut_power(self) -> None:
        """Kill it, and take from its queue what had not reached the disk for certain."""
        self.child.kill()
        for metainfo in self.queue.rglob("metainfo.json"):
            drop_unsynced(metainfo)

    def figure(self, *parts: str) -> float:
        """The sum of the lines of its metrics that have all these parts."""
        text = requests.get(f"{self.settings.fleet_agent}/metrics", timeout=20).text
        found = [line for line in text.splitlines() if all(part in line for part in parts)]
        assert found, parts
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def waiting(self) -> float:
        """Bytes of what is kept that it could not send yet."""
        return self.figure("vmagent_remotewrite_pending_data_bytes{", 'url="2:')

    def given_up(self) -> float:
        """Answers that were too late for it, as on a machine that is busy."""
        return self.figure("vm_promscrape_scrapes_timed_out_total") + self.figure("vm_promscrape_scrapes_failed_total")


def drop_unsynced(metainfo: Path) -> None:
    """What a power cut leaves of a queue at the worst. vmagent syncs the file of its blocks, and then `metainfo.json`
    with how far it reaches: what lies behind that may not be on the disk. (strace(1) of 1.145 shows fsync of both.)"""
    offset = json.loads(metainfo.read_text())["WriterOffset"]
    chunks = sorted(file for file in metainfo.parent.iterdir() if len(file.name) == len(f"{0:016X}"))
    for chunk in chunks:
        if int(chunk.name, 16) <= offset < int(chunk.name, 16) + chunk.stat().st_size:
            os.truncate(chunk, offset - int(chunk.name, 16))
