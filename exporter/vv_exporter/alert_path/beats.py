"""Beats: given away with each scrape, and known again when Alertmanager delivers them.

Times are of a clock that stands still while nobody looks: a machine that slept, or an exporter that was stopped, has
heard nothing meanwhile, which proves nothing. A clock that is set changes no age, since a beat is looked up and not
subtracted.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from vv_exporter.alert_path.state import PathState

LONGEST_STEP_SECONDS = 20.0
"""More between two looks has passed only when nobody could look; a round that asks servers which hang takes less."""
SHORTEST_SECONDS = 1.0  # between two beats: whoever asks within it is shown the same
MAX_BEATS = 4096  # that are known again: more than an hour of a beat a second
DECIMALS = 3  # of the value: milliseconds


class AwakeClock:
    """Seconds in which somebody called `tick` at least every `LONGEST_STEP_SECONDS`."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._before = monotonic()
        self._total = 0.0

    def tick(self) -> float:
        """Go on, and give the time."""
        self._total = self.now()
        self._before = self._monotonic()
        return self._total

    def now(self) -> float:
        """The time."""
        return self._total + min(max(self._monotonic() - self._before, 0.0), LONGEST_STEP_SECONDS)


class Arrival(NamedTuple):
    """A beat that came back: when it was given and arrived (awake seconds), and when that was (Unix seconds)."""

    given: float
    arrived: float
    time: float

    @property
    def latency(self) -> float:
        """Its age when it arrived, in seconds."""
        return self.arrived - self.given


class Beats:
    """Any thread may call its methods."""

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._awake = AwakeClock(monotonic)
        self._given: OrderedDict[float, float] = OrderedDict()
        self._scraped: float | None = None
        self.newest: Arrival | None = None
        """The newest beat that came back."""
        self.verdict: PathState | None = None
        """What the loop found; None where none runs."""

    def now(self) -> float:
        """Awake seconds since the start."""
        with self._lock:
            return self._awake.now()

    def tick(self) -> float:
        """Somebody looks; gives awake seconds since the start."""
        with self._lock:
            return self._awake.tick()

    def show(self) -> float:
        """The beat of now, in Unix seconds."""
        with self._lock:
            now = self._awake.now()
            if self._given:
                value, given = next(reversed(self._given.items()))
                if now - given < SHORTEST_SECONDS:
                    return value
            value = round(self._clock(), DECIMALS)
            self._given.pop(value, None)  # the clock was set back to the very millisecond
            self._given[value] = now
            if len(self._given) > MAX_BEATS:
                self._given.popitem(last=False)
            return value

    def scraped(self) -> None:
        """A Prometheus has asked for `/metrics`."""
        with self._lock:
            self._scraped = self._awake.now()

    def arrived(self, value: float) -> bool:
        """A beat came back. False for one that is not newer than what came before, or was not given in this life."""
        with self._lock:
            given = self._given.get(round(value, DECIMALS))
            if given is None or (self.newest is not None and given <= self.newest.given):
                return False
            self.newest = Arrival(given, self._awake.now(), self._clock())
            return True

    def scraped_age(self) -> float | None:
        """Seconds since a Prometheus asked last; None when none did in this life."""
        with self._lock:
            return None if self._scraped is None else self._awake.now() - self._scraped

    def age(self, value: float) -> float:
        """How long ago a beat was given; one of an earlier life by the clock."""
        with self._lock:
            given = self._given.get(round(value, DECIMALS))
            return max(self._clock() - value, 0.0) if given is None else self._awake.now() - given
