"""What the closed loop of the alert path takes and costs: beats as `vv up` sends them round, with its own intervals.

Beside it is what would have to be asked, as often, of two servers that cannot be trusted to call: the questions that
the exporter asks only when no beat comes.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil
import requests
from benchmarks._measure import machine
from tests.support.device import Channels, Device
from tests.support.waiting import wait_until

from vv_exporter.alert_path.beats import Beats
from vv_exporter.alert_path.hops import delivery_interval
from vv_exporter.alert_path.questions import Questions
from vv_exporter.collectors.alert_path import AlertPathCollector
from vv_exporter.context import Context
from vv_exporter.settings import Settings, load
from vv_exporter.state.store import Store

SECONDS = float(os.environ.get("VV_BENCH_SECONDS", "240"))
LOOK_SECONDS = 0.5
REPEAT = 500
HOUR = 3600.0
DELIVERED = re.compile(
    r'^alertmanager_notification_requests_total\{(?=[^}]*receiver_name="alert-path").*\} (\S+)$', re.MULTILINE
)


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as folder, Channels() as channels:
        environ = channels.environ() | {"VV_SCRAPE_INTERVAL": "10s", "DOCKER_HOST": ""}
        with Device(Path(folder) / "device", environ) as device:
            latencies, requests_an_hour = _watch(device)
            series = len(device.query('{__name__=~"vv_alert_path_.+"}')) + len(
                device.query('{__name__=~"ALERTS|ALERTS_FOR_STATE",alertname="Watchdog"}')
            )
            settings = load({**device.environ, "VV_STATE_DIR": str(Path(folder) / "other")})
            delivering = _cpu_of_a_delivery(device)
            costs = _costs(settings, Path(folder), delivering)
    took = sorted(latencies)
    print(f"age of a beat that comes back, {len(took)} of them in {SECONDS:.0f} s   [{machine()}]")
    print(f"  least {took[0]:.1f} s, median {median(took):.1f} s, most {took[-1]:.1f} s")
    print("what the loop costs")
    print(f"  series at Prometheus              {series:8d}")
    print(f"  requests to the exporter an hour  {requests_an_hour:8.0f}")
    scrapes, deliveries = HOUR / settings.scrape_interval, requests_an_hour
    of_loop = costs["a beat with a scrape"] * scrapes + costs["a beat that comes back"] * deliveries
    asked = costs["asking both servers instead"] * HOUR / delivery_interval(settings.alert_path_after)
    for name, seconds in costs.items():
        print(f"  {name:32}  {seconds * 1e6:8.0f} µs of a core each")
    print(f"  the exporter's part of a core     {of_loop / HOUR:8.4%}; asking instead {asked / HOUR:.4%}")


def _watch(device: Device) -> tuple[list[float], float]:
    """The latencies of the beats that come, and how many requests bring them in an hour."""
    wait_until(lambda: _state(device).get("latency"), 120, what="a beat that comes back")
    found: dict[float, float] = {}
    before, began = _delivered(device), time.monotonic()
    while time.monotonic() - began < SECONDS:
        state = _state(device)
        found[state["last_beat"]] = state["latency"]
        threading.Event().wait(LOOK_SECONDS)
    return list(found.values()), (_delivered(device) - before) / (time.monotonic() - began) * HOUR


def _state(device: Device) -> dict[str, float]:
    names = {"vv_alert_path_latency_seconds": "latency", "vv_alert_path_last_beat_timestamp_seconds": "last_beat"}
    lines = requests.get(f"{device.url('exporter')}/metrics", timeout=10).text.splitlines()
    pairs = [line.split(" ") for line in lines if line.startswith(tuple(names))]
    return {names[name]: float(value) for name, value in pairs}


def _delivered(device: Device) -> float:
    text = requests.get(f"{device.url('alertmanager')}/metrics", timeout=10).text
    return sum(map(float, DELIVERED.findall(text)))


def _cpu_of_a_delivery(device: Device) -> float:
    """What the exporter itself uses for one, its web server included: seconds of a core."""
    token = (device.state / "exporter" / "alertmanager-token").read_text().strip()
    process = next(
        one
        for one in psutil.process_iter(["cmdline"])
        if one.info["cmdline"] and one.info["cmdline"][-1] == "exporter" and _is_of(one, device)
    )
    session, body = requests.Session(), {"alerts": [{"status": "firing", "labels": {"alertname": "Watchdog"}}]}
    before = sum(process.cpu_times()[:2])
    for _ in range(REPEAT):
        session.post(
            f"{device.url('exporter')}/api/v1/alertmanager", json=body, headers={"Authorization": f"Bearer {token}"}
        ).raise_for_status()
    return (sum(process.cpu_times()[:2]) - before) / REPEAT


def _is_of(process: psutil.Process, device: Device) -> bool:
    return process.environ().get("VV_EXPORTER_PORT") == str(device.ports["exporter"])


def _costs(settings: Settings, folder: Path, delivering: float) -> dict[str, float]:
    """Seconds of a core that each step takes in the exporter."""
    beats, store = Beats(), Store(folder / "bench.db", time.time)
    collector = AlertPathCollector(Context(settings, store, time.time, time.monotonic, beats=beats))
    questions = Questions(settings, beats, time.time, time.monotonic)
    try:
        return {
            "a beat with a scrape": _cpu(lambda: list(collector.collect())),
            "a beat that comes back": delivering,
            "asking both servers instead": _cpu(questions),
        }
    finally:
        store.close()


def _cpu(work: Callable[[], object]) -> float:
    """Seconds of a core for a call."""
    work()
    began = time.process_time()
    for _ in range(REPEAT):
        work()
    return (time.process_time() - began) / REPEAT


if __name__ == "__main__":
    main()
