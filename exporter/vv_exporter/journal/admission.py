"""What is believed of the times in an event. Nothing is refused: an alert is told whatever its clock showed.

- A time to come, or from before 2000, counts as now.
- A writer of this boot wrote nothing before the boot: such a time counts as that of the boot. So a clock that was hours
  behind until the network set it makes nothing old.
- A reading of the monotonic clock that is yet to come in this boot counts as none.
- A duration is between 0 and a year.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from vv_exporter.common.times import EARLIEST, LONGEST_SECONDS, admitted, admitted_seconds
from vv_exporter.journal.events import DvrFrames, Event, JobFinished, JobStarted, StageFinished, StageStarted
from vv_exporter.journal.folds import Source

_MEASURED = frozenset({DvrFrames, StageStarted, JobStarted, StageFinished, JobFinished})
ODD_SECONDS = 60.0
"""By how much a time has to be wrong to be worth a word."""


class Admission:
    """For one reader. `boottime` gives seconds since the start of the device `boot`."""

    def __init__(self, monotonic: Callable[[], float], boottime: Callable[[], float], boot: str) -> None:
        self._monotonic = monotonic
        self._boottime = boottime
        self._boot = boot
        self._begun = self._now = self._mono = 0.0

    def admit(self, event: Event, now: float, source: Source) -> Event:
        """The event with times that can be true."""
        if now != self._now:  # once a transaction: there may be millions of events
            self._now, self._begun, self._mono = now, now - self._boottime(), self._monotonic()
        here = bool(self._boot) and source.boot == self._boot
        begun = self._begun if here else EARLIEST
        if begun <= event.ts <= now and (type(event) not in _MEASURED or self._is_measured_well(event)):
            return event
        ts = max(admitted(event.ts, now), begun) if here else admitted(event.ts, now)
        found: dict[str, Any] = {"ts": ts}
        if isinstance(event, DvrFrames):
            found["last"] = min(max(admitted(event.last, now), begun), ts)
        elif isinstance(event, StageStarted | JobStarted):
            if event.mono < 0 or (here and event.mono > self._monotonic()):
                found["mono"] = 0.0
        elif isinstance(event, StageFinished | JobFinished):
            found["seconds"] = admitted_seconds(event.seconds)
        changed = {name: value for name, value in found.items() if value != getattr(event, name)}
        return msgspec.structs.replace(event, **changed) if changed else event

    def _is_measured_well(self, event: Event) -> bool:
        """Whether what the event says beside its time is sure to be believed: nearly always, and quickly found out."""
        if isinstance(event, StageFinished | JobFinished):
            return 0 <= event.seconds <= LONGEST_SECONDS
        # What is not known to lie in the past yet is looked at by the clock.
        return isinstance(event, StageStarted | JobStarted) and 0 <= event.mono <= self._mono


def is_odd(before: Event, after: Event) -> bool:
    """Whether an event's time was so wrong that somebody should look at its writer's clock."""
    return abs(before.ts - after.ts) > ODD_SECONDS
