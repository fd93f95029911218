"""What watching a device costs, ours beside whole stacks of others: memory, share of a core, and what reaches flash.

python -m benchmarks.bench_peers [--seconds 300]

All run at the same time, each twice: with an event a second, and idle. Each has its data on an ext4 of its own on a
loop device. Memory and CPU are read in five windows of the run, flash over all of it. What each is and does differs;
the table says it. Others have the defaults of their packages or of their documentation, and no rules: what they would
cost to tell somebody is not in it. Memory is what the stack would have alone: the pages of a program that several
stacks run are counted in each, and once in it (smaps in proc(5)).

Needs root, for the loop devices.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests
from benchmarks._disks import own_disks, written_bytes
from benchmarks._measure import machine
from benchmarks._peers import ABSENT, have_peers, peer_environment, peers_folder, print_absent, print_versions
from benchmarks._results import OURS, Figure, comparison, publish, shown
from benchmarks.bench_flash import EVENTS, ROOT, stack_environment
from tests.support.ports import free_port
from tests.support.waiting import wait_until

from vv_exporter.common.programs import home
from vv_exporter.stack.fetch import ensure_tools
from vv_exporter.stack.programs import ALERTMANAGER, PROMETHEUS, find

SETTLING_SECONDS = 45.0
WINDOWS = 5
READY_SECONDS = 120.0
STATSD_EVENTS = """
import socket, sys, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
begun, number = time.monotonic(), 0
while True:
    sender.sendto(b"scan_video:1250|ms", ("127.0.0.1", int(sys.argv[1])))
    number += 1
    time.sleep(max(begun + number - time.monotonic(), 0))
"""


@dataclass
class Place:
    """Where one stack runs, and what runs there."""

    folder: Path
    stat: Path
    stack: contextlib.ExitStack
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    feed: tuple[list[str], Mapping[str, str]] = (["true"], {})
    """What reports an event a second to it; no part of the stack."""

    def run(self, command: Sequence[str | Path], env: Mapping[str, str] | None = None, *, counts: bool = True) -> None:
        """Start a program, until the end of the benchmark."""
        log = self.folder.with_name(f"{len(self.processes)}-{counts}.log").open("wb")
        self.stack.callback(log.close)
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=log, stderr=log)
        self.stack.callback(_end, process)
        if counts:
            self.processes.append(process)

    def write(self, name: str, text: str) -> Path:
        """A file of the stack's configuration."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start_ours(place: Place) -> str:
    """`vv up`, with events by the SDK."""
    env = stack_environment(ROOT, place.folder) | {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    place.run([sys.executable, "-m", "vv_exporter", "up"], env)
    place.feed = [sys.executable, "-c", EVENTS], env
    return f"http://127.0.0.1:{env['VV_PROMETHEUS_PORT']}/-/ready"


def start_exporters(place: Place) -> str:
    """The usual exporters below Prometheus and Alertmanager, as dockprom has them, without cAdvisor and Grafana."""
    node, statsd, udp, alertmanager, prometheus = (free_port() for _ in range(5))
    place.run([_debian("usr/bin/prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{node}"])
    place.run(
        [
            peers_folder() / "statsd_exporter",
            f"--web.listen-address=127.0.0.1:{statsd}",
            f"--statsd.listen-udp=127.0.0.1:{udp}",
            "--statsd.listen-tcp=",
        ]
    )
    config = place.write("alertmanager.yml", "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    place.run(
        [
            str(find(ALERTMANAGER)),
            f"--config.file={config}",
            f"--storage.path={place.folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
        ]
    )
    config = place.write("prometheus.yml", _prometheus_configuration(alertmanager, prometheus, node, statsd))
    place.run(
        [
            str(find(PROMETHEUS)),
            f"--config.file={config}",
            f"--storage.tsdb.path={place.folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{prometheus}",
        ]
    )
    place.feed = _statsd_feed(udp)
    return f"http://127.0.0.1:{prometheus}/-/ready"


def _prometheus_configuration(alertmanager: int, *targets: int) -> str:
    jobs = "".join(
        f"- {{job_name: j{port}, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n" for port in targets
    )
    alerting = f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\n"
    return f"global: {{scrape_interval: 15s, evaluation_interval: 15s}}\n{alerting}scrape_configs:\n{jobs}"


def start_netdata(place: Place) -> str:
    """Netdata's agent: collectors in C, database and health checks in one program; its statsd takes the events."""
    web, udp = free_port(), free_port()
    root = peers_folder() / "debian"
    for name in ("cache", "lib", "log", "etc"):
        (place.folder / name).mkdir()
    config = place.write(
        "etc/netdata.conf",
        f"""[global]
run as user = root
[directories]
config = {place.folder}/etc
cache = {place.folder}/cache
lib = {place.folder}/lib
log = {place.folder}/log
home = {place.folder}/lib
stock config = {root}/usr/lib/netdata/conf.d
stock health config = {root}/usr/lib/netdata/conf.d/health.d
plugins = "{root}/usr/lib/netdata/plugins.d"
web = {root}/usr/share/netdata/web
[web]
bind to = 127.0.0.1:{web}
[statsd]
bind to = udp:127.0.0.1:{udp}
""",
    )
    quiet = peer_environment(DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
    place.run([root / "usr/sbin/netdata", "-D", "-c", config, "-P", place.folder / "pid"], quiet)
    place.feed = _statsd_feed(udp)
    return f"http://127.0.0.1:{web}/api/v1/info"


def start_telegraf(place: Place) -> str:
    """Telegraf with its usual inputs of a host, its statsd, and an endpoint that Prometheus may ask."""
    port, udp = free_port(), free_port()
    inputs = "".join(f"[[inputs.{name}]]\n" for name in ("cpu", "disk", "diskio", "mem", "net", "processes", "system"))
    outputs = f'[[outputs.prometheus_client]]\nlisten = "127.0.0.1:{port}"\n'
    statsd = f'[[inputs.statsd]]\nprotocol = "udp"\nservice_address = "127.0.0.1:{udp}"\n'
    config = place.write("telegraf.conf", f'[agent]\ninterval = "10s"\n{inputs}{statsd}{outputs}')
    place.run([peers_folder() / "telegraf", "--config", config])
    place.feed = _statsd_feed(udp)
    return f"http://127.0.0.1:{port}/metrics"


@dataclass(frozen=True)
class Subject:
    """A stack that can be measured."""

    name: str
    does: str
    start: Callable[[Place], str]
    """Starts it; returns the address that answers when it is ready."""
    needs: tuple[str, ...] = ()


SUBJECTS = (
    Subject(OURS, "collects, keeps 30 days or 1 GB, tells people; nothing that is reported is lost", start_ours),
    Subject(
        "node_exporter + statsd_exporter + Prometheus + Alertmanager, without rules",
        "collects, keeps 15 days; nobody is told",
        start_exporters,
        ("node_exporter, Netdata", "statsd_exporter"),
    ),
    Subject(
        "Netdata (Debian's netdata-core)",
        "collects each second, keeps what fits into 256 MB, raises its own alarms",
        start_netdata,
        ("node_exporter, Netdata",),
    ),
    Subject(
        "telegraf, which keeps nothing",
        "collects; tells nobody; built with nine plugins",
        start_telegraf,
        ("telegraf",),
    ),
)


def main() -> None:
    """Print the tables, and publish what they show."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--settling", type=float, default=SETTLING_SECONDS, help="seconds before the first window")
    wanted = parser.parse_args()
    if os.geteuid():
        raise SystemExit("bench_peers: needs root, to make file systems of its own")
    ensure_tools(home())
    absent = have_peers(list(dict.fromkeys(name for subject in SUBJECTS for name in subject.needs)))
    subjects = [subject for subject in SUBJECTS if not set(subject.needs) & set(absent)]
    absent |= ABSENT
    figures = list(_measured(subjects, wanted.settling, wanted.seconds))
    _print_tables(subjects, figures, wanted.seconds)
    print_absent(absent)
    publish("peers", figures, absent)


def _measured(subjects: Sequence[Subject], settling: float, seconds: float) -> Iterator[Figure]:
    with contextlib.ExitStack() as stack:
        places = {
            (subject.name, mode): _started(subject, mode, stack)
            for subject in subjects
            for mode in ("an event a second", "idle")
        }
        time.sleep(settling)
        readings: dict[tuple[str, str], list[Reading]] = {key: [] for key in places}
        for window in range(WINDOWS + 1):
            if window:
                time.sleep(seconds / WINDOWS)
            for key, place in places.items():
                readings[key].append(_read(place))
    for key, found in readings.items():
        yield from _figures(*key, found)


def _started(subject: Subject, mode: str, stack: contextlib.ExitStack) -> Place:
    folder, devices = stack.enter_context(own_disks({"all": "."}))
    place = Place(folder, devices["all"], stack)
    ready = subject.start(place)
    wait_until(lambda: requests.get(ready, timeout=5).ok, READY_SECONDS, what=f"{subject.name} at {ready}")
    if mode != "idle":
        command, env = place.feed
        place.run(command, env, counts=False)
    return place


@dataclass(frozen=True)
class Reading:
    """What a stack had used at a moment: seconds of a core and bytes since its start, bytes of memory then."""

    at: float
    cpu_seconds: float
    written: int
    memory: int


def _read(place: Place) -> Reading:
    ended = [process.args for process in place.processes if process.poll() is not None]
    if ended:
        raise RuntimeError(f"it ended while it was measured: {ended}")
    processes = [one for root in place.processes for one in _with_descendants(psutil.Process(root.pid))]
    cpu = sum(_cpu_seconds(process) for process in processes)
    memory = memory_alone([_smaps(process.pid) for process in processes])
    return Reading(time.monotonic(), cpu, written_bytes(place.stat), memory)


def _with_descendants(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu_seconds(process: psutil.Process) -> float:
    """With that of children that have ended, which is their parent's from then on."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return float(sum(process.cpu_times()[:4]))
    return 0.0


def _smaps(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/smaps").read_text()
    return ""


def memory_alone(smaps: Sequence[str]) -> int:
    """Bytes of memory of processes as if they were the only ones: what they share with each other counts once."""
    own, shared = 0, dict[tuple[str, ...], int]()
    for text in smaps:
        area: tuple[str, ...] = ()
        sizes: dict[str, int] = {}
        for line in [*text.splitlines(), "VmFlags:"]:
            name, *values = line.split()
            if name == "VmFlags:":
                if sizes and area[-1] == "0":
                    own += sizes["Pss:"]
                elif sizes:
                    own += sizes["Anonymous:"]
                    shared[area] = max(shared.get(area, 0), sizes["Rss:"] - sizes["Anonymous:"])
                sizes = {}
            elif name.endswith(":"):
                sizes[name] = int(values[0]) * 1024 if values[-1:] == ["kB"] else 0
            else:
                area = tuple(values[1:4])  # offset, device, inode
    return own + sum(shared.values())


def _figures(subject: str, mode: str, found: Sequence[Reading]) -> Iterator[Figure]:
    pairs = list(itertools.pairwise(found))
    shares = tuple(100 * (b.cpu_seconds - a.cpu_seconds) / (b.at - a.at) for a, b in pairs)
    hours = (found[-1].at - found[0].at) / 3600
    flash = (found[-1].written - found[0].written) / 1e6 / hours
    yield Figure(f"memory of the whole stack, {mode}", subject, "MB", tuple(b.memory / 1e6 for _, b in pairs))
    yield Figure(f"share of a core, {mode}", subject, "%", shares)
    yield Figure(f"written to flash in an hour, {mode}", subject, "MB", (flash,))


def _print_tables(subjects: Sequence[Subject], figures: Sequence[Figure], seconds: float) -> None:
    print(f"whole stacks side by side for {seconds:.0f} s, {WINDOWS} windows: median (least–most)   [{machine()}]")
    for subject in subjects:
        print(f"  {subject.name}: {subject.does}")
    print_versions()
    for what in dict.fromkeys(figure.what for figure in figures):
        print(what)
        same = [figure for figure in figures if figure.what == what]
        for figure in same:
            ratio = comparison(figure, same)
            print(f"  {figure.subject:75} {shown(figure):26} {shown(ratio) + ' of ours' if ratio else ''}".rstrip())


def _debian(path: str) -> Path:
    return peers_folder() / "debian" / path


def _statsd_feed(port: int) -> tuple[list[str], Mapping[str, str]]:
    return [sys.executable, "-c", STATSD_EVENTS, str(port)], dict(os.environ)


if __name__ == "__main__":
    main()
