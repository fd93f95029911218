"""The centre of a fleet for tests, on free loopback ports, and what writes to it.

with Centre(folder, devices, programs, environ) as centre:
    centre.write("north-1", series)      # as a device's agent does, with that device's token
    centre.query("up")                   # as Grafana asks
"""

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
from vv_exporter.fleet.inventory import Device
from vv_exporter.fleet.servers import Ports, servers
from vv_exporter.settings import load
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
