"""From a fault to those who are told: the whole stack as `vv up` runs it, with its own intervals and waits.

In each round every fault happens once, to a component of its own; rounds begin at different moments between scrapes.
Targets, medians: a CRITICAL of send_alert at the receiver (here Slack) within 1 s, send_alert at Alertmanager within
2 s, every fault at the receiver within 30 s.
"""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks._measure import machine
from benchmarks._results import OURS, Figure, publish
from tests.support.device import Channels, Device, about
from tests.support.engine import Engine, EngineUnavailableError, busybox_image, private_engine
from tests.support.waiting import wait_until

ROUNDS = int(os.environ.get("VV_BENCH_ROUNDS", "7"))
PAUSE = 7.0  # seconds between two rounds: no divisor of the intervals
PATIENCE = 180.0

AN_ERROR = "an ERROR of send_alert"
# What a script imports, and what it does once it has told the time. WHO is a component that nothing else has.
FAULTS = {
    AN_ERROR: ("from vv_core.alerter import send_alert", "send_alert('ERROR', WHO, 'A test', WHO)"),
    "a CRITICAL of send_alert": (
        "from vv_core.alerter import send_alert",
        "send_alert('CRITICAL', WHO, 'A test', WHO)",
    ),
    "a stage fails": ("from vv_core.stages import stage", "with stage(WHO, component=WHO): raise ValueError('empty')"),
    "a script is killed in a stage": (
        "import os; from vv_core.stages import stage",
        "with stage(WHO, component=WHO): os.kill(os.getpid(), 9)",
    ),
    "a document is refused": (
        "from vv_core.schemas import validate_schema",
        "validate_schema({'a': ''}, {'properties': {'a': {'type': 'number'}}}, component=WHO)",
    ),
    "a signature is refused": (
        "from vv_core.signing import verify_signature",
        "verify_signature({'a': 1, 'signature': {}}, component=WHO)",
    ),
    "an exception": ("from vv_core.guard import guard", "with guard(WHO): raise LookupError('gone')"),
}
TO_ALERTMANAGER = f"{AN_ERROR}, at Alertmanager"


@dataclass(frozen=True)
class Bench:
    """A device, and those whom it tells."""

    device: Device
    channels: Channels
    engine: Engine | None

    def script(self, fault: str, who: str) -> float:
        """Let a script fail; returns when that was, on the clock that all processes share."""
        imports, action = FAULTS[fault]
        quiet = "import os, sys, time; sys.stderr = open(os.devnull, 'w')"  # tracebacks are as they should be
        code = f"{quiet}; WHO = {who!r}\n{imports}\nprint(time.monotonic(), flush=True)\n{action}"
        return float(self.device.script(code).communicate(timeout=60)[0])

    def told(self, who: str) -> float:
        """When Slack got something that names it."""
        return self.channels.slack.wait_for(about(who), PATIENCE).time

    def at_alertmanager(self, who: str) -> float:
        """When Alertmanager had an alert of it."""
        wait_until(lambda: self.device.alerts(component=who), PATIENCE, what=who)
        return time.monotonic()


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Channels() as channels,
        _engine() as engine,
        ThreadPoolExecutor(ROUNDS * (len(FAULTS) + 2)) as pool,
    ):
        environ = channels.environ() | {"VV_SCRAPE_INTERVAL": "10s", "DOCKER_HOST": engine.host if engine else ""}
        names = [f"container-{number:02}" for number in range(ROUNDS)] if engine else []
        if engine:
            _start(engine, names)
        with Device(Path(folder), environ) as device:
            bench = Bench(device, channels, engine)
            wait_until(lambda: len(device.query("vv_container_running == 1")) == len(names), 60, what="containers")
            waiting: list[tuple[str, Future[float]]] = []
            for number in range(ROUNDS):
                threading.Event().wait(PAUSE + random.random())
                waiting += [(name, pool.submit(run)) for name, run in _round(bench, number)]
            took: dict[str, list[float]] = defaultdict(list)
            for name, future in waiting:
                took[name].append(future.result())
    print(f"from a fault to those who are told, seconds, {ROUNDS} times each   [{machine()}]")
    print(f"{'':40}  {'least':>6}  {'median':>6}  {'most':>6}")
    for name, seconds in took.items():
        print(f"{name:40}  {min(seconds):6.1f}  {median(seconds):6.1f}  {max(seconds):6.1f}")
    publish("delivery", [Figure(name, OURS, "s", tuple(seconds)) for name, seconds in took.items()])


def _round(bench: Bench, number: int) -> Iterator[tuple[str, Callable[[], float]]]:
    """What is measured, and how."""
    for fault in FAULTS:
        yield f"{fault}, at Slack", lambda fault=fault: _between(bench, fault, number, bench.told)  # type: ignore[misc]
    yield TO_ALERTMANAGER, lambda: _between(bench, AN_ERROR, number + ROUNDS, bench.at_alertmanager)
    if bench.engine:
        # Containers are told together: one that dies after another joins its message.
        name = "a container dies" if number == 0 else "a container dies after another"
        yield f"{name}, at Slack", lambda: _death(bench, f"container-{number:02}")


def _between(bench: Bench, fault: str, number: int, seen: Callable[[str], float]) -> float:
    who = f"{fault.replace(' ', '-')}-{number:02}"  # no name is part of another
    return -bench.script(fault, who) + seen(who)


def _death(bench: Bench, name: str) -> float:
    assert bench.engine is not None
    with contextlib.closing(bench.engine.client()) as client:
        begin = time.monotonic()
        client.kill(name)
    return bench.told(name) - begin


@contextlib.contextmanager
def _engine() -> Iterator[Engine | None]:
    """A Docker Engine of our own, None where there cannot be one."""
    with contextlib.ExitStack() as stack:
        try:
            engine: Engine | None = stack.enter_context(private_engine())
        except EngineUnavailableError as error:
            print(f"containers are left out: {error}")
            engine = None
        yield engine


def _start(engine: Engine, names: list[str]) -> None:
    image = busybox_image(engine)
    with contextlib.closing(engine.client()) as client:
        host = client.create_host_config(network_mode="none")
        for name in names:
            client.create_container(image, ["sleep", "10000"], name=name, host_config=host)
            client.start(name)


if __name__ == "__main__":
    main()
