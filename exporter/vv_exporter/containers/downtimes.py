"""For how long each container that should run has not, as those see it who look again and again.

When a container ended is known by the Engine's clock, which may be that of another machine, or be set. It is believed
as far as that is after the look before, at which the container was not down yet; from there on the time is measured.
While the Engine does not say how containers are, none is down for longer: those that it starts again after its own
restart were never down for what nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import ContainerRecord, slot_of

_ENDED = ("exited", "dead")


class Downtimes:
    """Call `update` at each look."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str, int], float] = {}
        self._looked: float | None = None
        self._unknown_seconds = 0.0  # in which nobody knew how containers are

    def update(
        self, down: Iterable[ContainerRecord], clock: float, monotonic: float, *, current: bool = True
    ) -> list[tuple[ContainerRecord, float]]:
        """These containers, each with the seconds for which it has been down. `clock` is in Unix seconds.

        `current`: whether the Engine says how containers are.
        """
        now = monotonic - self._unknown_seconds
        earliest = now if self._looked is None else self._looked
        if not current:
            self._unknown_seconds += now - earliest
            now = earliest
        before, self._since, self._looked = self._since, {}, now
        found = []
        for record in down:
            run = record.name, record.id, record.started
            age = max(0.0, clock - record.finished / SECOND) if record.finished else 0.0
            since = self._since[run] = before.get(run, max(earliest, now - age))
            found.append((record, now - since))
        return found


def has_crashed(record: ContainerRecord, supervised: Set[str]) -> bool:
    """Whether it ended by itself or was killed, and nothing is about to start it again.

    `supervised`: names of those that the self-monitor restarts. What an operator stopped, what Docker's policy, its
    coming Engine or a swarm starts, and what was removed or not started yet, may be on its way, too.
    """
    underway = record.stopped or record.booting or record.name in supervised or bool(slot_of(record.place))
    return bool(record.finished) and record.state in _ENDED and not underway
