"""Where containers' files were found is kept from one scrape to the next, and for a while what limits they have.

To find a container's groups costs more than to read them. A place is used again while it is still that container's:

1. The Engine names the same process. A container that was restarted has another one.
2. Its group is there. One that was made again at its place is read like the one before: nothing is kept open.
3. Its process, by which its network is read, is still in its group. A process id that was given to another is not.

Limits change by hand only (`docker update`), and are read again after `LIMITS_SECONDS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from vv_exporter.containers.cgroups import Cgroups, Limits, Place
from vv_exporter.containers.resources import Running, Usage

LIMITS_SECONDS = 30.0
MAX_KNOWN = 5000  # containers; beyond it those that were found first are found again


class _Known(NamedTuple):
    pid: int
    place: Place


class KnownGroups:
    """As `Cgroups`, with a memory. Any thread may use it: one that hangs in a file is left behind."""

    def __init__(self, cgroups: Cgroups, monotonic: Callable[[], float]) -> None:
        self._cgroups = cgroups
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._limits: dict[str, tuple[Limits, float]] = {}

    def locate(self, container: Running) -> Place | None:
        """Where the container's files are; None if they are not where they are expected."""
        known = self._known.get(container.id)
        if known is not None and self._is_its_own(known, container):
            return known.place
        self._known.pop(container.id, None)
        place = self._cgroups.locate(container)
        if place is not None:
            _make_room(self._known)
            self._known[container.id] = _Known(container.pid, place)
            self._limits.pop(place.group, None)
        return place

    def search(self) -> dict[str, str]:
        """As `Cgroups.search`."""
        return self._cgroups.search()

    def place(self, container: Running, path: str) -> Place | None:
        """As `Cgroups.place`."""
        return self._cgroups.place(container, path)

    def read(self, place: Place) -> Usage | None:
        """What is used now; None if the group is gone."""
        now = self._monotonic()
        limits, until = self._limits.get(place.group, (None, now))
        if limits is None or now >= until:
            limits = self._cgroups.limits(place)
            _make_room(self._limits)
            self._limits[place.group] = limits, now + LIMITS_SECONDS
        return self._cgroups.read(place, limits)

    def _is_its_own(self, known: _Known, container: Running) -> bool:
        place = known.place
        return (
            known.pid == container.pid
            and os.path.isdir(place.group)  # noqa: PTH112 - pathlib takes several times as long
            and bool(place.net) == container.network
            and (place.net is None or self._cgroups.is_process_of(place.pid, container.id))
        )


def _make_room(kept: dict[str, Any]) -> None:
    while len(kept) >= MAX_KNOWN:
        kept.pop(next(iter(kept)), None)
