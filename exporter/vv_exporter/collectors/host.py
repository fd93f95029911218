"""The machine: processors, load, memory, temperatures, pressure, start.

    vv_host_cpu_seconds_total{mode="idle"} 81234.5
    vv_host_pressure_waiting_seconds_total{resource="io"} 12.7

What the machine does not have (sensors, the kernel's pressure stall information) is left out without an error.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
from prometheus_client.core import Metric as Family
from prometheus_client.core import UnknownMetricFamily

from vv_exporter.context import Context
from vv_exporter.metrics import Labels, counters, gauges
from vv_exporter.metrics import host as catalogue

# The kernel counts guests' time in `user` and `nice` too (proc(5), /proc/stat): only once here, so that modes add up.
_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


class Host:
    """Reads /proc and /sys at each scrape."""

    name = "host"

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._pressure = proc / "pressure"

    def collect(self) -> Iterable[Family]:
        """All families of the machine."""
        times = psutil.cpu_times()
        modes = [((mode,), getattr(times, mode), None) for mode in _MODES if hasattr(times, mode)]
        yield counters(catalogue.CPU_SECONDS, modes)
        yield counters(catalogue.PRESSURE, [(labels, seconds, None) for labels, seconds in pressure(self._pressure)])
        yield gauges(catalogue.TEMPERATURE, temperatures())
        yield _cpu_count()
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        load = os.getloadavg()
        for metric, value in {
            catalogue.LOAD1: load[0],
            catalogue.LOAD5: load[1],
            catalogue.LOAD15: load[2],
            catalogue.MEMORY_TOTAL: memory.total,
            catalogue.MEMORY_AVAILABLE: memory.available,
            catalogue.SWAP_TOTAL: swap.total,
            catalogue.SWAP_FREE: swap.free,
            catalogue.BOOT_TIME: psutil.boot_time(),
        }.items():
            yield gauges(metric, [((), value)])


def _cpu_count() -> Family:
    # Exposed without a type: linters take a gauge whose name ends in `_count` for a part of a histogram.
    metric = catalogue.CPU_COUNT
    return UnknownMetricFamily(metric.name, metric.help, value=os.cpu_count() or 1)


def pressure(folder: Path) -> Iterator[tuple[Labels, float]]:
    """Seconds in which some task waited, by resource; nothing on a kernel without PSI (before 4.20, or off)."""
    for resource in ("cpu", "io", "memory"):
        try:
            text = (folder / resource).read_text(encoding="ascii")
        except OSError:
            continue
        found = re.search(r"^some .*\btotal=(\d+)", text, re.MULTILINE)
        if found:
            yield (resource,), int(found[1]) / 1e6


def temperatures() -> Iterator[tuple[Labels, float]]:
    """Degrees by chip and sensor; sensors without a name, or with one that others have too, are numbered."""
    for chip, sensors in psutil.sensors_temperatures().items():
        named: Counter[str] = Counter()
        for sensor in sensors:
            name = sensor.label or "sensor"
            named[name] += 1
            if sensor.current is not None:
                yield (chip, name if named[name] == 1 else f"{name} {named[name]}"), sensor.current


def build(_: Context) -> Host:
    """The machine this process runs on; in a container /proc and /sys are still the machine's."""
    return Host()
