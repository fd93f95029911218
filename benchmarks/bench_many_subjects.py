"""A device with 500 stages and 500 jobs, and a timeline of 50,000 entries: scrape, pages, a search for what is rare.

The targets: a scrape within 200 ms, the status page within 300 ms, a search within 50 ms. Beside how long each answer
took stands what it cost of a core: on a busy machine that is what can be compared.

    python -m benchmarks.bench_many_subjects [SUBJECTS]
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import msgspec
import requests
from benchmarks._measure import machine

from vv_exporter.collectors import discover
from vv_exporter.context import Context
from vv_exporter.exporter import reserved_names
from vv_exporter.metrics.jobs import (
    JOB_LAST_COMPLETION,
    JOB_LAST_DURATION,
    JOB_LAST_EXIT_CODE,
    JOB_LAST_START,
    JOB_RUNS,
)
from vv_exporter.metrics.pipeline import STAGE_DURATION, STAGE_LAST_SUCCESS, STAGE_OVERRUNS
from vv_exporter.services import build_services
from vv_exporter.settings import Settings, load
from vv_exporter.state import timeline
from vv_exporter.state.store import Store
from vv_exporter.web import Server, create_app
from vv_exporter.web.guard import Guarded

ROUNDS = 9
ENTRIES = 50_000
LONGEST = {"scrape": 0.2, "page": 0.3, "rare component": 0.05}  # seconds
SCRAPE = {
    "Accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.1",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}


def main(count: int = 500) -> int:
    """Print the table; 1 where a target is missed."""
    with tempfile.TemporaryDirectory() as folder:
        settings = _settings(Path(folder), count)
        store = Store(Path(folder) / "state.db", time.time, reserved_names(settings))
        _count(store, count)
        _happen(store)
        services = build_services(Context(settings=settings, store=store, clock=time.time, monotonic=time.monotonic))
        server = Server("127.0.0.1:0", create_app(services, [Guarded(build(services)) for build in discover()]))
        server.start()
        session = requests.Session()

        def get(path: str) -> Callable[[], object]:
            return lambda: session.get(server.url + path, headers=SCRAPE, timeout=60).raise_for_status()

        subjects = {
            "scrape": get("/metrics"),
            "page": get("/"),
            "rare component": lambda: timeline.read(store, timeline.Filter(component="rare")),
            "timeline of a rare component": get("/timeline?component=rare&since="),
            "timeline": get("/timeline?since="),
        }
        samples = session.get(f"{server.url}/metrics", headers=SCRAPE, timeout=60).text
        lines = sum(not line.startswith("#") for line in samples.splitlines())
        print(f"{count} stages and {count} jobs, {lines} samples, {ENTRIES} entries   [{machine()}]")
        times = {name: _timed(func) for name, func in subjects.items()}
        for name, took in times.items():
            waited, worked = (median(one) * 1e3 for one in zip(*took, strict=True))
            print(f"{name:30} {waited:7.1f} ms, {worked:7.1f} ms of it on a core")
        server.stop()
        store.close()
        return int(any(median(took for took, _ in times[name]) > most for name, most in LONGEST.items()))


def _timed(func: Callable[[], object]) -> list[tuple[float, float]]:
    """Seconds by the clock and on a core; spaced so that no answer is one that was made for the request before."""
    found = []
    for _ in range(ROUNDS):
        begin, worked = time.perf_counter(), time.process_time()
        func()
        found.append((time.perf_counter() - begin, time.process_time() - worked))
        time.sleep(0.6)
    return found


def _settings(folder: Path, count: int) -> Settings:
    config = folder / "vv.yml"
    stages = "".join(f"  stage_{number}: {{limit: 15m}}\n" for number in range(count))
    jobs = "".join(f"  job_{number}: {{schedule: '{number % 60} * * * *', grace: 10m}}\n" for number in range(count))
    config.write_text(f"stages:\n{stages}jobs:\n{jobs}")
    return load({"VV_STATE_DIR": str(folder), "VV_CONFIG": str(config), "VV_ALERTMANAGER_PORT": "1"})


def _count(store: Store, count: int) -> None:
    with store.transaction() as tx:
        for number in range(count):
            stage, job = f"stage_{number}", f"job_{number}"
            tx.ensure(STAGE_DURATION, *((stage, outcome) for outcome in ("success", "failure", "crashed")))
            for seconds in range(5):
                tx.observe(STAGE_DURATION, (stage, "success"), seconds + number / 10)
            tx.ensure(STAGE_OVERRUNS, (stage,))
            tx.set(STAGE_LAST_SUCCESS, (stage,), tx.now)
            tx.ensure(JOB_RUNS, *((job, result) for result in ("success", "failure", "crashed")))
            for metric in (JOB_LAST_START, JOB_LAST_COMPLETION):
                tx.set(metric, (job,), tx.now - number)
            for metric in (JOB_LAST_DURATION, JOB_LAST_EXIT_CODE):
                tx.set(metric, (job,), 0)


def _happen(store: Store) -> None:
    with store.transaction() as tx:
        for number in range(ENTRIES):
            component = "rare" if number in (7, 20_000) else f"scan-{number % 40}.py"
            entry = timeline.Entry("stage.failed", f"{number} failed", "error", component, "no frames\n" * 20)
            tx.append(timeline.HISTORY, tx.now - ENTRIES + number, msgspec.to_builtins(entry))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
