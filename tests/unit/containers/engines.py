"""An Engine in memory, of which single questions can be left unanswered; how its answers are read is real."""

from __future__ import annotations

from collections import deque
from typing import Any

from tests.fuzz.mutators import as_json
from tests.fuzz.targets.docker import inspected, listed
from vv_exporter.containers.engine import Engine, EngineError, Follower, NoAnswerError, NotUnderstoodError
from vv_exporter.containers.observed import SECOND, Event

START = 1_700_000_000 * SECOND


class Containers:
    """What runs on the Engine, what it answers, and what it was asked."""

    def __init__(self) -> None:
        self.states: dict[str, tuple[str, str, int]] = {}
        self.labels: dict[str, dict[str, str]] = {}
        self.started: dict[str, int] = {}
        self.silent: set[str] = set()
        """Names of containers, and `list`, `info`, `events`, `kept` and `ping`, that are not answered."""
        self.broken: dict[str, str] = {}
        """Names of containers, and how the answer is wrong: `json`, or the Engine's own error."""
        self.told: deque[Event] = deque()
        self.deaf = False
        """Whether the event stream is open and brings nothing."""
        self.kept_events = 1
        self.asked: list[str] = []
        """Names of containers, once for each inspection."""

    def run(self, name: str, state: str = "running", health: str = "", code: int = 0, **labels: str) -> None:
        self.states[name] = state, health, code
        self.labels[name] = labels
        self.started.setdefault(name, START)

    def start_again(self, name: str, seconds: int) -> None:
        """By its restart policy is not said: through the API."""
        self.states[name] = "running", "", 0
        self.started[name] = START + seconds * SECOND

    def tell(self, name: str, action: str, seconds: int, **attributes: str) -> None:
        self.told.append(Event(container_id(name), name, action, START + seconds * SECOND, attributes))

    def entry(self, name: str) -> dict[str, Any]:
        state, health, code = self.states[name]
        status = (
            f"Up 2 hours{f' ({health})' if health else ''}" if state == "running" else f"Exited ({code}) 2 hours ago"
        )
        return {**listed(container_id(name), name, state), "Status": status, "Labels": self.labels[name]}

    def inspection(self, name: str) -> dict[str, Any]:
        state, health, code = self.states[name]
        document = inspected(container_id(name), name, state, code)
        started = self.started[name] // SECOND - 1_700_000_000
        document["State"]["StartedAt"] = f"2023-11-14T22:{13 + (20 + started) // 60}:{(20 + started) % 60:02d}Z"
        document["State"]["Health"] = {"Status": health, "FailingStreak": 0} if health else None
        document["Config"]["Labels"] = self.labels[name]
        return document


def container_id(name: str) -> str:
    """Of 64 hexadecimal digits, as Docker's."""
    return name.encode().hex().ljust(64, "0")


class MemoryEngine(Engine):
    """Asks `Containers` instead of a socket."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def ping(self) -> None:
        self._answered("ping")

    def time(self) -> int:
        self._answered("info")
        return START

    def kept_events(self, until: int) -> int:
        self._answered("kept")
        return self._containers.kept_events

    def bridge_created(self) -> str:
        return ""

    def refused_by_proxy(self) -> dict[str, int]:
        return {}

    def follow(self, since: int) -> Follower:
        return MemoryFollower(self._containers)

    def close(self) -> None:
        pass

    def _get_body(self, path: str, **parameters: str) -> bytes:
        assert path == "/containers/json"
        self._answered("list")
        return as_json([self._containers.entry(name) for name in self._containers.states])

    def _get_or_none(self, path: str, timeout: float = 0.0) -> bytes | None:
        name = bytes.fromhex(path.split("/")[2]).rstrip(b"\0").decode()
        if path.endswith("/json"):
            self._containers.asked.append(name)
        if name not in self._containers.states:
            return None
        self._answered(name)
        problem = self._containers.broken.get(name)
        if problem is not None and problem != "json":
            raise NotUnderstoodError(problem)
        return b"{" if problem else as_json(self._containers.inspection(name))

    def _answered(self, what: str) -> None:
        if what in self._containers.silent:
            raise NoAnswerError(f"{what}: Read timed out.")
        if "everything" in self._containers.silent:
            raise EngineError("connection refused")


class MemoryFollower(Follower):
    """The event stream."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        super().__init__("", 0)
        self._thread.join()

    def _follow_events(self) -> None:
        if "events" in self._containers.silent:
            self.error = "Read timed out."
            self.ended.set()
        else:
            self.connected.set()

    def take(self, timeout: float) -> list[Event]:
        if "everything" in self._containers.silent:
            self.ended.set()
        if self._containers.deaf:
            return []
        events = list(self._containers.told)
        self._containers.told.clear()
        return events
