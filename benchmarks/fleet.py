"""A fleet of simulated devices on the real servers of the centre: ``make bench-fleet``, or
``python -m benchmarks.fleet --devices 1000 --minutes 5``.

What a real device keeps for its centre is taken from one that runs here, and answered again for each simulated device
under its own name, with numbers that move; a real vmagent scrapes all of them as often as devices send, and sends
that to a real VictoriaMetrics, which has an hour of beats of each already, and whose rules vmalert evaluates. All of it
shares this machine.
"""

import argparse
import json
import random
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
import yaml
from tests.support.device import Device as RealDevice
from tests.support.fleet import Centre
from tests.support.ports import free_port
from tests.support.waiting import wait_until

from vv_exporter.fleet.inventory import Device
from vv_exporter.render.agent import BEAT_SECONDS, KEPT
from vv_exporter.stack import victoria
from vv_exporter.stack.processes import Child
from vv_exporter.stack.programs import ALERTMANAGER, find

QUERIES = {
    "devices, worst first": 'sort_desc(count by (device) (ALERTS{alertstate="firing",severity!="none"}))',
    "last seen of each": "time() - device:vv_fleet_seen:timestamp_seconds",
    "versions": "count by (version) (vv_exporter_build_info)",
    "disk free of each": "min by (device) (path:vv_filesystem_free:ratio)",
    "exporter up, an hour": 'avg by (device) (avg_over_time(up{job="vv-exporter"}[1h]))',
    "one device": 'ALERTS{device="d0007"} or up{device="d0007"}',
}
ROUNDS = 30
RULES_SHOWN = 6
SITES = 50
PAST_SECONDS = 3600.0
"""The longest that a rule looks back over all devices."""
BEAT: dict[str, Callable[[float], float]] = {
    "process_start_time_seconds": lambda _: 1.0,
    'vmagent_remotewrite_bytes_sent_total{url="2:secret-url"}': lambda now: now * 20,
    'vmagent_remotewrite_pending_data_bytes{url="2:secret-url"}': lambda _: 0.0,
    'vmagent_remotewrite_rate_limit{url="2:secret-url"}': lambda _: 2314.0,
}
"""What an agent tells of itself, and its value at a time."""
DEVICE = re.compile(r"""device="[^"]*\"""")


def take_exposition(folder: Path) -> str:
    """What a real device keeps for its centre, as its Prometheus gives it, without times."""
    with RealDevice(folder, {"VV_DEVICE_ID": "d", "VV_SCRAPE_INTERVAL": "2s", "DOCKER_HOST": ""}) as device:
        for number in range(8):
            device.script(f"from vv_core.stages import stage\nwith stage('stage_{number}'): pass").wait(60)
            device.script(f"from vv_core.jobs import heartbeat\nheartbeat('job_{number}')").wait(60)
        wait_until(lambda: device.query("path:vv_filesystem_free:ratio"), 60, what="recorded series")
        address = f"{device.url('prometheus')}/federate"
        text = requests.get(address, [("match[]", match) for match in KEPT], timeout=30).text
    lines = [line.rsplit(" ", 1)[0] for line in text.splitlines() if line and not line.startswith("#")]
    return "\n".join(sorted(lines)) + "\n"


class Devices(ThreadingHTTPServer):
    """Answers for all devices: /kept/N and /beat/N."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, exposition: str, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.parts = [line.rsplit(" ", 1) for line in exposition.splitlines()]

    def handle_error(self, *_: object) -> None:
        """A scrape that was given up is the agent's to tell."""

    def kept(self, number: int) -> str:
        """The device's exposition: every third number has moved since the last time."""
        name, moved = f'device="d{number:04}"', random.Random(f"{number} {time.time() // 20}")
        lines = []
        for series, value in self.parts:
            shown = value if moved.random() < 0.67 else f"{float(value) + moved.randrange(100) / 100:g}"
            lines.append(f"{DEVICE.sub(name, series)} {shown}")
        return "\n".join(lines) + "\n"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Devices

    def do_GET(self) -> None:
        _, kind, number = self.path.partition("?")[0].split("/")
        body = (self.server.kept(int(number)) if kind == "kept" else beat()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: there are a hundred a second."""


def beat() -> str:
    """What an agent answers now."""
    return "".join(f"{series} {value(time.time()):g}\n" for series, value in BEAT.items())


def labels(number: int) -> dict[str, str]:
    """Those of a device's beats."""
    return {"device": f"d{number:04}", "site": f"site-{number % SITES}", "machine": f"{number:012x}"}


def write_past(centre: Centre, count: int, port: int) -> None:
    """The beats of the hour before, as if all devices had been there, so that rules have as much to read as ever."""
    now = time.time()
    times = [now - PAST_SECONDS + step * BEAT_SECONDS for step in range(int(PAST_SECONDS / BEAT_SECONDS))]
    stamps = [round(moment * 1000) for moment in times]
    for number in range(count):
        own = {**labels(number), "job": "vmagent", "instance": f"127.0.0.1:{port}"}
        lines = []
        for series, value in {"up": lambda _: 1.0, **BEAT}.items():
            name, _, url = series.partition("{")
            metric = {"__name__": name, **own, **({"url": url.split('"')[1]} if url else {})}
            line = {"metric": metric, "values": [value(moment) for moment in times], "timestamps": stamps}
            lines.append(json.dumps(line))
        requests.post(f"{centre.store}/api/v1/import", "\n".join(lines), timeout=30).raise_for_status()


def scrapes(count: int, port: int) -> dict[str, object]:
    """The agent's configuration for so many devices."""
    jobs = []
    for job, kind, interval in (("vmagent", "beat", BEAT_SECONDS), ("kept", "kept", 60)):
        targets = [
            {
                "targets": [f"127.0.0.1:{port}"],
                "labels": {
                    "__metrics_path__": f"/{kind}/{number}",
                    **(labels(number) if kind == "beat" else {"device": f"d{number:04}"}),
                },
            }
            for number in range(count)
        ]
        honor = {"honor_labels": kind == "kept"}
        jobs.append({"job_name": job, "scrape_interval": f"{interval:.0f}s", "static_configs": targets, **honor})
    return {"scrape_configs": jobs}


def figure(address: str, pattern: str) -> float:
    """The sum of what a server's /metrics has at a pattern."""
    text = requests.get(f"{address}/metrics", timeout=30).text
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(pattern, line))


def slowest_rules(address: str) -> list[tuple[str, float]]:
    """The rules that took longest when they were evaluated last, and how many seconds."""
    groups = requests.get(f"{address}/api/v1/rules", timeout=30).json()["data"]["groups"]
    found = [(rule["name"], float(rule["evaluationTime"])) for group in groups for rule in group["rules"]]
    return sorted(found, key=lambda rule: rule[1], reverse=True)[:RULES_SHOWN]


def run(count: int, minutes: float) -> None:
    """Measure, and print the table."""
    found = {name: victoria.find(name) for name in victoria.PROGRAMS} | {"alertmanager": find(ALERTMANAGER)}
    programs = {name: path for name, path in found.items() if path is not None}
    inventory = [Device(f"d{number:04}", f"site-{number % SITES}") for number in range(count)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        exposition = take_exposition(folder / "device")
        port, agent_port = free_port(), free_port()
        devices = Devices(exposition, port)
        threading.Thread(target=devices.serve_forever, daemon=True).start()
        (folder / "scrape.yml").write_text(yaml.safe_dump(scrapes(count, port)))
        with Centre(folder, inventory, programs, {}) as centre:
            write_past(centre, count, port)
            agent = Child(
                "vmagent",
                [
                    programs[victoria.AGENT],
                    f"-promscrape.config={folder / 'scrape.yml'}",
                    f"-httpListenAddr=127.0.0.1:{agent_port}",
                    f"-remoteWrite.tmpDataPath={folder / 'agent'}",
                    f"-remoteWrite.url={centre.store}/api/v1/write",
                ],
                folder / "agent.log",
            )
            agent.start()
            try:
                _measure(centre, f"http://127.0.0.1:{agent_port}", count, minutes, exposition.count("\n"))
            finally:
                agent.stop()
                devices.shutdown()


def _measure(centre: Centre, agent: str, count: int, minutes: float, series: int) -> None:
    inserted = r"vm_rows_inserted_total\{type=\"promremotewrite\"\}"
    time.sleep(90)  # until every device has come once
    begin, rows = time.monotonic(), figure(centre.store, inserted)
    sent = figure(agent, "vmagent_remotewrite_bytes_sent_total")
    time.sleep(minutes * 60)
    elapsed, rows = time.monotonic() - begin, figure(centre.store, inserted) - rows
    sent = figure(agent, "vmagent_remotewrite_bytes_sent_total") - sent
    seen = centre.query("count(device:vv_fleet_seen:timestamp_seconds)")
    stored = subprocess.run(["du", "-sb", centre.folder / "store"], capture_output=True, text=True, check=True).stdout
    rules = f"http://127.0.0.1:{centre.ports.rules}"
    print(f"{count} devices of {series} kept series, {elapsed / 60:.1f} minutes, all on this machine")
    print(f"  devices seen            {float(seen[0]['value'][1]):.0f}")
    print(f"  samples a second        {rows / elapsed:.0f}")
    print(f"  bytes sent a sample     {sent / rows:.2f}")
    print(f"  a device a month        {sent / elapsed / count * 30 * 86400 / 1e6:.0f} MB (many devices in one block)")
    print(f"  on disk                 {int(stored.split()[0]) / 1e6:.0f} MB")
    for name, address in (("VictoriaMetrics", centre.store), ("vmalert", rules), ("vmagent of all", agent)):
        print(f"  memory of {name:<16}{figure(address, 'process_resident_memory_bytes') / 1e6:.0f} MB")
    for group in ("fleet", "fleet-each-minute", "fleet-ahead", "inventory"):
        middle, slowest = (
            figure(rules, rf'vmalert_iteration_duration_seconds\{{.*group="{group}".*quantile="{part}"')
            for part in ("0.5", "1")
        )
        print(f"  rules of {group:<20}median {middle * 1000:.0f} ms, slowest {slowest * 1000:.0f} ms")
    for name, seconds in slowest_rules(rules):
        print(f"    {name:<42}{seconds * 1000:.0f} ms in the last round")
    for title, query in QUERIES.items():
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            centre.query(query)
            times.append(time.perf_counter() - start)
        p99 = statistics.quantiles(times, n=100)[98]
        print(f"  {title:<22}    median {statistics.median(times) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=5)
    options = parser.parse_args()
    run(options.devices, options.minutes)
