"""What must reach a receiver that may be away: kept in the store, sent in order, one at a time.

A parcel is put into the outbox in the transaction that decides on it, and leaves it when it was taken, when it was
refused for good, or when a bound is exceeded; the latter two are logged and counted. A kill after the receiver took a
parcel and before that was written down sends it once more, with the same `key`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.common.clock import isoformat
from vv_exporter.common.times import UnixTime
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.runtime.loop import Backoff, Loop
from vv_exporter.state.openalerts import SEVERITIES
from vv_exporter.state.store import Kind, Store, Transaction

log = logging.getLogger(__name__)

MAX_PARCELS = 2000
MAX_BYTES = 16 * 1024 * 1024
MAX_AGE = 7 * 86400.0  # seconds
BACKOFF_MAX = 60.0  # seconds between tries while the receiver is away
MAX_ASKED = 3600.0  # the longest pause that a receiver can ask for, in seconds
OK, FAILED, REFUSED, DROPPED = RESULTS = ("ok", "failed", "refused", "dropped")


class Parcel(msgspec.Struct, frozen=True):
    """`key` tells the receiver when it has had this before. `added` is Unix seconds, `severity` that of the alert."""

    key: str
    body: str
    added: UnixTime
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    severity: str = ""

    @property
    def importance(self) -> int:
        """Of how much weight it is; what has no severity counts as an error."""
        return SEVERITIES.index(self.severity if self.severity in SEVERITIES else "error")


class AwayError(DeliveryError):
    """The receiver may take it later; not before `after` seconds if it said so."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class RefusedError(DeliveryError):
    """The receiver will never take it."""


class Carrier(Protocol):
    """What brings a parcel to the receiver."""

    def send(self, parcel: Parcel) -> None:
        """Returns when it was taken. Raises `AwayError` or `RefusedError`, whose texts hold no secret."""
        ...


class Outbox:
    """What waits for one destination."""

    def __init__(self, destination: str) -> None:
        self.destination = destination
        self._kind = Kind(f"outbox_{destination}", Parcel)

    def put(self, tx: Transaction, parcel: Parcel) -> None:
        """Add a parcel behind the others; if it is too many, or too much, the oldest of the lowest severity go."""
        waiting = tx.docs(self._kind)
        # Numbers only give the order: it is no harm that an emptied outbox begins at 0 again.
        waiting[f"{max(map(int, waiting), default=-1) + 1:016d}"] = parcel
        tx.put(self._kind, max(waiting), parcel)
        size = sum(len(one.body) for one in waiting.values())
        while len(waiting) > 1 and (len(waiting) > MAX_PARCELS or size > MAX_BYTES):
            number = min(waiting, key=lambda one: (waiting[one].importance, one))
            size -= len(waiting.pop(number).body)
            self.drop(tx, number, "more wait than is kept")

    def drop(self, tx: Transaction, number: str, why: str) -> None:
        """Give up on a parcel."""
        parcel = tx.get(self._kind, number)
        if parcel is not None:
            tx.delete(self._kind, number)
            tx.inc(RELAY_DELIVERIES, (self.destination, DROPPED))
            log.error("%s: given up on %s of %s: %s", self.destination, parcel.key, isoformat(parcel.added), why)

    def remove(self, tx: Transaction, number: str, result: str) -> None:
        """A parcel has had its end."""
        tx.delete(self._kind, number)
        tx.inc(RELAY_DELIVERIES, (self.destination, result))

    def clear(self, tx: Transaction) -> None:
        """Throw everything away."""
        for number in tx.docs(self._kind):
            tx.delete(self._kind, number)

    def when_changed(self, store: Store, wake: Callable[[], None]) -> None:
        """Have `wake` called when parcels come or go."""
        store.when_changed(self._kind, wake)

    def waiting(self, store: Store) -> dict[str, Parcel]:
        """What is there, by number, the oldest first."""
        return dict(sorted(store.docs(self._kind).items()))


def _nobody(tx: Transaction, parcel: Parcel, result: str) -> None:
    """Nobody wants to know."""


class Courier:
    """Empties an outbox, for as long as it runs. `note` is told of each parcel's end, in its transaction."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        carrier: Carrier,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        note: Callable[[Transaction, Parcel, str], None] = _nobody,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._note = note
        self._carrier = carrier
        self._clock = clock
        self._backoff = Backoff(BACKOFF_MAX, monotonic)
        self._loop = Loop(outbox.destination, f"{outbox.destination}: events", self.round)
        outbox.when_changed(store, self._loop.wake)

    def start(self) -> None:
        """Begin to send."""
        self._loop.start()

    def stop(self) -> None:
        """End; what was not sent is sent after the next start."""
        self._loop.stop()

    def round(self) -> bool:
        """Send what waits, until it is all sent or the receiver is away. Gives whether it is away."""
        self._drop_old()
        if not self._backoff.ready():
            return True
        for number, parcel in self._outbox.waiting(self._store).items():
            if self._loop.stopping or not self._delivered(number, parcel):
                return True
        return False

    def _delivered(self, number: str, parcel: Parcel) -> bool:
        """Try one; false when the receiver is away."""
        name = self._outbox.destination
        try:
            self._carrier.send(parcel)
        except AwayError as error:
            if not self._backoff.failures:
                log.warning("%s: events wait, will try again: %s", name, error)
            self._backoff.failed(min(error.after, MAX_ASKED))
            with self._store.transaction() as tx:
                tx.inc(RELAY_DELIVERIES, (name, FAILED))
            return False
        except RefusedError as error:
            log.error("%s: given up on %s: %s", name, parcel.key, error)
            result = REFUSED
        except Exception as error:  # of this parcel: the others must not wait behind it for ever
            # Its text may hold the address.
            log.error("%s: given up on %s: it cannot be sent (%s)", name, parcel.key, type(error).__name__)
            result = REFUSED
        else:
            result = OK
        if self._backoff.failures:
            log.info("%s: answers again", name)
        self._backoff.succeeded()
        with self._store.transaction() as tx:
            self._outbox.remove(tx, number, result)
            self._note(tx, parcel, result)
        return True

    def _drop_old(self) -> None:
        oldest = self._clock() - MAX_AGE
        old = [number for number, parcel in self._outbox.waiting(self._store).items() if parcel.added < oldest]
        if old:
            with self._store.transaction() as tx:
                for number in old:
                    self._outbox.drop(tx, number, f"it has waited for {MAX_AGE / 86400:.0f} days")
