"""From the death of a container to Slack, where everything is scraped every ten seconds; as root, for the Engine.

python -m benchmarks.bench_latency [--rounds 7] [--before REF]

Each round kills a container, and waits until its alert has ended, so that none joins the message of another; a stage
fails beside it. With `--before` a second stack, of the commit REF, sees the same deaths at the same time.
Target, median: 8 s.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from benchmarks._measure import machine
from benchmarks._results import OURS, Figure, publish
from benchmarks.bench_flash import commits
from tests.support.device import Channels, Device, about
from tests.support.engine import Engine, busybox_image, private_engine
from tests.support.receivers import Request
from tests.support.waiting import wait_until

PATIENCE_SECONDS = 180.0
FORGETTING_SECONDS = 20.0  # after the end of an alert, until Alertmanager begins a message of its own
STAGE = """
import os, sys, time
sys.stderr = open(os.devnull, "w")
from vv_core.stages import stage
print(time.monotonic(), flush=True)
with stage(sys.argv[1], component=sys.argv[1]):
    raise ValueError("empty")
"""
Taken = dict[tuple[str, str], list[float]]
Stack = tuple[Device, Channels]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--before", metavar="REF", help="a commit to measure beside this one")
    wanted = parser.parse_args()
    with commits(wanted.before) as roots, private_engine() as engine, tempfile.TemporaryDirectory() as folder:
        pairs = [(f"worker-{number}", f"essential-{number}") for number in range(wanted.rounds)]
        _start(engine, [name for pair in pairs for name in pair])
        config = f"containers: {{essential: [{', '.join(essential for _, essential in pairs)}]}}\n"
        with _stacks(roots, engine, Path(folder), config) as stacks, ThreadPoolExecutor() as pool:
            for device, _ in stacks.values():
                _wait_for_count(device, "vv_container_running == 1", 2 * len(pairs))
            taken: Taken = defaultdict(list)
            for worker, essential in pairs:
                _round(engine, stacks, worker, essential, pool, taken)
    print(f"from a fault to those who are told, seconds, {wanted.rounds} times each   [{machine()}]")
    print(f"{'':50}  {'least':>6}  {'median':>6}  {'most':>6}")
    for (commit, fault), seconds in sorted(taken.items(), key=lambda one: one[0][1]):
        print(f"{f'{fault} ({commit})':50}  {min(seconds):6.1f}  {median(seconds):6.1f}  {max(seconds):6.1f}")
    subjects = {"this commit": OURS}
    publish(
        "latency",
        [
            Figure(fault, subjects.get(commit, commit), "s", tuple(seconds))
            for (commit, fault), seconds in taken.items()
        ],
    )


def _round(
    engine: Engine, stacks: Mapping[str, Stack], worker: str, essential: str, pool: ThreadPoolExecutor, taken: Taken
) -> None:
    time.sleep(random.uniform(0, 10))  # at any moment between scrapes
    waiting = {
        (commit, "a stage fails, at Slack"): pool.submit(_stage_seconds, *stack, worker)
        for commit, stack in stacks.items()
    }
    with contextlib.closing(engine.client()) as client:
        begin = time.monotonic()
        client.kill(worker)
        client.kill(essential)
        for commit, (_, channels) in stacks.items():
            for fault, receiver, who in (
                ("a container dies, at Slack", channels.slack, worker),
                ("an essential container dies, at PagerDuty", channels.pagerduty, essential),
            ):
                waiting[commit, fault] = pool.submit(_seconds_until_told, receiver.wait_for, who, begin)
        for key, seconds in waiting.items():
            taken[key].append(seconds.result())
        client.start(worker)
        client.start(essential)
    for device, _ in stacks.values():
        _wait_for_count(device, 'ALERTS{alertname="ContainerDown"}', 0)
    time.sleep(FORGETTING_SECONDS)


def _seconds_until_told(wait_for: Callable[..., Request], who: str, begin: float) -> float:
    return wait_for(about("ContainerDown", who), PATIENCE_SECONDS).time - begin


def _stage_seconds(device: Device, channels: Channels, name: str) -> float:
    begin = float(device.script(STAGE, f"stage-of-{name}").communicate(timeout=60)[0])
    return channels.slack.wait_for(about(f"stage-of-{name}"), PATIENCE_SECONDS).time - begin


@contextlib.contextmanager
def _stacks(roots: Mapping[str, Path], engine: Engine, folder: Path, config: str) -> Iterator[Mapping[str, Stack]]:
    """A device of each commit, with its channels, by what the commit is called."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Stack] = {}
        for number, (name, root) in enumerate(roots.items()):
            channels = stack.enter_context(Channels())
            environ = channels.environ() | {
                "VV_SCRAPE_INTERVAL": "10s",
                "VV_TOOLS_DIR": str(Path(__file__).parents[1] / ".vv"),
                "DOCKER_HOST": engine.host,
                "PYTHONPATH": os.pathsep.join((str(root / "exporter"), str(root))),
            }
            found[name] = stack.enter_context(Device(folder / str(number), environ, config)), channels
        yield found


def _start(engine: Engine, names: list[str]) -> None:
    image = busybox_image(engine)
    with contextlib.closing(engine.client()) as client:
        host = client.create_host_config(network_mode="none")
        for name in names:
            client.create_container(image, ["sleep", "100000"], name=name, host_config=host)
            client.start(name)


def _wait_for_count(device: Device, query: str, count: int) -> None:
    wait_until(lambda: len(device.query(query)) == count, PATIENCE_SECONDS, what=query)


if __name__ == "__main__":
    main()
