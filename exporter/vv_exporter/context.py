"""What collectors and services are built from, and what a service is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from vv_exporter.alert_path.beats import Beats
from vv_exporter.common.clock import boot_id, boottime

if TYPE_CHECKING:
    from vv_exporter.settings import Settings
    from vv_exporter.state.store import Store


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


class Service(Protocol):
    """Work in the background."""

    def start(self) -> None:
        """Begin; returns at once."""
        ...

    def stop(self) -> None:
        """End; returns within a few seconds, whatever hangs."""
        ...
