"""What of the device and its storage keeps footage from being there: noted when it changes, and at the start.

The device was off from the last sign of life of an exporter until its start. It was shut down if that exporter was
stopped, else it lost its power or crashed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from vv_exporter.footage import states
from vv_exporter.footage.ledger import milliseconds
from vv_exporter.footage.states import DEVICE, LASTING
from vv_exporter.state.database import StoreError
from vv_exporter.state.starts import RUNNING
from vv_exporter.state.store import Kind, Store
from vv_exporter.state.timekeeping import STEP_SECONDS

log = logging.getLogger(__name__)

INTERVAL = 5.0
ALIVE_SECONDS = 60.0
"""Seconds between signs of life, each of which is written down with the next commit."""
RESTART_SECONDS = 180.0
"""From the latest sign of life that was written down until the next exporter, where one is started again at once."""
STORAGE_STATES = ("storage_missing", "storage_readonly", "ingest_paused")


class Alive(msgspec.Struct, frozen=True, omit_defaults=True):
    """An exporter was at work then (milliseconds), in the boot of that id, so many seconds after its beginning."""

    boot: str
    at: int
    up: float = 0.0


ALIVE: Kind[Alive] = Kind("footage_alive", Alive)


def note_start(store: Store, boot: str, boottime: float) -> None:
    """Note that the device was off, if it was started since an exporter was at work, or that its clock was set since,
    and that nobody probed DVRs. Before this start is counted.

    `boot` is the id of the device's start ("" where there is none), `boottime` how many seconds ago that was.
    """
    try:
        with store.transaction() as tx:
            alive = tx.get(ALIVE, "")
            if alive is not None and boot and alive.boot != boot:
                state = "device_off" if tx.get(RUNNING, "") is None else "power_lost"
                states.lasted(tx, DEVICE, state, alive.at / 1000, tx.now - boottime)
            elif alive is not None and boot and _clock_was_set(alive, tx.now, boottime):
                states.lasted(tx, DEVICE, "clock_stepped", alive.at / 1000, tx.now)
            if alive is not None:
                states.nobody_probed(tx, alive.at / 1000)
            tx.put(ALIVE, "", Alive(boot, milliseconds(tx.now), boottime))
    except StoreError as error:
        log.error("whether the device was off could not be noted: %s", error)


def _clock_was_set(alive: Alive, now: float, boottime: float) -> bool:
    """Whether it was set forward since, in the little time that a restart takes: after longer nobody knows when."""
    passed = boottime - alive.up
    return alive.up > 0.0 and passed <= RESTART_SECONDS and now - alive.at / 1000 - passed > STEP_SECONDS


class DeviceStates:
    """Notes the states of storage and clock. `storage` gives which of `STORAGE_STATES` hold, None if nobody knows."""

    def __init__(
        self,
        store: Store,
        storage: Callable[[], frozenset[str] | None],
        clock: Callable[[], float],
        boottime: Callable[[], float],
        boot: str,
    ) -> None:
        self._store = store
        self._storage = storage
        self._clock = clock
        self._boottime = boottime
        self._boot = boot
        self._looked: tuple[float, float] | None = None  # what both clocks showed
        self._alive_at = boottime()

    def round(self) -> None:
        """Look once. Raises `StoreError`."""
        now, since_start = self._clock(), self._boottime()
        self._note_clock(now, since_start)
        self._note_storage(now)
        if since_start - self._alive_at >= ALIVE_SECONDS:
            with self._store.transaction() as tx:
                tx.may_wait = True  # the minute's sample takes it along
                tx.put(ALIVE, "", Alive(self._boot, milliseconds(now), since_start))
            self._alive_at = since_start

    def _note_clock(self, now: float, since_start: float) -> None:
        """A step forward leaves a time out: that the clock showed before it, until what it showed behind it."""
        before = self._looked
        if before is not None and now - before[0] - (since_start - before[1]) > STEP_SECONDS:
            with self._store.transaction() as tx:
                states.lasted(tx, DEVICE, "clock_stepped", before[0], now)
        self._looked = now, since_start

    def _note_storage(self, now: float) -> None:
        holding = self._storage()
        known = self._store.document(LASTING, DEVICE)
        lasting = {state for state in (known.states if known is not None else ()) if state in STORAGE_STATES}
        if holding is None or holding == lasting:
            return
        with self._store.transaction() as tx:
            states.end(tx, DEVICE, now, *(lasting - holding))
            for state in sorted(holding - lasting):
                states.begin(tx, DEVICE, state, now)
