"""What is posted to one address, as it was written down: the events of the generic webhook."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Protocol

import msgspec

from vv_exporter.channels import ProviderError
from vv_exporter.common.clock import isoformat
from vv_exporter.common.times import UnixTime
from vv_exporter.delivery.outbox import Item, Outbox, OutboxWorker
from vv_exporter.language.sentences import Sentence, nsentence
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.state.openalerts import severity_rank
from vv_exporter.state.store import Kind, Store, Transaction

log = logging.getLogger(__name__)

MAX_AGE_SECONDS = 7 * 86400.0
OK, FAILED, REFUSED, DROPPED = RESULTS = ("ok", "failed", "refused", "dropped")


class Parcel(Item, frozen=True):
    """By `key` the receiver knows that it had this before. `added` is Unix seconds, `severity` that of the alert."""

    key: str
    body: str
    added: UnixTime
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    severity: str = ""

    @property
    def importance(self) -> int:
        """The lowest severity gives way first."""
        return severity_rank(self.severity)

    @property
    def size(self) -> int:
        """That of its body."""
        return len(self.body)


class Parcels(Outbox[Parcel]):
    """What waits for one destination."""

    def __init__(self, destination: str) -> None:
        super().__init__(Kind(f"outbox_{destination}", Parcel))
        self.destination = destination

    def give_up(self, tx: Transaction, item: Parcel, why: Sentence) -> None:
        """Say so."""
        tx.inc(RELAY_DELIVERIES, (self.destination, DROPPED))
        log.error("%s: given up on %s of %s: %s", self.destination, item.key, isoformat(item.added), why)


class Carrier(Protocol):
    """What brings a parcel to the receiver."""

    def send(self, parcel: Parcel) -> None:
        """Returns when it was taken. Raises `ProviderError`, whose text holds no secret."""
        ...


def _ignore_end(tx: Transaction, parcel: Parcel, result: str) -> None:
    """Nobody waits for it."""


class ParcelWorker(OutboxWorker[Parcel]):
    """Brings what waits to one destination. `note_end` is called for each parcel's end, in its transaction."""

    def __init__(
        self,
        store: Store,
        parcels: Parcels,
        carrier: Carrier,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        note_end: Callable[[Transaction, Parcel, str], None] = _ignore_end,
    ) -> None:
        name = parcels.destination
        super().__init__(store, parcels, name, f"{name}: events", monotonic)
        self._parcels = parcels
        self._carrier = carrier
        self._clock = clock
        self._note_end = note_end

    def round(self) -> bool:
        """Give up what is too old, and send the others."""
        self._drop_old()
        return super().round()

    def next_batch(self) -> Mapping[str, Parcel]:
        """One at a time."""
        return dict(islice(self._parcels.waiting(self.store).items(), 1))

    def send(self, batch: Mapping[str, Parcel]) -> Callable[[Transaction], None]:
        """Bring it there."""
        (number, parcel), *_ = batch.items()
        self._carrier.send(parcel)
        return partial(self._record_end, number=number, parcel=parcel, result=OK)

    def not_taken(self, batch: Mapping[str, Parcel], error: ProviderError) -> None:
        """What is refused goes nowhere else, and holds up no other."""
        (number, parcel), *_ = batch.items()
        if error.refused:
            log.error("%s: given up on %s: %s", self._parcels.destination, parcel.key, error)
            self.settle(partial(self._record_end, number=number, parcel=parcel, result=REFUSED))
            return
        self.wait(error)
        with self.store.transaction() as tx:
            tx.inc(RELAY_DELIVERIES, (self._parcels.destination, FAILED))

    def _record_end(self, tx: Transaction, number: str, parcel: Parcel, result: str) -> None:
        self._parcels.remove(tx, number)
        tx.inc(RELAY_DELIVERIES, (self._parcels.destination, result))
        self._note_end(tx, parcel, result)

    def _drop_old(self) -> None:
        oldest = self._clock() - MAX_AGE_SECONDS
        old = [number for number, parcel in self._parcels.waiting(self.store).items() if parcel.added < oldest]
        if old:
            days = round(MAX_AGE_SECONDS / 86400)
            why = nsentence("it has waited for {count} day", "it has waited for {count} days", count=days)
            with self.store.transaction() as tx:
                for number in old:
                    self._parcels.drop(tx, number, why)
