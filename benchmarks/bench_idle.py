"""The idle exporter: its memory and its share of a core, beside a bare interpreter with prometheus_client's server.

The targets are 60 MB and 1 % of a core. Both are scraped every ten seconds, as Prometheus would.

A virtual machine may take memory away that was not touched for a second, and each page costs a trap into its host when
it is touched again: there, a program that sleeps pays tens of times what its work costs, as the bare server shows. So
it is measured twice: as the machine has it, and with the memory of both touched from outside all the time.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import requests
from benchmarks._measure import machine
from benchmarks._results import OURS, Figure, publish

SETTLING = 15
SECONDS = 60
SCRAPE_INTERVAL = 10
TOUCH_INTERVAL = 0.1
PAGE = os.sysconf("SC_PAGE_SIZE")
BARE = """
import sys, threading
from prometheus_client import start_http_server
start_http_server(int(sys.argv[1]), "127.0.0.1")
threading.Event().wait()
"""
Subjects = dict[str, tuple[subprocess.Popen[bytes], int]]


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as state, _subjects(state) as subjects:
        for _, port in subjects.values():
            _scrape(port)
        time.sleep(SETTLING)
        as_it_is = _shares(subjects)
        with _touched([process.pid for process, _ in subjects.values()]):
            time.sleep(1)
            touched = _shares(subjects)
        print(f"idle for {SECONDS} s, scraped every {SCRAPE_INTERVAL} s   [{machine()}]")
        print(f"{'':24} {'RSS':>10}   {'of a core':>10}   memory kept")
        figures = []
        for name, (process, _) in subjects.items():
            memory = psutil.Process(process.pid).memory_info().rss / 1e6
            print(f"{name:24} {memory:7.1f} MB   {as_it_is[name]:10.2%}   {touched[name]:11.2%}")
            subject = OURS if name == "vv exporter" else name
            figures.append(Figure("the idle exporter: RSS", subject, "MB", (memory,)))
            figures.append(Figure("the idle exporter: share of a core", subject, "%", (100 * as_it_is[name],)))
            kept = "the idle exporter: share of a core, memory kept"
            figures.append(Figure(kept, subject, "%", (100 * touched[name],)))
        publish("idle", figures)


@contextlib.contextmanager
def _subjects(state: str) -> Iterator[Subjects]:
    port, bare = _free_port(), _free_port()
    env = {**os.environ, "VV_STATE_DIR": state, "VV_EXPORTER_PORT": str(port), "VV_CONFIG": ""}
    commands = {
        "vv exporter": ([sys.executable, "-m", "vv_exporter", "exporter"], port),
        "prometheus_client alone": ([sys.executable, "-c", BARE, str(bare)], bare),
    }
    subjects: Subjects = {}
    try:
        for name, (command, its_port) in commands.items():
            subjects[name] = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL), its_port
        yield subjects
    finally:
        for process, _ in subjects.values():
            process.send_signal(signal.SIGTERM)
            process.wait(15)


def _shares(subjects: Subjects) -> dict[str, float]:
    """What each uses of a core."""
    begin = {name: _cpu(process) for name, (process, _) in subjects.items()}
    for _ in range(SECONDS // SCRAPE_INTERVAL):
        time.sleep(SCRAPE_INTERVAL)
        for _, port in subjects.values():
            _scrape(port)
    return {name: (_cpu(process) - begin[name]) / SECONDS for name, (process, _) in subjects.items()}


@contextlib.contextmanager
def _touched(processes: list[int]) -> Iterator[None]:
    """Read a byte of each page that the processes have in memory, again and again."""
    ended = threading.Event()

    def touch() -> None:
        while not ended.wait(TOUCH_INTERVAL):
            for process in processes:
                _touch(Path(f"/proc/{process}"))

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _touch(process: Path) -> None:
    lines = [line.split() for line in (process / "maps").read_text().splitlines()]
    areas = [tuple(int(end, 16) for end in line[0].split("-")) for line in lines if line[1][0] == "r"]
    with (process / "mem").open("rb", 0) as memory, (process / "pagemap").open("rb", 0) as pagemap:
        for begin, end in areas:
            if begin >= 1 << 47:  # not the process's own: vsyscall
                continue
            entries = os.pread(pagemap.fileno(), (end - begin) // PAGE * 8, begin // PAGE * 8)
            for number in range(len(entries) // 8):
                if entries[8 * number + 7] & 0x80:  # proc_pid_pagemap(5): bit 63, present
                    with contextlib.suppress(OSError):
                        os.pread(memory.fileno(), 1, begin + number * PAGE)


def _scrape(port: int) -> None:
    for _ in range(100):
        try:
            requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).raise_for_status()
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"nothing answers on port {port}")


def _cpu(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
