"""Messages that wait to be sent directly, and their senders, one a channel.

A message is put there in the transaction that decides on it, and leaves after the provider took it: a kill in between
sends it again, and never loses it. Very many of them go as one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import msgspec

from vv_exporter.channels import Answer, Provider, ProviderError
from vv_exporter.delivery import channel_health
from vv_exporter.delivery.in_short import in_short, send_in_short, send_whole
from vv_exporter.language import gettext as _
from vv_exporter.messages.message import Message, line
from vv_exporter.runtime.loop import Backoff, Loop
from vv_exporter.state.dropped import record_drop
from vv_exporter.state.openalerts import SEVERITIES
from vv_exporter.state.store import Kind, Store, Transaction
from vv_exporter.state.timeline import Entry, tell

log = logging.getLogger(__name__)

MAX_WAITING = 2000
MANY = 5  # messages that wait for a channel and are still sent one by one
LISTED = 20  # of many that are named
INTERVAL = 1.0  # seconds between messages: what Slack and Telegram bear
BACKOFF_MAX = 60.0  # seconds between tries while a provider does not answer
REFUSALS = 3  # after which people hear in short of a message that the provider does not take as it is


class Outgoing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message and the channels that it still has to go to, each with how often it refused it.

    `taken` says that some channel has taken it.
    """

    id: str
    message: Message
    left: dict[str, int]
    taken: bool = False

    @property
    def importance(self) -> tuple[bool, bool, int, str]:
        """What gives way first: what people have read elsewhere, then ends, then the oldest of the lowest severity."""
        return not self.taken, not self.message.resolved, severity_rank(self.message), self.id


OUTGOING: Kind[Outgoing] = Kind("outgoing", Outgoing)


def put(tx: Transaction, message: Message, to: Iterable[str]) -> bool:
    """Have a message sent. False when there is no channel.

    Where too many wait the least important gives way; if that is this one, it counts as sent, and as dropped.
    """
    left = dict.fromkeys(to, 0)
    if not left:
        return False
    waiting_ = tx.docs(OUTGOING)
    # Numbers only give the order: it is no harm that an emptied outbox begins at 0 again.
    id_ = f"{max(map(int, waiting_), default=-1) + 1:016d}"
    waiting_[id_] = Outgoing(id_, message, left)
    tx.put(OUTGOING, id_, waiting_[id_])
    if len(waiting_) > MAX_WAITING:
        least = min(waiting_.values(), key=lambda one: one.importance)
        tx.delete(OUTGOING, least.id)
        _drop(tx, least, "more messages wait than are kept")
    return True


def severity_rank(message: Message) -> int:
    """How severe it is; what has no severity counts as an error."""
    return SEVERITIES.index(message.severity if message.severity in SEVERITIES else "error")


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
                _give_up(tx, one.id, channel, f"{channel} is no longer configured")


class Sender:
    """Sends what waits for one channel."""

    def __init__(self, store: Store, provider: Provider, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._provider = provider
        self._backoff = Backoff(BACKOFF_MAX, monotonic)
        self._to_note: tuple[Sequence[Outgoing], Message] | None = None
        self._most = MAX_WAITING  # messages that go as one: fewer after such a one was refused
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
        batch = mine[: self._most] if len(mine) > MANY else mine[:1]
        self._send(batch, batch[0].message if len(batch) == 1 else together([one.message for one in batch]))
        return True

    def _send(self, batch: Sequence[Outgoing], message: Message) -> None:
        try:
            answer = send_whole(self._provider, message)
        except ProviderError as error:
            self._failed(batch, error)
            return
        self._taken(batch, message, answer)

    def _taken(self, batch: Sequence[Outgoing], message: Message, answer: Answer) -> None:
        channel = self._provider.name
        self._backoff.succeeded()
        self._most = min(2 * self._most, MAX_WAITING)
        log.info("sent directly by %s (%d): %s", channel, answer.status, line(message.title, 200))
        # On a disk that is full it is noted later, and not sent again meanwhile.
        self._to_note = batch, message
        self._note(batch, message)

    def _note(self, batch: Sequence[Outgoing], message: Message) -> None:
        channel = self._provider.name
        with self._store.transaction() as tx:
            channel_health.took(tx, channel)
            for one in batch:
                _done(tx, one.id, channel, taken=True)
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
            channel_health.failed(tx, channel, str(error))
            refusals = _refused(tx, batch[0].id, channel, str(error)) if error.refused and len(batch) == 1 else 0
        if error.refused and len(batch) > 1:  # one of them is meant: the others go without it
            self._most = len(batch) // 2
        if refusals >= REFUSALS:
            self._in_short(batch[0], is_first=refusals == REFUSALS)

    def _in_short(self, one: Outgoing, *, is_first: bool) -> None:
        """Tell at least that there is an alert; a channel that does not take that takes nothing, and all waits."""
        try:
            answer = send_in_short(self._provider, one.message)
        except ProviderError as error:
            if is_first:
                log.error("%s accepts nothing, will try again: %s", self._provider.name, error)
            return
        log.error("%s rejects this message, sent in short: %s", self._provider.name, one.message.title)
        self._taken([one], in_short(one.message), answer)


def together(messages: Sequence[Message]) -> Message:
    """Many messages as one. What is resolved is told as that only when all are."""
    messages = sorted(messages, key=severity_rank, reverse=True)
    first = messages[0]
    lines = [f"{one.since} {one.status} {line(one.component, 60)}: {line(one.title, 120)}" for one in messages[:LISTED]]
    more = (
        [_("…and {count} more; the status page has them all.").format(count=len(messages) - LISTED)]
        if len(messages) > LISTED
        else []
    )
    return msgspec.structs.replace(
        first,
        key=f"{first.key}-and-others",
        title=_("{count} alerts, the first: {title}").format(count=len(messages), title=first.title),
        details="\n".join(lines + more),
        suggested_actions=_("See the status page and its timeline."),
        video="",
        video_sha256="",
        resolved=all(one.resolved for one in messages),
    )


def _refused(tx: Transaction, id_: str, channel: str, error: str) -> int:
    """Note it. Gives how often the channel has refused it; beyond `REFUSALS` that is not counted."""
    one = tx.get(OUTGOING, id_)
    if one is None or channel not in one.left:
        return 0
    times = one.left[channel] + 1
    if times > REFUSALS:
        return times
    tx.put(OUTGOING, id_, msgspec.structs.replace(one, left={**one.left, channel: times}))
    if times == REFUSALS:
        title = f"{channel} does not take a message as it is: {one.message.title}"
        entry = Entry("direct.refused", title, "error", one.message.component, error, alert_id=one.message.alert_id)
        tell(tx, tx.now, entry)
    return times


def _give_up(tx: Transaction, id_: str, channel: str, why: str) -> None:
    """It does not go by this channel; without another it is lost."""
    one = _done(tx, id_, channel, taken=False)
    if one is not None and not one.left:
        _drop(tx, one, why)


def _done(tx: Transaction, id_: str, channel: str, *, taken: bool) -> Outgoing | None:
    """A channel has no more to do with it. Gives what is left."""
    one = tx.get(OUTGOING, id_)
    if one is None:
        return None
    left = {name: times for name, times in one.left.items() if name != channel}
    one = msgspec.structs.replace(one, left=left, taken=one.taken or taken)
    if left:
        tx.put(OUTGOING, id_, one)
    else:
        tx.delete(OUTGOING, id_)
    return one


def _drop(tx: Transaction, one: Outgoing, why: str) -> None:
    """A message that waits no more; if nobody has read it, and it is no end, an alert is lost."""
    message = one.message
    if one.taken or message.resolved:
        log.error("not sent by %s, %s: %s", ", ".join(one.left) or "any channel", why, line(message.title, 200))
        return
    entry = Entry(
        kind="alert.dropped",
        title=f"Alert dropped, {why}: {message.title}",
        severity=message.severity,
        component=message.component,
        details=message.details,
        video=message.video,
        video_sha256=message.video_sha256,
        alert_id=message.alert_id,
    )
    record_drop(tx, entry)
