"""The memory of the whole stack, idle: `vv up` and each program that it keeps running, a minute after its start.

RSS counts what several processes share in each of them; PSS shares it out (`smaps_rollup` in proc(5)), so that PSS may
be added up. With BEFORE=FOLDER, a checkout of another commit, both take turns. Goals: 150 MB in all, 12 MB for `vv up`.
"bare" are the same servers with nothing configured, and an interpreter with prometheus_client's server: the least that
a stack of these parts takes.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil
from benchmarks._measure import machine
from benchmarks._results import OURS, Figure, publish

from vv_exporter.stack.programs import ALERTMANAGER, PROMETHEUS, find

ROUNDS = 5
SETTLING = 60.0
READY = 120.0
WATCHED = "Ctrl-C"
HERE = Path(__file__).resolve().parents[1]
PORTS = ("VV_EXPORTER_PORT", "VV_PROMETHEUS_PORT", "VV_ALERTMANAGER_PORT")
PARTS = ("vv up", "exporter", "alertmanager", "prometheus")
BARE = "bare, nothing configured"
INTERPRETER = """
import threading
from prometheus_client import start_http_server
start_http_server(0, "127.0.0.1")
threading.Event().wait()
"""
Memory = dict[str, tuple[float, float]]


def main() -> None:
    """Print the table."""
    before = os.environ.get("BEFORE")
    checkouts = {"now": HERE} | ({"before": Path(before).resolve()} if before else {})
    found: dict[str, list[Memory]] = {name: [] for name in checkouts}
    for number in range(ROUNDS):
        for name, checkout in checkouts.items():
            print(f"round {number + 1} of {ROUNDS}, {name} …", file=sys.stderr)
            found[name].append(_memory_of_a_stack(checkout))
        found.setdefault(BARE, []).append(_memory_of_bare_programs())
    print(f"idle {SETTLING:.0f} s after the start, medians of {ROUNDS}   [{machine()}]")
    for name, rounds in found.items():
        print(f"{name:24} {'RSS':>9}  {'PSS':>9}   PSS from … to")
        for part in rounds[0]:
            _print_row(part, [one[part] for one in rounds])
        _print_row("all", [_sum(one) for one in rounds])
    publish(
        "memory",
        [
            Figure(
                "the idle stack: PSS of all",
                {"now": OURS, BARE: "its servers and an interpreter, bare"}.get(name, name),
                "MB",
                tuple(_sum(one)[1] for one in rounds),
            )
            for name, rounds in found.items()
        ],
    )


def _print_row(name: str, values: list[tuple[float, float]]) -> None:
    shares = [pss for _, pss in values]
    rss = median(rss for rss, _ in values)
    print(f"{name:24} {rss:6.1f} MB  {median(shares):6.1f} MB   {min(shares):.1f} … {max(shares):.1f}")


def _sum(memory: Memory) -> tuple[float, float]:
    return sum(rss for rss, _ in memory.values()), sum(pss for _, pss in memory.values())


def _memory_of_a_stack(checkout: Path) -> Memory:
    with tempfile.TemporaryDirectory() as folder:
        own = {name: str(_free_port()) for name in PORTS}
        own |= {"VV_STATE_DIR": folder, "VV_CONFIG": "", "DOCKER_HOST": "unix:///nonexistent/docker.sock"}
        kept = {name: text for name, text in os.environ.items() if not name.startswith("VV_")}
        environment = kept | own | {"PYTHONPATH": str(checkout / "exporter")}
        output = Path(folder) / "output"
        with output.open("wb") as stream:
            up = subprocess.Popen(
                [sys.executable, "-m", "vv_exporter", "up"],
                cwd=checkout,
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        try:
            end = time.monotonic() + READY
            while WATCHED not in output.read_text() and time.monotonic() < end:
                time.sleep(0.5)
            time.sleep(SETTLING)
            processes = [psutil.Process(up.pid), *psutil.Process(up.pid).children()]
            found = {_part(process, up.pid): _memory(process.pid) for process in processes}
            return {part: found[part] for part in PARTS}
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait()


def _memory_of_bare_programs() -> Memory:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        route, listen = Path(folder, "alertmanager.yml"), "--web.listen-address=127.0.0.1:"
        route.write_text("{route: {receiver: none}, receivers: [{name: none}]}")
        scrapes = Path(folder, "prometheus.yml")
        scrapes.touch()
        own = [f"--config.file={route}", f"--storage.path={folder}/alertmanager", "--cluster.listen-address="]
        commands = {
            "prometheus": [
                str(find(PROMETHEUS)),
                f"--config.file={scrapes}",
                f"--storage.tsdb.path={folder}/prometheus",
            ],
            "alertmanager": [str(find(ALERTMANAGER)), *own],
        }
        commands = {name: [*command, f"{listen}{_free_port()}"] for name, command in commands.items()}
        commands["interpreter"] = [sys.executable, "-c", INTERPRETER]
        quiet = subprocess.DEVNULL
        started = {}
        for name, command in commands.items():
            started[name] = subprocess.Popen(command, stdout=quiet, stderr=quiet)
            stack.callback(started[name].wait)
            stack.callback(started[name].terminate)
        time.sleep(SETTLING)
        return {name: _memory(process.pid) for name, process in started.items()}


def _part(process: psutil.Process, up: int) -> str:
    if process.pid == up:
        return "vv up"
    return next(part for part in PARTS if part in " ".join(process.cmdline()[:4]))


def _memory(pid: int) -> tuple[float, float]:
    """RSS and PSS, in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    amounts = {line.split()[0]: float(line.split()[1]) * 1024 / 1e6 for line in lines}
    return amounts["Rss:"], amounts["Pss:"]


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


if __name__ == "__main__":
    main()
