"""The link of many devices is cut for three days, which are put into their queues: ``make bench-fleet-outage``, or
``python -m benchmarks.fleet_outage --devices 50 --hours 72``. Ends with 1 when a promise of docs/fleet.md fails.

1. Each device's real agent, with the files and flags of a device, beats through a link that can be cut.
2. The link is cut. What is kept of the days is pushed into each agent with its times, one block a minute, as it would
   have been scraped. For that alone the agent has one more flag, `-remoteWrite.maxRowsPerBlock`.
3. Meanwhile every agent is restarted. The power of every fifth is cut as well, half of the outage in: killed, and what
   was not synced is taken from its queue. The store is restarted.
4. The link returns. From every device a beat of now must be there within a minute; then every kept sample must arrive,
   none twice, but for the one block that a power cut may cost.

The store takes the same sample twice as two here, which the centre's does not, so that it shows; and that it would
show is tried first. All of it shares this machine.
"""

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import requests
from benchmarks._measure import machine
from tests.support.fleet import Agent, Centre
from tests.support.links import Link
from tests.support.waiting import wait_until

from vv_exporter.fleet.inventory import Device
from vv_exporter.stack import victoria
from vv_exporter.stack.programs import ALERTMANAGER, find
from vv_exporter.stack.servers import LOOPBACK

NAMES = (
    "path:vv_filesystem_free:ratio",
    "vv_filesystem_size_bytes",
    "vv_filesystem_free_bytes",
    "vv_container_running",
    "vv_container_restarts_total",
    "vv_stage_last_success_timestamp_seconds",
    "vv_stage_overdue",
    "vv_job_last_success_timestamp_seconds",
    "vv_alert_events_total",
    "vv_footage_expected_seconds",
    "vv_footage_present_seconds",
    "vv_dvr_up",
    "vv_dvr_down_since_timestamp_seconds",
    "vv_collector_success",
    "vv_chain_length",
)
SUBJECTS = 10
SERIES = len(NAMES) * SUBJECTS
"""About as many as a small device keeps (`KEPT`)."""
FRESH_SECONDS = 60.0
POWER_CUT_EACH = 5
BLOCKS_BORNE = 1
"""Of a power cut (docs/fleet.md): what the agent had taken from its queue to send it."""
AT_ONCE = 5
"""Agents whose days are pushed side by side; each within the five minutes before its beats fill its memory."""
WRITTEN_SECONDS = 8.0
"""After five seconds without an answer an agent writes what it has in memory to its queue."""
ALONE = 2
"""Minutes before a power cut that are pushed each for itself, as all of an outage come: the first has the agent write
what it has in memory, the second has it sync that. It does so once a second at most."""
CHUNK_MINUTES = 60
DRAIN_SECONDS = 3 * 3600.0
DRAIN_ROUND_SECONDS = 2.0
DEVICE = "\N{REPLACEMENT CHARACTER}"
SCRAPED_NEVER = "1d"
"""VV_FLEET_INTERVAL: what is kept is pushed. Were it scraped too, `up` of that would be the first block of the queue,
and what a power cut costs would be that, which nobody counts."""


@dataclass
class Outcome:
    """What became of one device."""

    power_cuts: int = 0
    queued_bytes: float = 0.0
    fresh_after: float | None = None
    """Seconds from the link's return to its first beat of now in the store."""
    drained_after: float | None = None
    missing: int = 0
    twice: int = 0

    def problems(self) -> Iterator[str]:
        """What was promised and does not hold."""
        if self.fresh_after is None or self.fresh_after > FRESH_SECONDS:
            yield f"no beat of now within {FRESH_SECONDS:.0f} s (came after {self.fresh_after})"
        if self.drained_after is None:
            yield "its queue was not drained"
        if self.missing > self.power_cuts * BLOCKS_BORNE * SERIES:
            yield f"{self.missing} samples are missing after {self.power_cuts} power cuts"
        if self.twice:
            yield f"{self.twice} samples are there twice"


@dataclass
class Fleet:
    """The devices, their centre and the link between them."""

    centre: Centre
    link: Link
    agents: dict[str, Agent]
    minutes: list[int]
    """The times of what is kept, in milliseconds."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def has_power_cut(self, name: str) -> bool:
        """Every fifth, and the first."""
        return list(self.agents).index(name) % POWER_CUT_EACH == 0


def series() -> Iterator[str]:
    """What is kept of a device, as its Prometheus names it."""
    for name in NAMES:
        for subject in range(SUBJECTS):
            yield (
                f'{name}{{device="{DEVICE}",instance="127.0.0.1:19461",job="vv-exporter",subject="subject-{subject}"}}'
            )


def exposition(minutes: Sequence[int]) -> str:
    """All series at these times, the oldest first; a third of them moves each minute."""
    return "".join(
        f"{one} {1_000_000 * number + (stamp // 60_000 if number % 3 == 0 else 0)} {stamp}\n"
        for stamp in minutes
        for number, one in enumerate(series())
    )


def push(agents: Iterable[Agent], minutes: Sequence[int]) -> None:
    """Give agents what is kept, hour by hour."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for begin in range(0, len(minutes), CHUNK_MINUTES):
            text = exposition(minutes[begin : begin + CHUNK_MINUTES])
            list(pool.map(lambda agent, text=text: _post(agent, text), agents))


def _post(agent: Agent, text: str) -> None:
    body = text.replace(DEVICE, agent.settings.device_id).encode()
    address = f"{agent.settings.fleet_agent}/api/v1/import/prometheus"
    requests.post(address, body, timeout=120).raise_for_status()


def start_all(agents: Iterable[Agent]) -> None:
    """From this thread: a child ends with the thread that started it."""
    agents = list(agents)
    for agent in agents:
        agent.child.start()
    for agent in agents:
        agent.wait_until_ready()


def stop_all(agents: Iterable[Agent]) -> None:
    """Side by side: each tries for some seconds to send what it has."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda agent: agent.child.stop(60), agents))


def fill(fleet: Fleet, names: Sequence[str]) -> None:
    """The days of the outage for some devices, with their restarts and power cuts. They run on as on a device."""
    agents = [fleet.agents[name] for name in names]
    stop_all(agents)
    commands = [agent.child.command for agent in agents]
    for agent in agents:
        agent.child.command = [*agent.child.command, f"-remoteWrite.maxRowsPerBlock={SERIES}"]
    start_all(agents)
    half = len(fleet.minutes) // 2
    push(agents, fleet.minutes[: half - ALONE])
    for minute in fleet.minutes[half - ALONE : half]:
        time.sleep(WRITTEN_SECONDS)
        push(agents, [minute])
    time.sleep(WRITTEN_SECONDS)
    unlucky = [name for name in names if fleet.has_power_cut(name)]
    for name in unlucky:
        fleet.agents[name].cut_power()
        assert fleet.agents[name].child.exit_code() == -signal.SIGKILL, f"{name} was not killed"
        fleet.outcomes[name].power_cuts += 1
    start_all(fleet.agents[name] for name in unlucky)
    push(agents, fleet.minutes[half:])
    time.sleep(2)  # what was given becomes blocks within a second
    stop_all(agents)
    for agent, command in zip(agents, commands, strict=True):
        agent.child.command = command
    start_all(agents)


def beats_since(centre: Centre, since: float) -> set[str]:
    """The devices of which the store has a beat of that time or a later one."""
    found = centre.query(f'max by (device) (timestamp(up{{job="vmagent"}})) >= {since:.3f}')
    return {one["metric"]["device"] for one in found}


def watch_the_return(fleet: Fleet) -> float:
    """Note when each device's first beat of now came, and when its queue was empty; when the link returned."""
    fleet.link.mend()
    began, back_at = time.monotonic(), time.time()
    while (elapsed := time.monotonic() - began) < DRAIN_SECONDS:
        waits = {name for name, one in fleet.outcomes.items() if one.fresh_after is None}
        for name in waits & beats_since(fleet.centre, back_at) if waits else ():
            fleet.outcomes[name].fresh_after = time.monotonic() - began
        for name, one in fleet.outcomes.items():
            if one.drained_after is None and fleet.agents[name].waiting() == 0:
                one.drained_after = time.monotonic() - began
        late = elapsed > 2 * FRESH_SECONDS  # who has not come by then is told; the queues are waited for
        if all(one.drained_after is not None and (one.fresh_after or late) for one in fleet.outcomes.values()):
            break
        time.sleep(0.5 if waits and not late else DRAIN_ROUND_SECONDS)
    return back_at


def stored_times(store: str, selector: str) -> Iterator[list[int]]:
    """The times of each series that the store has, as they were written: also what is there twice."""
    requests.get(f"{store}/internal/force_flush", timeout=120)
    with requests.get(
        f"{store}/api/v1/export", {"match[]": selector, "reduce_mem_usage": "1"}, stream=True, timeout=600
    ) as answer:
        answer.raise_for_status()
        lines: dict[str, list[int]] = {}
        for line in answer.iter_lines():
            found = json.loads(line)  # a series comes in parts
            lines.setdefault(json.dumps(found["metric"], sort_keys=True), []).extend(found["timestamps"])
    yield from lines.values()


def compare_times(expected: Sequence[int], stored: Sequence[list[int]], count: int) -> tuple[int, int]:
    """How many samples of `count` series are missing, and how many are there more than once."""
    wanted = set(expected)
    there = sum(len(wanted & set(stamps)) for stamps in stored)
    twice = sum(times - 1 for stamps in stored for times in Counter(stamps).values())
    return count * len(wanted) - there, twice


def verify(fleet: Fleet, name: str) -> None:
    """Compare what was kept with what arrived."""
    stored = list(stored_times(fleet.centre.store, f'{{device="{name}",subject!=""}}'))
    one = fleet.outcomes[name]
    one.missing, one.twice = compare_times(fleet.minutes, stored, SERIES)


def check_that_twice_would_show(centre: Centre) -> None:
    """Raises `AssertionError` if this store hides what it got twice."""
    for _ in range(2):
        centre.insert([f"seen_twice 1 {time.time_ns() // 60_000_000_000 * 60_000}"])
        requests.get(f"{centre.store}/internal/force_flush", timeout=60)
    assert compare_times([], list(stored_times(centre.store, "seen_twice")), 0)[1] == 1, "twice would not show"


def run(count: int, hours: float, bytes_per_day: str) -> int:
    """Measure, print the table and what does not hold; the exit code."""
    found = {name: victoria.find(name) for name in victoria.PROGRAMS} | {"alertmanager": find(ALERTMANAGER)}
    programs = {name: path for name, path in found.items() if path is not None}
    names = [f"d{number:04}" for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        centre = Centre(Path(folder) / "centre", [Device(name, "Porto") for name in names], programs, {})
        centre.servers = [server for server in centre.servers if server.name in ("VictoriaMetrics", "vmauth")]
        centre.children["VictoriaMetrics"].command.remove("-dedup.minScrapeInterval=1ms")
        with centre, Link(centre.ports.door) as link:
            check_that_twice_would_show(centre)
            agents = {}
            for name in names:
                (own := Path(folder) / name).mkdir()
                environ = {"VV_FLEET_BYTES_PER_DAY": bytes_per_day, "VV_FLEET_INTERVAL": SCRAPED_NEVER}
                token = centre.configuration / "tokens" / name
                agents[name] = Agent(name, own, f"http://{LOOPBACK}:{link.port}", token, environ)
            now = time.time_ns() // 60_000_000_000 * 60_000
            minutes = [now - 60_000 * back for back in range(round(hours * 60), 0, -1)]
            fleet = Fleet(centre, link, agents, minutes, {name: Outcome() for name in names})
            try:
                return _measure(fleet, hours, bytes_per_day)
            finally:
                stop_all(agents.values())


def _measure(fleet: Fleet, hours: float, bytes_per_day: str) -> int:
    names, began = list(fleet.agents), time.time()
    start_all(fleet.agents.values())
    wait_until(lambda: beats_since(fleet.centre, began) >= set(names), 180, what="a beat of each device")
    fleet.link.cut()
    cut_at = time.monotonic()
    for begin in range(0, len(names), AT_ONCE):
        fill(fleet, names[begin : begin + AT_ONCE])
    fleet.centre.stop("VictoriaMetrics")
    fleet.centre.start("VictoriaMetrics")
    for name, one in fleet.outcomes.items():
        one.queued_bytes = fleet.agents[name].waiting()
    cut_for = time.monotonic() - cut_at
    arrived_early = list(stored_times(fleet.centre.store, '{subject!=""}'))
    watch_the_return(fleet)
    time.sleep(10)  # the block that an agent has taken from its queue last
    for name in names:
        verify(fleet, name)
    print_table(fleet, hours, cut_for, bytes_per_day)
    problems = [f"{name}: {problem}" for name, one in fleet.outcomes.items() for problem in one.problems()]
    if arrived_early:
        problems.append(f"{len(arrived_early)} series arrived while the link was cut")
    print("\n".join(["DOES NOT HOLD:", *problems]) if problems else "all promises hold")
    return 1 if problems else 0


def print_table(fleet: Fleet, hours: float, cut_for: float, bytes_per_day: str) -> None:
    """What was measured."""
    outcomes = list(fleet.outcomes.values())
    kept, cuts = SERIES * len(fleet.minutes), sum(one.power_cuts for one in outcomes)
    queued = [one.queued_bytes for one in outcomes]
    limit = next(iter(fleet.agents.values())).settings.fleet_bytes_per_day
    rows = {
        "outage": f"{hours:g} h in {cut_for:.0f} s; {SERIES} series a minute",
        "kept samples": f"{kept:,} a device, {kept * len(outcomes):,} of all",
        "waiting on a device's disk": f"{_spread([size / 1e6 for size in queued], 'MB')}",
        "a block, a minute of it": f"{statistics.median(queued) / len(fleet.minutes):.0f} bytes",
        "restarts": f"{2 * len(outcomes)}, and {cuts} power cuts; the store once",
        "first beat of now": _spread([one.fresh_after for one in outcomes], "s"),
        "queue empty": f"{_spread([one.drained_after for one in outcomes], 's')} (limit a day: {bytes_per_day})",
        "missing": f"{sum(one.missing for one in outcomes)} samples ({cuts * BLOCKS_BORNE * SERIES} may be)",
        "twice": f"{sum(one.twice for one in outcomes)} samples",
    }
    if not limit:
        rows["it would be, at 200MB a day"] = f"{statistics.median(queued) / (200e6 / 86400) / 60:.0f} minutes"
    print(f"{len(outcomes)} devices   [{machine()}]")
    for title, text in rows.items():
        print(f"  {title:<30}{text}")


def _spread(values: Sequence[float | None], unit: str) -> str:
    found = [value for value in values if value is not None]
    missing = f", {len(values) - len(found)} never" if len(found) < len(values) else ""
    return f"median {statistics.median(found):.1f} {unit}, most {max(found):.1f} {unit}{missing}" if found else "never"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--hours", type=float, default=72)
    parser.add_argument("--bytes-per-day", default="200MB", help="VV_FLEET_BYTES_PER_DAY of each device; 0: no limit")
    options = parser.parse_args()
    sys.exit(run(options.devices, options.hours, options.bytes_per_day))
