"""Notices that nothing ran for a while: a machine that was suspended, or all of whose processes were stopped.

Known by the wall clock, since Prometheus and Alertmanager judge by it: samples are too old then, and alerts that nobody
sent again have ended. A clock that is set far ahead (a virtual machine that was paused) does the same to them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from vv_exporter.alert_path.beats import LONGEST_STEP_SECONDS

TICK_SECONDS = 1.0
"""Between two ticks. Prometheus evaluates a moment after waking, and Alertmanager notifies within a minute: what fires
should be held before."""
HARMLESS_SECONDS = 60.0
"""Prometheus looks back five minutes by default, and Alertmanager holds for three what is not sent again."""


class Pause(NamedTuple):
    """A time in which nothing ran, in Unix seconds."""

    since: float
    until: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.until - self.since


class Standstill:
    """Call `tick` every `TICK_SECONDS`, from any thread."""

    def __init__(self, clock: Callable[[], float], after: float) -> None:
        """`after` is `VV_ALERT_PATH_AFTER`, in seconds: the servers forget sooner where it is short."""
        self._clock = clock
        self._longest = max(min(after / 3, HARMLESS_SECONDS), LONGEST_STEP_SECONDS)
        self._lock = threading.Lock()
        self._before = clock()
        self._pause: Pause | None = None

    def tick(self) -> bool:
        """Go on. Gives whether nothing ran before it."""
        with self._lock:
            before, self._before = self._before, self._clock()
            is_pause = self._before - before > self._longest
            if is_pause:
                self._pause = Pause(before if self._pause is None else self._pause.since, self._before)
            return is_pause

    def take(self) -> Pause | None:
        """The time in which nothing ran, once."""
        self.tick()
        with self._lock:
            pause, self._pause = self._pause, None
            return pause
