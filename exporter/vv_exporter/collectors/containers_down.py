"""Containers that should run and do not. In health there is no such series, so that it can be asked for often.

::

    vv_container_down_seconds{crashed="true",essential="true",exit_code="137",name="agent_dvr",state="exited"} 4.2
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import Metric as Family

from vv_exporter.containers.downtimes import Downtimes, has_crashed
from vv_exporter.containers.expectation import expected, listed
from vv_exporter.containers.records import CONTAINERS, ContainerRecord
from vv_exporter.containers.watch import ContainerWatch
from vv_exporter.context import Context
from vv_exporter.journal.folds.supervisor import SUPERVISED
from vv_exporter.metrics import Labels, gauges
from vv_exporter.metrics.containers import DOWN
from vv_exporter.services import Services

BOOT_SECONDS = 120.0
"""After a start of the device, in which Docker starts the containers."""


class ContainersDownCollector:
    """Shows them, once the Engine was asked which there are."""

    name = "containers_down"

    def __init__(self, context: Context, is_settled: Callable[[], bool], is_current: Callable[[], bool]) -> None:
        self._context = context
        self._settings = context.settings.containers
        self._is_settled = is_settled
        self._is_current = is_current
        self._downtimes = Downtimes()

    def collect(self) -> Iterable[Family]:
        """The family."""
        down = self._find_down() if self._is_settled() else []
        if self._context.boottime() < BOOT_SECONDS:
            down = []
        supervised = self._supervised_names() if down else set()
        yield gauges(DOWN, ((self._labels(record, supervised), seconds) for record, seconds in down))

    def _find_down(self) -> list[tuple[ContainerRecord, float]]:
        clock, monotonic = self._context.clock(), self._context.monotonic()
        return self._downtimes.update(self._down_records(), clock, monotonic, current=self._is_current())

    def _down_records(self) -> Iterator[ContainerRecord]:
        known = self._context.store.docs(CONTAINERS)
        for record in known.values():
            if not record.running and expected(record, self._settings):
                yield record
        for name in sorted(listed(self._settings) - {record.name for record in known.values()}):
            yield ContainerRecord(name=name, id="", state="")  # the Engine never had it

    def _supervised_names(self) -> set[str]:
        return {name for name, one in self._context.store.docs(SUPERVISED).items() if not one.gave_up}

    def _labels(self, record: ContainerRecord, supervised: set[str]) -> Labels:
        essential, crashed = record.name in self._settings.essential, has_crashed(record, supervised)
        code = "" if record.exit_code is None else str(record.exit_code)
        return record.name, str(essential).lower(), str(crashed).lower(), record.state, code


def build(services: Services) -> ContainersDownCollector:
    """Make the collector."""
    watch: ContainerWatch = services.containers
    return ContainersDownCollector(services, lambda: watch.settled, lambda: watch.current)
