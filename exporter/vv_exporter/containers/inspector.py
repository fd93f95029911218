"""Inspections: which containers are due, which do not answer, and what was last seen of each.

A container that hangs is waited for once, others after it in the same round more briefly; after a few of them the rest
waits for the next round, so that events are taken in between.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping

from vv_exporter.containers.engine import TIMEOUT, Engine, EngineError, NotUnderstoodError
from vv_exporter.containers.engine_connection import EngineConnection
from vv_exporter.containers.observed import Event, Inspection, Listed
from vv_exporter.containers.records import ContainerRecord
from vv_exporter.containers.resources import Running
from vv_exporter.containers.unanswered import Unanswered

log = logging.getLogger(__name__)

INSPECT_AFTER_SECONDS = 300.0  # after which a container that seems unchanged is inspected again
INSPECT_HEALTH_AFTER_SECONDS = 60.0  # …and one with a health check: the failing streak grows without an event
_SHORT_TIMEOUT_SECONDS = 1.0  # for an inspection after another one was waited for in vain
_MAX_TIMEOUTS = 3  # inspections of a round that are waited for in vain


class Inspector:
    """`stopping` ends a round; `monotonic` gives seconds. One thread inspects; any may read."""

    def __init__(self, connection: EngineConnection, monotonic: Callable[[], float], stopping: threading.Event) -> None:
        self._connection = connection
        self._monotonic = monotonic
        self._stopping = stopping
        self._inspected_at: dict[str, float] = {}
        """By id, when (monotonic); on the present connection."""
        self._last_seen: dict[str, Inspection] = {}
        self.unanswered = Unanswered(monotonic)
        """Ids of containers about which the Engine does not answer, or not so that it is understood."""

    @property
    def inspected(self) -> frozenset[str]:
        """Ids of those that were inspected on this connection."""
        return frozenset(self._inspected_at)

    def describe_running(self, records: Iterable[ContainerRecord]) -> list[Running]:
        """Those of the records that run, with what was last seen of each."""
        last_seen = self._last_seen
        return [_describe_running(record, last_seen.get(record.id)) for record in records if record.running]

    def should_inspect(self, listed: Listed, records: Mapping[str, ContainerRecord]) -> bool:
        """Whether an entry of the list differs from its record, or was not inspected for long."""
        record = records.get(listed.name)
        if record is None or record.id != listed.id or record.state != listed.state:
            return True
        if record.running and record.health != listed.health:
            return True
        has_health_check = record.running and record.health
        after = INSPECT_HEALTH_AFTER_SECONDS if has_health_check else INSPECT_AFTER_SECONDS
        return self._monotonic() - self._inspected_at.get(listed.id, 0.0) >= after

    def inspect_after_events(self, engine: Engine, events: Iterable[Event]) -> dict[str, Inspection]:
        """What events do not say alone. Where the Engine does not answer any more, they have to be enough."""
        with contextlib.suppress(EngineError):
            return self.inspect_due(engine, dict.fromkeys(one.id for one in events if _needs_inspection(one)))[0]
        return {}

    def inspect_due(self, engine: Engine, containers: Iterable[str]) -> tuple[dict[str, Inspection], set[str]]:
        """Inspections of those that are due, and who has to wait for the next time, since others took too long.

        Raises `EngineError` if it is the Engine that does not answer.
        """
        found: dict[str, Inspection] = {}
        waiting: set[str] = set()
        timeouts = 0
        for container in containers:
            if self._stopping.is_set():
                raise EngineError("stopping")
            if not self.unanswered.is_due(container):
                continue
            if timeouts >= _MAX_TIMEOUTS:
                waiting.add(container)
            elif not self._inspect(engine, container, _SHORT_TIMEOUT_SECONDS if timeouts else TIMEOUT, found):
                timeouts += 1
        return found, waiting

    def keep_only(self, containers: Collection[str]) -> None:
        """Forget what was seen of all others: the Engine does not list them any more."""
        self.unanswered.keep(containers)
        self._inspected_at = {one: at for one, at in self._inspected_at.items() if one in containers}
        self._last_seen = {one: seen for one, seen in self._last_seen.items() if one in containers}

    def forget_connection(self) -> None:
        """The next connection inspects everything again."""
        self._inspected_at = {}

    def _inspect(self, engine: Engine, container: str, timeout: float, found: dict[str, Inspection]) -> bool:
        """Put an inspection into `found`. False if it was waited for in vain."""
        in_time = True
        try:
            inspection = engine.inspect(container, timeout)
        except NotUnderstoodError as error:
            self._record_unanswered(container, str(error))
        except EngineError as error:
            engine.ping()  # raises if it is not this container's
            self._record_unanswered(container, str(error))
            in_time = False
        else:
            self.unanswered.answered(container)
            self._inspected_at[container] = self._monotonic()
            if inspection is not None:
                found[container] = self._last_seen[container] = inspection
        self._connection.record_answer()
        return in_time

    def _record_unanswered(self, container: str, problem: str) -> None:
        """Logged once for each container, and each problem."""
        if self.unanswered.failed(container, problem):
            log.error(
                "the Docker Engine does not answer for container %.12s, or not so that it is understood: %s",
                container,
                problem,
            )


def _describe_running(record: ContainerRecord, seen: Inspection | None) -> Running:
    if seen is None:  # it may have the device's network
        return Running(record.id, record.name, network=False)
    return Running(record.id, record.name, seen.pid, seen.own_network, seen.cpu_limit, seen.memory_limit)


def _needs_inspection(event: Event) -> bool:
    killed = event.action == "die" and event.attributes.get("exitCode") == "137"
    return killed or event.action in ("start", "health_status", "update")
