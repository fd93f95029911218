"""Notices that the clock was set, in one place, and lets everything that is kept follow it.

What a clock shows less the time since the start of the device (CLOCK_BOOTTIME, which goes on in sleep) stays the same
until somebody sets it. The store asks at the beginning of each transaction, and before each scrape: so nothing is ever
decided, and nothing shown, by times of a clock that has been set since.

1. Within a boot the step is known: what was kept since the start of the device goes along, and keeps its age.
2. After a start of the device, or of this program, nothing is known of steps in between but this: no time that has
   been can lie in the future. What does counts as now.

The history is only moved, never cut off at now, when the device has just started: a clock without a battery is behind
until the network sets it, and what it cannot have seen yet is true. `settle_history` does that later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from vv_exporter.common.clock import isoformat, span
from vv_exporter.common.times import EARLIEST, Move
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics import all_metrics
from vv_exporter.metrics.exporter import CLOCK_STEPS
from vv_exporter.state.store import KINDS, Kind, Series, Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

log = logging.getLogger(__name__)

_FORWARD, _BACK = sentence("The clock was set forward by {time}"), sentence("The clock was set back by {time}")
STEP_SECONDS = 3.0
"""A change of the clock that is no slewing; NTP slews by 0.5 ms a second at most."""
DRIFT_SECONDS = 1.0
"""Slewing after which the offset is written down anew."""
NOTABLE_SECONDS = 60.0
"""A step from which on it is more than a correction."""


class ClockOffset(msgspec.Struct, frozen=True):
    """What the clock showed at the start of the device `boot`, as it was set last (Unix seconds)."""

    boot: str
    started: float


OFFSET: Kind[ClockOffset] = Kind("clock_offset", ClockOffset)


class Timekeeper:
    """Of one store. `boottime` gives seconds since the start of the device, `boot` is that start's id."""

    def __init__(self, boottime: Callable[[], float], boot: str) -> None:
        self._boottime = boottime
        self._boot = boot
        self._known: float | None = None
        self._seen: float | None = None

    def is_set(self, now: float) -> bool:
        """Whether the clock, which shows `now`, was set since `follow` last took note, or nobody ever did."""
        return self._known is None or abs(now - self._boottime() - self._known) > STEP_SECONDS

    def follow(self, tx: Transaction, store: Store) -> None:
        """Let all that is kept follow the clock, if it was set. What is done counts with `followed`."""
        offset = tx.now - self._boottime()
        before = tx.get(OFFSET, "")
        if self._known is None:
            same = before is not None and before.boot == self._boot
            step = offset - before.started if before is not None and same else 0.0
            self._move_times(tx, store, step if abs(step) > STEP_SECONDS else 0.0, offset)
        elif abs(offset - self._known) > STEP_SECONDS:
            self._move_times(tx, store, offset - self._known, offset)
        if before is None or before.boot != self._boot or abs(offset - before.started) > DRIFT_SECONDS:
            tx.put(OFFSET, "", ClockOffset(self._boot, offset))
        self._seen = offset

    def followed(self) -> None:
        """It is written down."""
        self._known = self._seen

    def _move_times(self, tx: Transaction, store: Store, step: float, offset: float) -> None:
        if not step and tx.now < EARLIEST:
            return  # the clock is not set yet, and knows nothing of what has been
        since = offset - step - STEP_SECONDS  # by the clock as it was set; it may have been slewed a little
        move = Move(tx.now, since, tx.now - step, step) if step else Move(tx.now)
        move = move._replace(begun=offset)
        _move_series(tx, store, move)
        for kind in tuple(KINDS.values()):
            for key, document in store.docs(kind).items():
                moved = move.document(document)
                if moved is not document:
                    tx.put(kind, key, moved)
        if step:
            tx.move_history(move.since, move.until, move.by)
            _report_step(tx, step)


def _move_series(tx: Transaction, store: Store, move: Move) -> None:
    for metric in all_metrics().values():
        is_time = metric.type == "gauge" and metric.name.endswith("_timestamp_seconds")
        for labels, series in store.series(metric):
            value = move.past(series.value) if is_time else series.value
            moved = Series(value, move.past(series.created), series.counts)
            if moved != series:
                tx.series[metric.name, labels] = moved


def _report_step(tx: Transaction, step: float) -> None:
    direction = "forward" if step > 0 else "back"
    tx.inc(CLOCK_STEPS, (direction,))
    title = (_FORWARD if step > 0 else _BACK).of(time=span(abs(step)))
    log.warning("%s", title)
    details = sentence(
        "It showed {time}. What was kept since the start of the device follows it.", time=isoformat(tx.now - step)
    )
    severity = "warning" if abs(step) >= NOTABLE_SECONDS else "info"
    add_to_timeline(tx, tx.now, Entry("clock.set", title, severity, "clock", details))
