"""What must reach a receiver that may be away: kept in the store, sent in order.

A message to a channel (`delivery/direct.py`) and an event for the webhook (`delivery/parcels.py`) go the same way:

1. It is put into an outbox in the transaction that decides on it. Where too many wait, the least important gives way.
2. The outbox's worker sends what comes first. While the receiver is away all waits, with growing pauses between tries,
   or for as long as the receiver asked.
3. Once the receiver has answered for good, one transaction records that, and what was sent leaves the outbox. Where
   that cannot be written, as on a full disk, it is tried again before anything else is sent.
4. A kill between 2 and 3 sends it once more after the next start: twice at worst, never not at all.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from vv_exporter.channels import ProviderError, defect
from vv_exporter.language.sentences import Sentence, sentence
from vv_exporter.runtime.backoff import Backoff
from vv_exporter.runtime.loop import INTERVAL, SHORTEST, Loop
from vv_exporter.state.store import Kind, Store, Transaction

log = logging.getLogger(__name__)

MAX_WAITING = 2000
MAX_BYTES = 16 * 1024 * 1024
MAX_BACKOFF_SECONDS = 60.0  # between tries while the receiver is away
MAX_A_ROUND = 20  # sent without a pause, before the loop shows that it lives: each may take its whole timeout
MAX_ASKED_SECONDS = 3600.0  # the longest pause that a receiver can ask for


class Item(msgspec.Struct, frozen=True):
    """What may wait."""

    @property
    def importance(self) -> Any:
        """What is compared where one has to give way; of equals that is the oldest."""
        return 0

    @property
    def size(self) -> int:
        """How many bytes of `MAX_BYTES` it takes."""
        return 0


T = TypeVar("T", bound=Item)


class Outbox(ABC, Generic[T]):
    """What waits, by its number: the order in which it came."""

    def __init__(self, kind: Kind[T]) -> None:
        self._kind = kind

    @abstractmethod
    def give_up(self, tx: Transaction, item: T, why: Sentence) -> None:
        """Count and log what has left the outbox, and reached nobody by it."""

    def put(self, tx: Transaction, item: T) -> None:
        """Add it behind the others; where it is too many, or too much, the least important give way."""
        waiting = tx.docs(self._kind)
        # Numbers only give the order: it is no harm that an emptied outbox begins at 0 again.
        number = f"{max(map(int, waiting), default=-1) + 1:016d}"
        waiting[number] = item
        self.replace(tx, number, item)
        size = sum(one.size for one in waiting.values())
        while len(waiting) > 1 and (len(waiting) > MAX_WAITING or size > MAX_BYTES):
            least = min(waiting, key=lambda one: (waiting[one].importance, one))
            size -= waiting.pop(least).size
            self.drop(tx, least, sentence("more messages wait than are kept"))

    def drop(self, tx: Transaction, number: str, why: Sentence) -> None:
        """Give up what waits under a number."""
        item = tx.get(self._kind, number)
        if item is not None:
            self.remove(tx, number)
            self.give_up(tx, item, why)

    def get(self, tx: Transaction, number: str) -> T | None:
        """What waits under a number."""
        return tx.get(self._kind, number)

    def replace(self, tx: Transaction, number: str, item: T) -> None:
        """Change what waits under a number."""
        tx.put(self._kind, number, item)

    def remove(self, tx: Transaction, number: str) -> None:
        """Take it out."""
        tx.delete(self._kind, number)

    def clear(self, tx: Transaction) -> None:
        """Throw everything away."""
        for number in tx.docs(self._kind):
            self.remove(tx, number)

    def when_changed(self, store: Store, wake: Callable[[], None]) -> None:
        """Have `wake` called when something comes or goes."""
        store.when_changed(self._kind, wake)

    def waiting(self, store: Store) -> dict[str, T]:
        """What is there, by number, the oldest first."""
        return dict(sorted(store.docs(self._kind).items()))


class OutboxWorker(ABC, Generic[T]):
    """Sends what waits in an outbox for one receiver, for as long as it runs. `what` begins the lines of the log."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox[T],
        name: str,
        what: str,
        monotonic: Callable[[], float],
        pause: float = 0.0,
    ) -> None:
        """`pause` is in seconds, between two that are sent."""
        self.store = store
        self.outbox = outbox
        self._name = name
        self._what = what
        self._pause = pause
        self._backoff = Backoff(MAX_BACKOFF_SECONDS, monotonic)
        self._record: Callable[[Transaction], None] | None = None
        self._loop = Loop(name, what, self.round, pause or INTERVAL, pause or SHORTEST)
        outbox.when_changed(store, self._loop.wake)

    @abstractmethod
    def next_batch(self) -> Mapping[str, T]:
        """What is to be sent next, together, by number; nothing when nothing waits."""

    @abstractmethod
    def send(self, batch: Mapping[str, T]) -> Callable[[Transaction], None]:
        """Have the receiver take it. Gives what records that. Raises `ProviderError` where it does not."""

    @abstractmethod
    def not_taken(self, batch: Mapping[str, T], error: ProviderError) -> None:
        """The receiver did not take it: `settle` where that is for good, `wait` otherwise."""

    def start(self) -> None:
        """Begin to send."""
        self._loop.start()

    def stop(self) -> None:
        """End; what waits is sent after the next start."""
        self._loop.stop()

    def round(self) -> bool:
        """Send some of what waits, one with a pause, until the receiver is away. Gives whether anything waits still."""
        for _ in range(1 if self._pause else MAX_A_ROUND):
            if not self._send_next() or self._loop.stopping:
                break
        return bool(self.next_batch())

    def settle(self, record: Callable[[Transaction], None]) -> None:
        """The receiver has answered for good: have that recorded, though it be later."""
        if self._backoff.failures:
            log.info("%s: answers again", self._name)
        self._backoff.succeeded()
        self._record = record
        self._record_settled()

    def wait(self, error: ProviderError) -> None:
        """The receiver is away: try again after a pause."""
        if not self._backoff.failures:
            log.warning("%s wait, will try again: %s", self._what, error)
        self._backoff.failed(min(error.retry_after, MAX_ASKED_SECONDS))

    def _send_next(self) -> bool:
        """Gives whether the receiver answered for good, and may be sent more."""
        self._record_settled()
        batch = self.next_batch()
        if not batch or not self._backoff.ready():
            return False
        try:
            record = self.send(batch)
        except ProviderError as error:
            self.not_taken(batch, error)
        except Exception as error:  # of these alone: the others must not wait behind them for ever
            self.not_taken(batch, defect(error))
        else:
            self.settle(record)
        return not self._backoff.failures

    def _record_settled(self) -> None:
        if self._record is not None:
            with self.store.transaction() as tx:
                self._record(tx)
            self._record = None
