"""What reporting an event costs a script, beside the usual ways to report one.

python -m benchmarks.bench_writer
"""

import json
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks._measure import compare, table
from benchmarks._peers import have_peers, peers_folder, print_absent
from benchmarks._results import OURS, figures_of, publish

EVENT, STAGE = "one event, as the script sees it", "`with stage(…)`, two events"
PUBLISHED = {
    "vv_core: the writer, one stage.finished": (EVENT, OURS),
    "prometheus_client multiprocess counter": (EVENT, "prometheus_client, multiprocess counter"),
    "UDP to statsd, delivery unknown": (EVENT, "UDP to statsd"),
    "OpenTelemetry counter": (EVENT, "OpenTelemetry counter"),
    "vv_core: stage(), two events": (STAGE, OURS),
    "OpenTelemetry span": (STAGE, "OpenTelemetry span, in a batch"),
}


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        os.environ["VV_STATE_DIR"] = folder
        os.environ["VV_JOURNAL_MAX"] = "1TB"
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        absent = have_peers(["OpenTelemetry SDK"])
        subjects = {**sdk(), **others(Path(folder), listener.getsockname()), **({} if absent else opentelemetry())}
        rows = compare(subjects, 5000, rounds=7)
        print(table(rows, title="One event, as its caller sees it"))
        print_absent(absent)
        publish("writer", figures_of(rows, PUBLISHED), absent)


def sdk() -> dict[str, Callable[[], object]]:
    """Ways to report with `vv_core`."""
    from vv_core.alerter import send_alert
    from vv_core.common import journals
    from vv_core.jobs import heartbeat
    from vv_core.stages import stage

    fields = {"run": "0" * 32, "stage": "scan_video", "seconds": 1.25, "outcome": "success", "video": "/in/a.mp4"}

    def two_events() -> None:
        with stage("scan_video", video="/in/a.mp4"):
            pass

    return {
        "vv_core: the writer, one stage.finished": lambda: journals.emit("stage.finished", "scan_video.py", fields),
        "vv_core: heartbeat()": lambda: heartbeat("cleanup", component="cleanup.py"),
        "vv_core: send_alert()": lambda: send_alert("ERROR", "No frames", "0 of 250 read", "scan_video.py"),
        "vv_core: stage(), two events": two_events,
    }


def others(folder: Path, statsd: tuple[str, int]) -> dict[str, Callable[[], object]]:
    """What a script might do instead; none of them tells that it was killed, most do not outlive the process."""
    from prometheus_client import Counter, Histogram

    counter = Counter("bench_events", "events", ["stage", "outcome"])
    histogram = Histogram("bench_seconds", "seconds", ["stage", "outcome"])
    logger = logging.getLogger("bench")
    logger.propagate = False
    logger.addHandler(logging.FileHandler(folder / "bench.log"))
    logger.setLevel("INFO")
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    record = {"v": 1, "type": "stage.finished", "run": "0" * 32, "stage": "scan_video", "seconds": 1.25}
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    bare = os.open(folder / "bare", flags)
    return {
        "json.dumps and write, unguarded": lambda: os.write(bare, json.dumps(record).encode() + b"\n"),
        "logging.FileHandler": lambda: logger.info("stage %s %s in %.3f s", "scan_video", "success", 1.25),
        "prometheus_client multiprocess counter": lambda: counter.labels("scan_video", "success").inc(),
        "prometheus_client multiprocess histogram": lambda: histogram.labels("scan_video", "success").observe(1.25),
        "UDP to statsd, delivery unknown": lambda: sender.sendto(b"stage.scan_video:1250|ms", statsd),
    }


def opentelemetry() -> dict[str, Callable[[], object]]:
    """Its counter and its spans, with an exporter that throws them away: what the caller pays, and no network."""
    (packages,) = (peers_folder() / "venv/lib").glob("python*/site-packages")
    sys.path.append(str(packages))
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, _: object) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("bench")
    counter = MeterProvider([InMemoryMetricReader()]).get_meter("bench").create_counter("events")
    labels = {"stage": "scan_video", "outcome": "success"}

    def span() -> None:
        with tracer.start_as_current_span("scan_video", attributes={"video": "/in/a.mp4"}):
            pass

    return {"OpenTelemetry counter": lambda: counter.add(1, labels), "OpenTelemetry span": span}


if __name__ == "__main__":
    main()
