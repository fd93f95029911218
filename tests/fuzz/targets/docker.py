"""What the Docker Engine says: lists, inspections, events, what is used; through the real watch and its ledger.

An input is a line that says what it is, and the document. It stays that way: one container is broken for ever, and all
others must be followed.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from tests.fuzz.mutators import as_json, mutate_json
from tests.fuzz.targets._device import Device
from tests.unit.containers.ledgers import FOLDER
from vv_exporter.collectors.containers import ContainersCollector
from vv_exporter.containers import watch as watching
from vv_exporter.containers.engine import Engine, EngineError, Follower, translated
from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import CONTAINERS, ContainerRecord
from vv_exporter.containers.resources import Running, decode_stats
from vv_exporter.containers.unanswered import LONGEST_PAUSE_SECONDS
from vv_exporter.containers.watch import ContainerWatch
from vv_exporter.metrics.containers import EXITS

GOOD, VICTIM = "a" * 64, "b" * 64
STARTED = "2023-11-14T22:13:20.123456789Z"
LIFETIME = 20_000
STEPS = 12  # of the watch, in which it has to have found its feet


def listed(container: str, name: str, state: str = "running") -> dict[str, Any]:
    return {
        "Id": container,
        "Names": [f"/{name}"],
        "State": state,
        "Status": "Up 2 hours (healthy)",
        "Labels": {"a": "b"},
    }


def inspected(container: str, name: str, state: str = "running", code: int = 0) -> dict[str, Any]:
    health = {"Status": "healthy", "FailingStreak": 0, "Log": [{"Output": "fine"}]}
    return {
        "Id": container,
        "Name": f"/{name}",
        "Created": STARTED,
        "RestartCount": 0,
        "Image": "sha256:00",
        "State": {
            "Status": state,
            "OOMKilled": False,
            "ExitCode": code,
            "Error": "",
            "Pid": 7,
            "StartedAt": STARTED,
            "FinishedAt": "0001-01-01T00:00:00Z",
            "Health": health,
            "Paused": False,
            "Running": state == "running",
        },
        "Config": {"Image": "web:1", "Labels": {"com.docker.compose.project": "vv", "vv.self-monitor": "true"}},
        "HostConfig": {
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "AutoRemove": False,
            "Memory": 1 << 30,
            "NetworkMode": "bridge",
            "NanoCpus": 1_500_000_000,
            "CpuQuota": 50_000,
            "CpuPeriod": 100_000,
        },
    }


def happened(container: str, name: str, action: str, time: int, **more: str) -> dict[str, Any]:
    attributes = {"name": name, "image": "web:1", **more}
    return {
        "Type": "container",
        "Action": action,
        "timeNano": time,
        "Actor": {"ID": container, "Attributes": attributes},
    }


LIST = as_json([listed(GOOD, "good"), listed(VICTIM, "victim", "exited")])
INSPECTION = as_json(inspected(VICTIM, "victim"))
EVENT = as_json(happened(VICTIM, "victim", "die", 1_700_000_001 * SECOND, exitCode="137"))
INFO = as_json({"SystemTime": STARTED, "ServerVersion": "28.5.2"})
NETWORK = as_json({"Created": STARTED, "Name": "bridge"})
STATS = as_json(
    {
        "cpu_stats": {"cpu_usage": {"total_usage": 123_456_789}, "online_cpus": 2},
        "memory_stats": {"usage": 50_000_000, "stats": {"inactive_file": 4096, "total_inactive_file": 4096}},
        "networks": {"eth0": {"rx_bytes": 10, "tx_bytes": 20}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 4096}, {"op": "write", "value": 1}]},
        "pids_stats": {"current": 3},
    }
)
ENTRY = as_json(listed(VICTIM, "victim"))


def documents() -> list[bytes]:
    """All kinds, those of recorded histories too."""
    recorded = []
    for path in sorted(FOLDER.rglob("*.json")):
        for observation in json.loads(path.read_bytes())["observations"]:
            recorded += [as_json(document) for document in observation.values() if isinstance(document, dict)]
    return [LIST, INSPECTION, EVENT, INFO, NETWORK, STATS, ENTRY, *recorded[:: len(recorded) // 40 + 1]]


def _is_json(document: bytes) -> bool:
    try:
        msgspec.json.decode(document, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return True


class FakeEngine(Engine):
    """An Engine whose answers are in memory; how they are read is real."""

    def __init__(self, said: dict[str, bytes]) -> None:
        self._said = said

    def _answer(self, path: str) -> bytes | None:
        if path.endswith("/json") and path.count("/") == 3:
            return self._said.get(path.split("/")[2])
        if path == "/containers/json":
            return b"[" + b",".join((as_json(listed(GOOD, "good")), self._said["entry"])) + b"]"
        return self._said.get(path, b"OK")

    def _get_or_none(self, path: str, timeout: float = 0.0) -> bytes | None:
        with translated():
            return self._answer(path)

    def _get_body(self, path: str, **parameters: str) -> bytes:
        with translated():
            return self._answer(path) or b""

    def follow(self, since: int) -> Follower:
        return FakeFollower(since)

    def close(self) -> None:
        pass


class FakeFollower(Follower):
    """A subscription that is filled by hand; a new one has again what came after the time that it begins with."""

    latest: FakeFollower
    kept: deque[bytes] = deque(maxlen=256)

    def __init__(self, since: int) -> None:
        super().__init__("", since)
        self._thread.join()
        FakeFollower.latest = self
        for line in self.kept:
            time = re.search(rb'"timeNano":\s*(-?\d{1,30})', line)
            if time is None or int(time[1]) > since:
                self._queue_event(line)

    def _follow_events(self) -> None:
        self.connected.set()

    def say(self, line: bytes) -> None:
        """Another event."""
        self.kept.append(line)
        self._queue_event(line)

    def take(self, timeout: float) -> list[Any]:
        return super().take(0)


class Docker:
    """See the module."""

    batch = 60

    def __init__(self) -> None:
        self._device = Device()
        self._said: dict[str, bytes] = {}
        self._fed = 0
        self._time = 1_700_000_000 * SECOND
        self._mend()
        FakeFollower.kept.clear()
        watching.Engine = lambda host: FakeEngine(self._said)  # type: ignore[assignment, misc]
        settings = self._device.settings
        self._watch = ContainerWatch(
            "unix:///x", settings.containers, self._device.store, self._device.clock, self._device.clock
        )
        (collector,) = [one for one in self._device.collectors if isinstance(one, ContainersCollector)]
        collector._watch = self._watch
        self._go(STEPS)
        assert self._watch.current, "the watch does not follow an Engine in good order"

    def _mend(self) -> None:
        self._said |= {
            GOOD: as_json(inspected(GOOD, "good")),
            VICTIM: INSPECTION,
            "entry": ENTRY,
            "/info": INFO,
            "/networks/bridge": NETWORK,
        }

    def seeds(self) -> Sequence[bytes]:
        kinds = {
            "event": EVENT,
            "inspection": INSPECTION,
            "entry": ENTRY,
            "info": INFO,
            "network": NETWORK,
            "stats": STATS,
        }
        seeds = [f"{kind}\n".encode() + document for kind, document in kinds.items()]
        seeds += [b"event\n" + one for one in documents()[7:] if b'"Action"' in one]
        seeds += [b"inspection\n" + one for one in documents()[7:] if b'"HostConfig"' in one]
        return seeds + seeds[:3] * 6

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        kind, _, document = seed.partition(b"\n")
        return (
            kind + b"\n" + mutate_json(rng, document, [other.partition(b"\n")[2] for other in rng.choices(seeds, k=2)])
        )

    def feed(self, data: bytes) -> None:
        kind, _, document = data.partition(b"\n")
        self._fed += 1
        if kind == b"event":
            FakeFollower.latest.say(document.replace(b"\n", b" "))
        elif kind == b"inspection":
            self._said[VICTIM] = document
            FakeFollower.latest.ended.set()
        elif kind == b"entry":
            self._said["entry"] = document if _is_json(document) else b"?"
            self._watch._reconcile_at = 0.0
        elif kind in (b"info", b"network"):
            self._said["/info" if kind == b"info" else "/networks/bridge"] = document
            FakeFollower.latest.ended.set()
        elif kind == b"stats":
            try:
                usage = decode_stats(document, Running(VICTIM, "victim"))
            except (msgspec.MsgspecError, EngineError):
                return
            assert usage is None or all(value is None or value >= 0 or value < 0 for value in usage)
            return
        self._go(2)

    def _go(self, steps: int) -> None:
        for _ in range(steps):
            self._device.clock.advance(0.5)
            self._watch.follow_once()

    def prove(self) -> None:
        """The container that is in good order ends, and that is counted."""
        self._said |= {"/info": INFO, "/networks/bridge": NETWORK}
        if self._said["entry"] == b"?":  # the whole list was none: that passes, or nothing could be known
            self._said["entry"] = ENTRY
        self._go(STEPS)
        for _ in range(int(2 * LONGEST_PAUSE_SECONDS)):  # what was asked for in vain is asked for again after a pause
            if self._watch.current:
                break
            self._go(1)
        assert self._watch.current, "the Engine is not followed any more"
        before = self._device.store.value(EXITS, ("good", "error")) or 0.0
        self._time = max(self._time, int(self._device.clock() * SECOND)) + SECOND
        follower = FakeFollower.latest
        follower.say(as_json(happened(GOOD, "good", "start", self._time)))
        follower.say(as_json(happened(GOOD, "good", "die", self._time + SECOND // 2, exitCode="3")))
        self._go(STEPS)
        assert self.record("good") is not None, "the good container is not known any more"
        assert (self._device.store.value(EXITS, ("good", "error")) or 0.0) == before + 1, "its end was not counted"
        self._device.prove()
        if self._fed > LIFETIME:
            self.close()
            self.__init__()  # type: ignore[misc]

    def record(self, name: str) -> ContainerRecord | None:
        """What is known of a container."""
        return self._device.store.document(CONTAINERS, name)

    def close(self) -> None:
        watching.Engine = Engine  # type: ignore[misc]
        self._device.close()
        shutil.rmtree(self._device.folder, ignore_errors=True)


def build() -> Docker:
    """Make it."""
    return Docker()
