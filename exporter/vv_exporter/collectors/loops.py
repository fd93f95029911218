"""What the exporter does again and again: when each loop last ended a round, and how, and when the next is due.

::

    vv_exporter_loop_last_run_timestamp_seconds{loop="journal"} 1.7e+09
    vv_exporter_loop_due_timestamp_seconds{loop="journal"} 1.7e+09
    vv_exporter_loop_last_run_success{loop="journal"} 1.0
    vv_exporter_loop_failures_total{loop="journal"} 0.0
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import Metric as Family

from vv_exporter.context import Context
from vv_exporter.metrics import counters, gauges
from vv_exporter.metrics.exporter import LOOP_DUE, LOOP_FAILURES, LOOP_LAST_RUN, LOOP_SUCCESS
from vv_exporter.runtime.loop import LastRound, Loop, started


class LoopsCollector:
    """Shows the loops that were started and not stopped. `clock` gives Unix seconds."""

    name = "loops"

    def __init__(self, clock: Callable[[], float], loops: Callable[[], Sequence[Loop]] = started) -> None:
        self._clock = clock
        self._loops = loops

    def collect(self) -> Iterable[Family]:
        """All families of loops. A clock that was set meanwhile is followed: what is shown is how long ago it was."""
        now, loops = self._clock(), self._loops()
        seen = [((loop.name,), loop.last_round, loop.failures) for loop in loops]
        yield gauges(LOOP_LAST_RUN, [(labels, _round_time(last, now)) for labels, last, _ in seen])
        behind = time.monotonic() - now
        yield gauges(LOOP_DUE, [((loop.name,), round(loop.due - behind, 1)) for loop in loops if not loop.may_hang])
        yield gauges(LOOP_SUCCESS, [(labels, last.succeeded) for labels, last, _ in seen if last is not None])
        yield counters(LOOP_FAILURES, [(labels, float(failures), None) for labels, _, failures in seen])


def _round_time(last: LastRound | None, now: float) -> float:
    """In tenths of a second: what does not change is the same in each scrape."""
    return 0.0 if last is None else round(now - last.seconds_ago(), 1)


def build(context: Context) -> LoopsCollector:
    """Make the collector."""
    return LoopsCollector(context.clock)
