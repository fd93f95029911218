"""A scrape over HTTP of a device with 20 containers, beside prometheus_client's own server with the same families.

The target is 50 ms. Ours also isolates and checks every collector.
"""

import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import requests
from benchmarks._measure import compare, table
from benchmarks._results import OURS, figures_of, publish
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family

from vv_exporter.collectors import Collector, host, itself, thresholds
from vv_exporter.collectors._store import stored
from vv_exporter.context import Context
from vv_exporter.metrics import Labels, Metric, all_metrics
from vv_exporter.metrics import containers as container_metrics
from vv_exporter.metrics import pipeline as pipeline_metrics
from vv_exporter.settings import load
from vv_exporter.state.store import Store
from vv_exporter.web import Server, create_app
from vv_exporter.web.guard import Guarded

CONTAINERS = 20
USAGE_FAMILIES = 12
"""Families per container that come from cgroups and not from the store."""
REPEAT = 100
HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}
VALUES = {
    "state": ("created", "running", "paused", "restarting", "removing", "exited", "dead"),
    "status": ("starting", "healthy", "unhealthy"),
    "cause": ("policy", "self_monitor", "manual", "daemon"),
    "reason": ("ok", "error", "signal", "oom"),
    "stage": ("scan_video", "summarize_scene", "logline_generator"),
    "outcome": ("success", "failure", "crashed"),
}


class Stored:
    """The families of one domain out of the store."""

    def __init__(self, name: str, store: Store, metrics: list[Metric]) -> None:
        self.name = name
        self._store = store
        self._metrics = metrics

    def collect(self) -> Iterable[Family]:
        return [stored(self._store, metric) for metric in self._metrics]


class Usage:
    """Resource usage, as cgroups would give it."""

    name = "usage"

    def collect(self) -> Iterable[Family]:
        for number in range(USAGE_FAMILIES):
            family = GaugeMetricFamily(f"vv_container_usage_{number}", "Usage of a resource.", labels=["name"])
            for container in range(CONTAINERS):
                family.add_metric([f"container-{container}"], number * 1234.5678 + container)
            yield family


def label_values(metric: Metric) -> Iterable[Labels]:
    """Every label set that a device with so many containers has."""
    found: list[Labels] = [()]
    for label in metric.labels:
        names = tuple(f"container-{number}" for number in range(CONTAINERS))
        found = [
            (*labels, value) for labels in found for value in VALUES.get(label, names if label == "name" else ("x",))
        ]
    return found


def fill(store: Store, metrics: list[Metric]) -> None:
    """Store all series of these families."""
    with store.transaction() as tx:
        for metric in metrics:
            for labels in label_values(metric):
                {"counter": tx.inc, "gauge": tx.set, "histogram": tx.observe}[metric.type](metric, labels, 1.5)


def declared(module: object) -> list[Metric]:
    """The families of a module of the catalogue."""
    return [value for value in vars(module).values() if isinstance(value, Metric) and value.name in all_metrics()]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "state.db", time.time)
        context = Context(load({"VV_STATE_DIR": folder}), store, time.time, time.monotonic)
        domains = {"containers": declared(container_metrics), "pipeline": declared(pipeline_metrics)}
        for metrics in domains.values():
            fill(store, metrics)
        collectors: list[Collector] = [Stored(name, store, metrics) for name, metrics in domains.items()]
        collectors += [Usage(), itself.build(context), thresholds.build(context), host.build(context)]

        server = Server("127.0.0.1:0", create_app(context, [Guarded(collector) for collector in collectors]))
        server.start()
        registry = CollectorRegistry()
        for collector in collectors:
            registry.register(collector)  # type: ignore[arg-type]
        other, thread = start_http_server(0, "127.0.0.1", registry)
        session = requests.Session()
        ours, theirs = f"{server.url}/metrics", f"http://127.0.0.1:{other.server_port}/metrics"
        series = sum(not line.startswith("#") for line in session.get(ours, headers=HEADERS).text.splitlines())

        rows = compare(
            {
                "vv-exporter": lambda: session.get(ours, headers=HEADERS),
                "prometheus_client": lambda: session.get(theirs, headers=HEADERS),
            },
            REPEAT,
        )
        print(table(rows, title=f"one scrape of {series} samples, {CONTAINERS} containers", unit="ms"))
        what = f"a scrape with {CONTAINERS} containers ({series:,} samples)"
        named = {"vv-exporter": (what, OURS), "prometheus_client": (what, "prometheus_client's server")}
        publish("scrape", figures_of(rows, named, unit="ms"))
        print(f"threads: {threading.active_count()}")
        server.stop()
        other.shutdown()
        thread.join()
        store.close()


if __name__ == "__main__":
    main()
