"""The idle exporter: its memory and its share of a core, beside a bare interpreter with prometheus_client's server.

The targets are 60 MB and 1 % of a core. Both are scraped every ten seconds, as Prometheus would.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import psutil
import requests
from benchmarks._measure import machine

SECONDS = 60
SCRAPE_INTERVAL = 10
BARE = """
import sys, threading
from prometheus_client import start_http_server
start_http_server(int(sys.argv[1]), "127.0.0.1")
threading.Event().wait()
"""


def main() -> None:
    subjects = {}
    with tempfile.TemporaryDirectory() as state:
        try:
            port, bare_port = _free_port(), _free_port()
            env = {**os.environ, "VV_STATE_DIR": state, "VV_EXPORTER_PORT": str(port), "VV_CONFIG": ""}
            subjects["vv exporter"] = (_start([sys.executable, "-m", "vv_exporter", "exporter"], env), port)
            subjects["prometheus_client alone"] = (_start([sys.executable, "-c", BARE, str(bare_port)], env), bare_port)
            for _, each in subjects.values():
                _scrape(each)
            begin = {name: _cpu(process) for name, (process, _) in subjects.items()}
            for _ in range(SECONDS // SCRAPE_INTERVAL):
                time.sleep(SCRAPE_INTERVAL)
                for _, each in subjects.values():
                    _scrape(each)
            print(f"idle for {SECONDS} s, scraped every {SCRAPE_INTERVAL} s   [{machine()}]")
            for name, (process, _) in subjects.items():
                memory = psutil.Process(process.pid).memory_info().rss / 1e6
                print(f"{name:24} {memory:6.1f} MB RSS   {(_cpu(process) - begin[name]) / SECONDS:6.2%} of a core")
        finally:
            for process, _ in subjects.values():
                process.send_signal(signal.SIGTERM)
                process.wait(15)


def _start(command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)


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
