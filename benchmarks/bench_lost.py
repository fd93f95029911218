"""What is lost of 1,000 events by a kill (SIGKILL), of the script or of the collector, with ours and with others.

python -m benchmarks.bench_lost [--rounds 5]

"script": it reports all, and is killed right after the last call: nothing is flushed, nothing is run at exit. What
counts is what the receiving side has afterwards. "collector": the script reports half; the collector is killed and
started again; the script reports the other half and ends as it should. What counts is what the collector then shows.

All have their defaults, and events are reported as fast as the call returns: UDP to a receiver loses some of such a
burst without any kill. The receiving side of OpenTelemetry is ours, and keeps what arrives on disk, so that it loses
nothing itself. "busy": statsd_exporter does not run (SIGSTOP) while the script sends, as on a device without a core
to spare; what the kernel's buffer does not hold is gone. What outlives a power cut is another question:
`bench_durability`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import requests
from benchmarks._measure import machine
from benchmarks._peers import have_peers, peers_folder, print_absent
from benchmarks._results import OURS, Figure, publish, shown
from tests.support.exporter import QUIET, ROOMY
from tests.support.ports import free_port
from tests.support.waiting import wait_until

EVENTS = 1000
PATIENCE_SECONDS = 15.0
"""How long the receiving side has, to show all of them."""
BETWEEN_SECONDS = 3.0
"""Between the first half and the collector's death: it is not killed in the middle of receiving."""
KILLED = f"""
for _ in range({EVENTS}):
    report()
os.kill(os.getpid(), 9)
"""
HALVES = f"""
for _ in range({EVENTS // 2}):
    report()
print(flush=True)
sys.stdin.readline()
for _ in range({EVENTS // 2}):
    report()
finish()
"""
VV_CORE = """
import os, sys
from vv_core.jobs import heartbeat
report, finish = lambda: heartbeat("cleanup", component="cleanup.py"), lambda: None
"""
CLIENT = """
import os, sys
from prometheus_client import Counter
report, finish = Counter("bench_events", "events").inc, lambda: None
"""
CLIENT_SERVER = """
import sys, threading
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
start_http_server(int(sys.argv[1]), "127.0.0.1", registry)
threading.Event().wait()
"""
STATSD = """
import os, socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
report, finish = lambda: sender.sendto(b"bench_events:1|c", ("127.0.0.1", int(sys.argv[1]))), lambda: None
"""
OTEL_COUNTER = """
import os, sys
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
exporter = OTLPMetricExporter(f"http://127.0.0.1:{sys.argv[1]}/v1/metrics")
provider = MeterProvider([PeriodicExportingMetricReader(exporter)])
counter = provider.get_meter("bench").create_counter("events")
report, finish = lambda: counter.add(1), provider.shutdown
"""
OTEL_SPANS = """
import os, sys
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{sys.argv[1]}/v1/traces")))
tracer = provider.get_tracer("bench")
def report():
    with tracer.start_as_current_span("scan_video"):
        pass
finish = provider.shutdown
"""
OTEL_RECEIVER = """
import gzip, http.server, json, sys
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path.endswith("traces"):
            found = ExportTraceServiceRequest.FromString(body).resource_spans
            arrived = {"spans": sum(len(scope.spans) for one in found for scope in one.scope_spans)}
        else:
            found = ExportMetricsServiceRequest.FromString(body).resource_metrics
            points = [point for one in found for scope in one.scope_metrics for metric in scope.metrics
                      for point in metric.sum.data_points if metric.name == "events"]
            arrived = {"counter": sum(point.as_int for point in points)}
        with open(sys.argv[2], "a") as kept:
            kept.write(json.dumps(arrived) + "\\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclass
class Collector:
    """The receiving side: a program that may be killed and started again, and how many events it shows."""

    command: list[str]
    port: int
    shows: Callable[[], int]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def start(self) -> None:
        """Start it, and wait until something listens."""
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, env=self.env, stdout=quiet, stderr=quiet)
        wait_until(self._listens, 60, what=self.command[0])

    def kill(self) -> None:
        """End it as the kernel would."""
        self.process.kill()
        self.process.wait()

    def _listens(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True


@dataclass(frozen=True)
class Script:
    """What reports: `setup` defines `report` and `finish`."""

    python: str
    setup: str
    arguments: tuple[str, ...]
    env: Mapping[str, str]

    def start(self, body: str) -> subprocess.Popen[str]:
        """Start it; its standard input and output are pipes."""
        return subprocess.Popen(
            [self.python, "-c", self.setup + body, *self.arguments],
            env=self.env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )


Way = tuple[Script, Collector]


def with_vv_core(folder: Path) -> Way:
    """The SDK, and the exporter."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VV_", "DOCKER_"))}
    own = {"VV_STATE_DIR": str(folder), "VV_EXPORTER_PORT": str(port), "VV_CONFIG": ""}
    env = {**kept, **ROOMY, **QUIET, **own}
    command = [sys.executable, "-m", "vv_exporter", "exporter"]
    shows = _metric(port, 'vv_events_total{type="heartbeat"')
    return Script(sys.executable, VV_CORE, (), env), Collector(command, port, shows, env)


def with_prometheus_client(folder: Path) -> Way:
    """Its multiprocess mode: a file in memory for each process, read by a server."""
    port = free_port()
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [sys.executable, "-c", CLIENT_SERVER, str(port)]
    return Script(sys.executable, CLIENT, (), env), Collector(command, port, _metric(port, "bench_events"), env)


def with_statsd(_: Path) -> Way:
    """UDP to statsd_exporter."""
    port, udp = free_port(), free_port()
    options = [f"--web.listen-address=127.0.0.1:{port}", f"--statsd.listen-udp=127.0.0.1:{udp}", "--statsd.listen-tcp="]
    collector = Collector([str(peers_folder() / "statsd_exporter"), *options], port, _metric(port, "bench_events"))
    return Script(sys.executable, STATSD, (str(udp),), os.environ), collector


def with_otel_counter(folder: Path) -> Way:
    """A counter, which the SDK's periodic reader exports."""
    return _with_opentelemetry(folder, OTEL_COUNTER, "counter")


def with_otel_spans(folder: Path) -> Way:
    """A span an event, which the SDK's batch processor exports."""
    return _with_opentelemetry(folder, OTEL_SPANS, "spans")


def _with_opentelemetry(folder: Path, setup: str, kind: str) -> Way:
    port, arrived = free_port(), folder / "arrived.jsonl"
    python = str(peers_folder() / "venv/bin/python")

    def shows() -> int:
        lines = arrived.read_text().splitlines() if arrived.exists() else []
        found = [json.loads(line).get(kind, 0) for line in lines]
        return int(sum(found) if kind == "spans" else max(found, default=0))

    collector = Collector([python, "-c", OTEL_RECEIVER, str(port), str(arrived)], port, shows)
    return Script(python, setup, (str(port),), os.environ), collector


def _metric(port: int, begin: str) -> Callable[[], int]:
    def shows() -> int:
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        return int(sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(begin)))

    return shows


BUSY = "statsd over UDP, statsd_exporter busy"
WAYS: dict[str, tuple[Callable[[Path], Way], str]] = {
    OURS: (with_vv_core, ""),
    "prometheus_client, multiprocess": (with_prometheus_client, ""),
    "OpenTelemetry, counter": (with_otel_counter, "OpenTelemetry SDK"),
    "OpenTelemetry, spans": (with_otel_spans, "OpenTelemetry SDK"),
    "statsd over UDP, statsd_exporter": (with_statsd, "statsd_exporter"),
    BUSY: (with_statsd, "statsd_exporter"),
}
"""Each with the peer that it needs."""


def main() -> None:
    """Print the tables, and publish them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    absent = have_peers(sorted({needs for _, needs in WAYS.values()} - {""}))
    ways = {name: begin for name, (begin, needs) in WAYS.items() if needs not in absent}
    print(f"lost of {EVENTS:,} events, median of {rounds} rounds (least–most)   [{machine()}]")
    figures = []
    for killed, lost in (("script", _lost_with_script), ("collector", _lost_with_collector)):
        what = f"lost of {EVENTS:,} events in a burst, the {killed} killed"
        print(what)
        for figure in _figures(
            what, lost, {name: ways[name] for name in ways if name != BUSY or killed == "script"}, rounds
        ):
            print(f"  {figure.subject:40} {shown(figure)}", flush=True)
            figures.append(figure)
    print_absent(absent)
    publish("lost", figures, absent)


def _figures(
    what: str, lost: Callable[[str, Way], int], ways: Mapping[str, Callable[[Path], Way]], rounds: int
) -> Sequence[Figure]:
    """All ways take part in each round at the same time."""
    found: dict[str, list[int]] = {name: [] for name in ways}
    with ThreadPoolExecutor() as pool:
        for _ in range(rounds):
            waiting = {name: pool.submit(_one, name, begin, lost) for name, begin in ways.items()}
            for name, one in waiting.items():
                found[name].append(one.result())
    return [Figure(what, name, "", tuple(counts)) for name, counts in found.items()]


def _one(name: str, begin: Callable[[Path], Way], lost: Callable[[str, Way], int]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        script, collector = begin(Path(folder))
        collector.start()
        try:
            return lost(name, (script, collector))
        finally:
            collector.kill()


def _lost_with_script(name: str, way: Way) -> int:
    script, collector = way
    with _stopped(collector) if name == BUSY else contextlib.nullcontext():
        _, _ = script.start(KILLED).communicate(timeout=60)
    return EVENTS - _shown_count(collector)


def _lost_with_collector(_: str, way: Way) -> int:
    script, collector = way
    with script.start(HALVES) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(BETWEEN_SECONDS)
        collector.kill()
        collector.start()
        process.communicate("\n", timeout=60)
    return EVENTS - _shown_count(collector)


@contextlib.contextmanager
def _stopped(collector: Collector) -> Iterator[None]:
    collector.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        collector.process.send_signal(signal.SIGCONT)


def _shown_count(collector: Collector) -> int:
    """What it shows when all is there, or at the end of the patience."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: collector.shows() >= EVENTS, PATIENCE_SECONDS)
    return collector.shows()


if __name__ == "__main__":
    main()
