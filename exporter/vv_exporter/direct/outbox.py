"""Messages that wait to be sent directly, and their senders, one a channel.

A message is put there in the transaction that decides on it, and leaves after the provider took it: a kill in between
sends it again, and never loses it. Very many of them go as one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import msgspec

from vv_exporter import channels
from vv_exporter.direct.message import Message, line
from vv_exporter.direct.providers import Provider, ProviderError
from vv_exporter.loop import Backoff, Loop
from vv_exporter.openalerts import SEVERITIES
from vv_exporter.store import Kind, Store, Transaction
from vv_exporter.timeline import Entry, tell

log = logging.getLogger(__name__)

MAX_WAITING = 2000
MANY = 5  # messages that wait for a channel and are still sent one by one
LISTED = 20  # of many that are named
INTERVAL = 1.0  # seconds between messages: what Slack and Telegram bear
BACKOFF_MAX = 60.0  # seconds between tries while a provider does not answer
REFUSALS = 3  # after which a message is given up that the provider does not take as it is


class Outgoing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message and the channels that it still has to go to, each with how often it refused it."""

    id: str
    message: Message
    left: dict[str, int]


OUTGOING: Kind[Outgoing] = Kind("outgoing", Outgoing)


def put(tx: Transaction, message: Message, to: Iterable[str]) -> bool:
    """Have a message sent. False when too many wait already."""
    left = dict.fromkeys(to, 0)
    if not left or tx.count(OUTGOING) >= MAX_WAITING:
        return False
    # Numbers only give the order: it is no harm that an emptied outbox begins at 0 again.
    id_ = f"{max(map(int, tx.docs(OUTGOING)), default=-1) + 1:016d}"
    tx.put(OUTGOING, id_, Outgoing(id_, message, left))
    return True


def waiting(store: Store, channel: str) -> list[Outgoing]:
    """What waits for a channel, the oldest first."""
    found = (one for one in store.docs(OUTGOING).values() if channel in one.left)
    return sorted(found, key=lambda one: one.id)


def drop_others(store: Store, known: Iterable[str]) -> None:
    """Forget channels that are no longer configured."""
    names = set(known)
    with store.transaction() as tx:
        for one in tx.docs(OUTGOING).values():
            for channel in one.left.keys() - names:
                log.error("not sent by %s, which is no longer configured: %s", channel, one.message.title)
                _done(tx, one.id, channel)


class Sender:
    """Sends what waits for one channel."""

    def __init__(self, store: Store, provider: Provider, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._provider = provider
        self._backoff = Backoff(BACKOFF_MAX, monotonic)
        self._to_note: tuple[Sequence[Outgoing], Message] | None = None
        what = f"direct messages by {provider.name}"
        self._loop = Loop(f"direct-{provider.name}", what, self.round, INTERVAL, shortest=INTERVAL)
        store.when_changed(OUTGOING, self._loop.wake)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """End; what waits is sent after the next start."""
        self._loop.stop()

    def round(self) -> bool:
        """Send one message, if any waits. Gives whether one did."""
        if self._to_note is not None:
            self._note(*self._to_note)
        mine = waiting(self._store, self._provider.name)
        if not mine or not self._backoff.ready():
            return bool(mine)
        batch = mine if len(mine) > MANY else mine[:1]
        self._send(batch, batch[0].message if len(batch) == 1 else together([one.message for one in batch]))
        return True

    def _send(self, batch: Sequence[Outgoing], message: Message) -> None:
        channel = self._provider.name
        try:
            answer = self._provider.send(message)
        except ProviderError as error:
            self._failed(batch, error)
            return
        self._backoff.succeeded()
        log.info("sent directly by %s (%d): %s", channel, answer.status, line(message.title, 200))
        # On a disk that is full it is noted later, and not sent again meanwhile.
        self._to_note = batch, message
        self._note(batch, message)

    def _note(self, batch: Sequence[Outgoing], message: Message) -> None:
        channel = self._provider.name
        with self._store.transaction() as tx:
            channels.took(tx, channel)
            for one in batch:
                _done(tx, one.id, channel)
            entry = Entry(
                "direct.sent",
                f"Sent directly by {self._provider.title}: {message.title}",
                component=message.component,
                alert_id=message.alert_id,
            )
            tell(tx, tx.now, entry)
        self._to_note = None

    def _failed(self, batch: Sequence[Outgoing], error: ProviderError) -> None:
        channel = self._provider.name
        if not self._backoff.failures:
            log.warning("direct messages by %s wait, will try again: %s", channel, error)
        self._backoff.failed(error.retry_after)
        with self._store.transaction() as tx:
            channels.failed(tx, channel, str(error))
            if error.refused:
                for one in batch:
                    _refused(tx, one.id, channel, str(error))


def together(messages: Sequence[Message]) -> Message:
    """Many messages as one. What is resolved is told as that only when all are."""
    first = messages[0]
    worst = max(messages, key=lambda one: SEVERITIES.index(one.severity) if one.severity in SEVERITIES else 0)
    lines = [f"{one.since} {one.status} {line(one.component, 60)}: {line(one.title, 120)}" for one in messages[:LISTED]]
    more = [f"…and {len(messages) - LISTED} more; the status page has them all."] if len(messages) > LISTED else []
    return msgspec.structs.replace(
        first,
        key=f"{first.key}-and-others",
        title=f"{len(messages)} alerts, the first: {first.title}",
        severity=worst.severity,
        details="\n".join(lines + more),
        suggested_actions="See the status page and `vv timeline --since 3h`.",
        video="",
        video_sha256="",
        resolved=all(one.resolved for one in messages),
    )


def _refused(tx: Transaction, id_: str, channel: str, error: str) -> None:
    one = tx.get(OUTGOING, id_)
    if one is None or channel not in one.left:
        return
    times = one.left[channel] + 1
    if times < REFUSALS:
        tx.put(OUTGOING, id_, msgspec.structs.replace(one, left={**one.left, channel: times}))
        return
    log.error("%s does not take this message, given up (%s): %s", channel, error, one.message.title)
    title = f"{channel} does not take a message, given up: {one.message.title}"
    tell(tx, tx.now, Entry("direct.given_up", title, "error", one.message.component, details=error))
    _done(tx, id_, channel)


def _done(tx: Transaction, id_: str, channel: str) -> None:
    one = tx.get(OUTGOING, id_)
    if one is None:
        return
    left = {name: times for name, times in one.left.items() if name != channel}
    if left:
        tx.put(OUTGOING, id_, msgspec.structs.replace(one, left=left))
    else:
        tx.delete(OUTGOING, id_)
