"""What turns the store or a probe into series.

Each module of this folder holds one collector and a function `build(context)` that makes it; a module that lies here
is registered. `guard.py` (in the package above) runs them, each with a deadline.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from prometheus_client.core import Metric as Family

from vv_exporter._clock import boot_id, boottime
from vv_exporter.alert_path.beats import Beats

if TYPE_CHECKING:
    from vv_exporter.settings import Settings
    from vv_exporter.store import Store


@dataclass(frozen=True, slots=True)
class Context:
    """What collectors and services are built from. `clock` gives Unix seconds, `monotonic` CLOCK_MONOTONIC.

    `boottime` gives seconds since the start of the device, whose id is `boot`. `beats` are those of the alert path,
    which scrapes give away and the webhook brings back.
    """

    settings: Settings
    store: Store
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    boottime: Callable[[], float] = boottime
    boot: str = field(default_factory=boot_id)
    beats: Beats = field(default_factory=Beats)


class Collector(Protocol):
    """One family of series. `collect` may be slow or raise: it then costs this collector's own series only."""

    @property
    def name(self) -> str:
        """Value of the label `collector`."""
        ...

    def collect(self) -> Iterable[Family]:
        """The families as they are now."""
        ...


@runtime_checkable
class Service(Protocol):
    """Work in the background; a collector that has such work is a service too."""

    def start(self) -> None:
        """Begin; returns at once."""
        ...

    def stop(self) -> None:
        """End; returns within a few seconds, whatever hangs."""
        ...


def discover() -> Iterator[Callable[[Context], Collector]]:
    """The `build` function of every module in this folder whose name does not begin with `_`."""
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        build: Callable[[Context], Collector] = importlib.import_module(f"{__name__}.{module.name}").build
        yield build
