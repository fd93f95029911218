"""Containers, as the worker that follows the Docker Engine last knew them; a scrape never asks the Engine.

What they use is read from the kernel's files at each scrape, or, where they cannot be read, is what the Engine answered
last in the background. Such series are there while the container runs. Their counters are those of its present cgroup:
they begin at 0 again, under the same name, when it is restarted or recreated, as Prometheus expects of counters.

While the Engine does not answer, containers keep their last known state, and `vv_docker_up` is 0. It is absent on a
device where Docker was neither configured nor ever seen::

    vv_docker_up 1.0
    vv_docker_request_success{request="inspect"} 1.0
    vv_container_info{essential="true",image="agent_dvr:1",name="agent_dvr",project="vv",service="agent_dvr"} 1.0
    vv_container_expected{name="agent_dvr"} 1.0
    vv_container_running{name="agent_dvr"} 1.0
    vv_container_state{name="agent_dvr",state="running"} 1.0
    vv_container_health{name="agent_dvr",status="healthy"} 1.0
    vv_container_restarts_total{cause="policy",name="agent_dvr"} 2.0
    vv_container_exits_total{name="agent_dvr",reason="error"} 2.0
    vv_container_cpu_seconds_total{name="agent_dvr"} 81.4
    vv_container_memory_working_set_bytes{name="agent_dvr"} 5.7e+07
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.containers.asker import Asker
from vv_exporter.containers.cgroups import Cgroups
from vv_exporter.containers.expectation import expected, listed
from vv_exporter.containers.known_groups import KnownGroups
from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import CONTAINERS, GONE, ContainerRecord
from vv_exporter.containers.resources import Usage
from vv_exporter.containers.sampler import Sampler
from vv_exporter.containers.watch import ContainerWatch
from vv_exporter.context import Context
from vv_exporter.metrics import Labels, Metric, counters, gauges
from vv_exporter.metrics.containers import (
    CPU_LIMIT,
    CPU_SECONDS,
    DOCKER_UP,
    EVENT_STREAM,
    EXITS,
    EXPECTED,
    HEALTH,
    HEALTH_STREAK,
    INFO,
    INSPECTED,
    LAST_EXIT_CODE,
    MEMORY,
    MEMORY_LIMIT,
    OOM_KILLS,
    PIDS,
    PODMAN,
    PROXY_REFUSED,
    READ,
    RECEIVED,
    REQUESTS_ANSWERED,
    RESTARTS,
    RUNNING,
    START_TIME,
    STATE,
    TRANSMITTED,
    WRITTEN,
)
from vv_exporter.services import Services

Value = tuple[Labels, float]
USED: dict[Metric, Callable[[Usage], float | None]] = {
    CPU_SECONDS: lambda usage: usage.cpu_seconds,
    CPU_LIMIT: lambda usage: usage.cpu_limit,
    MEMORY: lambda usage: usage.memory,
    MEMORY_LIMIT: lambda usage: usage.memory_limit,
    RECEIVED: lambda usage: usage.received,
    TRANSMITTED: lambda usage: usage.transmitted,
    READ: lambda usage: usage.read,
    WRITTEN: lambda usage: usage.written,
    PIDS: lambda usage: usage.pids,
}


class ContainersCollector:
    """Shows containers."""

    name = "containers"

    def __init__(self, context: Context, watch: ContainerWatch, stats: Asker) -> None:
        settings = context.settings
        self._store = context.store
        self._settings = settings.containers
        self._watch = watch
        cgroups = Cgroups(settings.host_proc, settings.host_sys, os.cpu_count() or 1)
        self._sampler = Sampler(KnownGroups(cgroups, context.monotonic), context.monotonic)
        self._asker = stats

    def collect(self) -> Iterable[Family]:
        """The last known state."""
        known = list(self._store.docs(CONTAINERS).values())
        healthy = [record for record in known if record.running and record.health]
        yield gauges(DOCKER_UP, self._engine_value(self._watch.up))
        podman = self._watch.is_podman
        yield gauges(PODMAN, [] if podman is None else [((), float(podman))])
        yield gauges(EVENT_STREAM, self._engine_value(self._watch.following))
        yield gauges(REQUESTS_ANSWERED, self._unanswered_requests())
        refused = sorted(self._watch.refused_by_proxy.items())
        yield counters(PROXY_REFUSED, (((socket,), float(count), None) for socket, count in refused))
        yield gauges(
            INSPECTED, (_value_of(one, self._watch.is_inspected(one.id)) for one in known if one.state != GONE)
        )
        yield gauges(INFO, (self._info_value(record) for record in known))
        yield gauges(EXPECTED, [*self._expected_values(known), *self._never_seen(known, 1.0)])
        yield gauges(RUNNING, [*(_value_of(record, record.running) for record in known), *self._never_seen(known, 0.0)])
        yield gauges(STATE, (((record.name, record.state), 1.0) for record in known))
        yield gauges(HEALTH, (((record.name, record.health), 1.0) for record in healthy))
        yield gauges(HEALTH_STREAK, (_value_of(record, record.streak) for record in healthy))
        yield gauges(LAST_EXIT_CODE, (_value_of(one, one.exit_code) for one in known if one.exit_code is not None))
        yield gauges(START_TIME, (_value_of(record, record.started / SECOND) for record in known if record.started))
        yield from (stored(self._store, metric) for metric in (RESTARTS, EXITS, OOM_KILLS))
        yield from self._usage_families()

    def _usage_families(self) -> Iterator[Family]:
        """What the containers that run use."""
        running = self._watch.running
        read, unreadable = self._sampler.sample(running)
        known = {**self._asker.sample(one for one in running if one.id in unreadable), **read}
        usages = [(one.name, known[one.id]) for one in running if one.id in known]
        for metric, get in USED.items():
            values = [((name,), value) for name, usage in usages if (value := get(usage)) is not None]
            if metric.type == "counter":
                yield counters(metric, ((labels, value, None) for labels, value in values))
            else:
                yield gauges(metric, values)

    def _engine_value(self, value: bool) -> Iterator[Value]:
        if self._watch.present:
            yield (), float(value)

    def _unanswered_requests(self) -> Iterator[Value]:
        """What is not answered, of an Engine that answers."""
        answered = dict(self._watch.requests_answered)
        if answered and self._asker.asked:
            answered["stats"] = not self._asker.unanswered
        return (((request,), float(value)) for request, value in answered.items())

    def _info_value(self, record: ContainerRecord) -> Value:
        essential = "true" if record.name in self._settings.essential else "false"
        return (record.name, record.service, record.project, record.image, essential), 1.0

    def _expected_values(self, known: list[ContainerRecord]) -> Iterator[Value]:
        return (_value_of(record, expected(record, self._settings)) for record in known)

    def _never_seen(self, known: list[ContainerRecord], value: float) -> Iterator[Value]:
        """Containers that are listed and that the Engine never had, once it was asked."""
        if self._watch.settled:
            names = listed(self._settings) - {record.name for record in known}
            yield from (((name,), value) for name in sorted(names))


def _value_of(record: ContainerRecord, value: float) -> Value:
    return (record.name,), float(value)


def build(services: Services) -> ContainersCollector:
    """Make the collector."""
    return ContainersCollector(services, services.containers, services.container_stats)
