"""The exporter beside 200 real containers, and what else is used to watch machines and containers, in one run.

The targets: a scrape within 60 ms for 200 containers (300 ms for 1,000), also while the Engine is frozen (nothing on a
scrape's path asks it), and 100 MB. All are asked as Prometheus 3.5 asks.
Needs root, for a private Engine. Peers are those of `PEERS` that can be had (`_peers.py`) or are on PATH; the others
are named. What they show differs: node-exporter knows no containers, process-exporter only processes, cAdvisor no
restarts.

    python -m benchmarks.bench_many_containers [CONTAINERS]
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median, quantiles

import psutil
import requests
from benchmarks._measure import machine
from benchmarks._peers import ABSENT, have_peers, peers_folder, print_absent
from benchmarks._results import OURS, Figure, publish
from tests.support.engine import Engine, EngineUnavailableError, busybox_image, private_engine
from tests.support.ports import free_port
from tests.support.waiting import wait_until

SECONDS = 120
SCRAPE_INTERVAL = 10.0
LONGEST = 0.3e-3  # seconds for a scrape, a container
LARGEST = 100e6  # bytes of memory
HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "Accept-Encoding": "gzip",
    "User-Agent": "Prometheus/3.5.3",
    "X-Prometheus-Scrape-Timeout-Seconds": "10",
}

PEERS: dict[str, Callable[[int, str], list[str]]] = {
    "cadvisor": lambda port, host: ["-listen_ip=127.0.0.1", f"-port={port}", f"-docker={host}"],
    "prometheus-node-exporter": lambda port, _: [f"--web.listen-address=127.0.0.1:{port}"],
    "prometheus-process-exporter": lambda port, _: [f"-web.listen-address=127.0.0.1:{port}", "-procnames=sleep"],
}


class Subject:
    """A process that answers on /metrics, and how long its scrapes took."""

    def __init__(self, name: str, command: list[str], port: int, environ: Mapping[str, str]) -> None:
        self.name = name
        self.port = port
        self.times: list[float] = []
        self._session = requests.Session()  # Prometheus keeps its connection, too
        self.work = 0.0
        self.samples = 0
        self._process = subprocess.Popen(
            command, env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._psutil = psutil.Process(self._process.pid)
        self._began = (0.0, 0.0)

    def scrape(self) -> str:
        work, begin = self._cpu(), time.perf_counter()
        answer = self._session.get(f"http://127.0.0.1:{self.port}/metrics", headers=HEADERS, timeout=60)
        self.times.append(time.perf_counter() - begin)
        self.work += self._cpu() - work
        answer.raise_for_status()
        self.samples = sum(not line.startswith("#") for line in answer.text.splitlines())
        return answer.text

    @property
    def memory(self) -> float:
        return float(self._psutil.memory_info().rss)

    def begin(self) -> None:
        self.times.clear()
        self.work = 0.0
        self._began = (self._cpu(), time.monotonic())

    def row(self) -> str:
        cpu, since = self._began
        share = (self._cpu() - cpu) / (time.monotonic() - since)
        memory = self.memory / 1e6
        p90 = quantiles(self.times, n=10)[-1]
        work = self.work / len(self.times)
        return (
            f"{self.name:28} {memory:6.1f} MB RSS  {share:6.2%} of a core  scrape {median(self.times) * 1e3:6.1f} ms, "
            f"p90 {p90 * 1e3:6.1f} ms, {work * 1e3:5.1f} ms of it on a core, {self.samples} samples"
        )

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(15)

    def _cpu(self) -> float:
        times = self._psutil.cpu_times()
        return float(times.user + times.system)


def main(count: int = 200) -> int:
    """Print the table; 1 where a target is missed."""
    try:
        with private_engine() as engine, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            _run_containers(engine, count)
            ours = _exporter(engine, Path(folder))
            stack.callback(ours.stop)
            wait_until(lambda: ours.scrape().count("\nvv_container_cpu_seconds_total{") == count, 300, what="all")
            absent = have_peers(["node_exporter, Netdata"])
            subjects = [ours, *_peers(engine, stack, absent)]
            _measure(subjects)
            missed = median(ours.times) > LONGEST * count or ours.memory > LARGEST
            print(f"{count} containers, {SECONDS} s, a scrape every {SCRAPE_INTERVAL:.0f} s   [{machine()}]")
            print("\n".join(subject.row() for subject in subjects))
            publish("many_containers", [figure for subject in subjects for figure in _figures(subject, count)], absent)
            print_absent(absent)
            frozen = _frozen(engine, ours)
            middle, worst = median(frozen) * 1e3, max(frozen) * 1e3
            print(f"{'the Engine frozen':58} scrape {middle:6.1f} ms, worst {worst:6.1f} ms")
            return int(missed)
    except EngineUnavailableError as error:
        print(f"not measured: {error}")
        return 0


def _run_containers(engine: Engine, count: int) -> None:
    image = busybox_image(engine)
    with contextlib.closing(engine.client()) as client:
        host = client.create_host_config(network_mode="none", mem_limit="32m")
        for number in range(count):
            name = f"c{number:03}"
            client.create_container(image, ["sleep", "100000"], name=name, host_config=host)
            client.start(name)


def _exporter(engine: Engine, folder: Path) -> Subject:
    port = free_port()
    env = {**os.environ, "VV_STATE_DIR": str(folder), "VV_EXPORTER_PORT": str(port), "VV_CONFIG": ""}
    command = [sys.executable, "-m", "vv_exporter", "exporter"]
    subject = Subject("vv exporter", command, port, {**env, "DOCKER_HOST": engine.host})
    wait_until(subject.scrape, 30, what="the exporter")
    return subject


def _peers(engine: Engine, stack: contextlib.ExitStack, absent: dict[str, str]) -> Iterator[Subject]:
    path = os.pathsep.join((os.environ["PATH"], str(peers_folder() / "debian/usr/bin")))
    for name, arguments in PEERS.items():
        program = shutil.which(name, path=path)
        if program is None:
            absent[name] = ABSENT.get("cAdvisor" if name == "cadvisor" else name, "it is not on PATH")
            continue
        port = free_port()
        subject = Subject(name, [program, *arguments(port, engine.host)], port, os.environ)
        stack.callback(subject.stop)
        wait_until(subject.scrape, 60, what=name)
        yield subject


def _measure(subjects: list[Subject]) -> None:
    time.sleep(SCRAPE_INTERVAL)
    for subject in subjects:
        subject.begin()
    for _ in range(int(SECONDS // SCRAPE_INTERVAL)):
        time.sleep(SCRAPE_INTERVAL)
        for subject in subjects:
            subject.scrape()


def _figures(subject: Subject, count: int) -> Iterator[Figure]:
    name = OURS if subject.name == "vv exporter" else f"{subject.name} ({subject.samples:,} samples)"
    milliseconds = tuple(seconds * 1e3 for seconds in subject.times)
    yield Figure(f"a scrape with {count} containers", name, "ms", milliseconds)
    yield Figure(f"RSS with {count} containers", name, "MB", (subject.memory / 1e6,))


def _frozen(engine: Engine, subject: Subject) -> list[float]:
    """Scrapes while the Engine stands still."""
    subject.times.clear()
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        for _ in range(10):
            time.sleep(2)
            subject.scrape()
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    return subject.times


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
