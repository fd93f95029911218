"""The servers of the centre on this machine's loopback interface: the same for `vv fleet up` and for tests.

    devices ─▶ vmauth ─▶ VictoriaMetrics ◀─ vmalert ─▶ two Alertmanagers, in a cluster
                            ▲
    Grafana ─▶ vmauth ──────┘

`fleet/docker-compose.yml` runs the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vv_exporter.stack import victoria
from vv_exporter.stack.servers import LOOPBACK

EVALUATION_SECONDS = 15
RETENTION = "13"
"""In months, so that a month can be compared with that of a year ago."""


class Ports(NamedTuple):
    """A port for each server, and two for what the Alertmanagers send each other."""

    door: int
    store: int
    rules: int
    alertmanagers: tuple[int, int]
    cluster: tuple[int, int]

    @classmethod
    def following(cls, first: int) -> Ports:
        """These seven, one after the other."""
        return cls(first, first + 1, first + 2, (first + 3, first + 4), (first + 5, first + 6))


class Server(NamedTuple):
    """A server: its command, and where it says that it is ready."""

    name: str
    command: list[str | Path]
    port: int
    ready_path: str


def servers(programs: Mapping[str, Path], configuration: Path, data: Path, ports: Ports) -> list[Server]:
    """In the order of their start. `programs` has those of VictoriaMetrics, and `alertmanager`."""
    store = f"http://{LOOPBACK}:{ports.store}"
    return [
        Server(
            "VictoriaMetrics",
            _store_command(programs[victoria.STORE], data / "store", ports.store),
            ports.store,
            "/health",
        ),
        *(
            Server(
                f"Alertmanager {n + 1}",
                _alertmanager_command(programs, configuration, data, ports, n),
                port,
                "/-/ready",
            )
            for n, port in enumerate(ports.alertmanagers)
        ),
        Server(
            "vmalert", _rules_command(programs[victoria.RULES], configuration, store, ports), ports.rules, "/health"
        ),
        Server("vmauth", _door_command(programs[victoria.DOOR], configuration, ports.door), ports.door, "/health"),
    ]


def _store_command(program: Path, data: Path, port: int) -> list[str | Path]:
    """What is sent twice is kept once; what has come is seen at once."""
    return [
        program,
        f"-storageDataPath={data}",
        f"-httpListenAddr={LOOPBACK}:{port}",
        f"-retentionPeriod={RETENTION}",
        "-dedup.minScrapeInterval=1ms",
        "-search.latencyOffset=0s",
    ]


def _door_command(program: Path, configuration: Path, port: int) -> list[str | Path]:
    reload = "-configCheckInterval=30s"
    return [program, f"-auth.config={configuration / 'auth.yml'}", f"-httpListenAddr={LOOPBACK}:{port}", reload]


def _rules_command(program: Path, configuration: Path, store: str, ports: Ports) -> list[str | Path]:
    return [
        program,
        f"-rule={configuration / 'rules'}/*.yml",
        f"-datasource.url={store}",
        f"-remoteWrite.url={store}",
        f"-remoteRead.url={store}",
        *(f"-notifier.url=http://{LOOPBACK}:{port}" for port in ports.alertmanagers),
        f"-evaluationInterval={EVALUATION_SECONDS}s",
        "-rule.evalDelay=0s",
        "-configCheckInterval=30s",
        f"-httpListenAddr={LOOPBACK}:{ports.rules}",
    ]


def _alertmanager_command(
    programs: Mapping[str, Path], configuration: Path, data: Path, ports: Ports, number: int
) -> list[str | Path]:
    port = ports.alertmanagers[number]
    return [
        programs["alertmanager"],
        f"--config.file={configuration / 'alertmanager.yml'}",
        f"--storage.path={data / f'alertmanager-{number + 1}'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        f"--web.external-url=http://{LOOPBACK}:{port}/",
        f"--cluster.listen-address={LOOPBACK}:{ports.cluster[number]}",
        f"--cluster.peer={LOOPBACK}:{ports.cluster[1 - number]}",
    ]
