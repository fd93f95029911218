"""Messages that the exporter sends to people itself, past Alertmanager, each by one channel or several.

They wait in one outbox (`delivery/outbox.py`); each channel has its worker. Very many of them go as one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec

from vv_exporter.channels import Answer, Provider, ProviderError
from vv_exporter.delivery import channel_health
from vv_exporter.delivery.in_short import in_short, send_in_short
from vv_exporter.delivery.outbox import MAX_WAITING, Item, Outbox, OutboxWorker
from vv_exporter.language import gettext as _
from vv_exporter.language.sentences import Sentence, sentence
from vv_exporter.messages.message import Message, line
from vv_exporter.state.dropped import record_drop
from vv_exporter.state.openalerts import severity_rank
from vv_exporter.state.store import Kind, Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

log = logging.getLogger(__name__)

MANY = 5  # messages that wait for a channel and are still sent one by one
LISTED = 20  # of many that are named
PAUSE_SECONDS = 1.0  # between messages: what Slack and Telegram bear
REFUSALS = 3  # after which people hear in short of a message that the provider does not take as it is


class Outgoing(Item, frozen=True, omit_defaults=True):
    """A message and the channels that it still has to go to, each with how often it refused it.

    `taken` says that some channel has taken it.
    """

    id: str
    message: Message
    left: dict[str, int]
    taken: bool = False

    @property
    def importance(self) -> tuple[bool, bool, int]:
        """First to give way is what people have read elsewhere, then ends, then the lowest severity."""
        return not self.taken, not self.message.resolved, severity_rank(self.message.severity)


OUTGOING: Kind[Outgoing] = Kind("outgoing", Outgoing)


class DirectMessages(Outbox[Outgoing]):
    """All that waits, for whichever channel."""

    def replace(self, tx: Transaction, number: str, item: Outgoing) -> None:
        """Its number is its id as well."""
        super().replace(tx, number, msgspec.structs.replace(item, id=number))

    def give_up(self, tx: Transaction, item: Outgoing, why: Sentence) -> None:
        """If nobody has read it, and it is no end, an alert is lost."""
        message = item.message
        if item.taken or message.resolved:
            log.error("not sent by %s, %s: %s", ", ".join(item.left) or "any channel", why, line(message.title, 200))
            return
        entry = Entry(
            kind="alert.dropped",
            title=sentence("Alert dropped, {why}: {title}", why=why, title=message.title),
            severity=message.severity,
            component=message.component,
            details=message.details,
            video=message.video,
            video_sha256=message.video_sha256,
            alert_id=message.alert_id,
        )
        record_drop(tx, entry)


MESSAGES = DirectMessages(OUTGOING)


def put(tx: Transaction, message: Message, to: Iterable[str]) -> bool:
    """Have a message sent. False when there is no channel; one that gave way at once counts as sent, and as dropped."""
    left = dict.fromkeys(to, 0)
    if left:
        MESSAGES.put(tx, Outgoing("", message, left))
    return bool(left)


def waiting(store: Store, channel: str) -> list[Outgoing]:
    """What waits for a channel, the oldest first."""
    return [one for one in MESSAGES.waiting(store).values() if channel in one.left]


def drop_others(store: Store, known: Iterable[str]) -> None:
    """Forget channels that are no longer configured."""
    names = set(known)
    with store.transaction() as tx:
        for one in tx.docs(OUTGOING).values():
            for channel in one.left.keys() - names:
                log.error("not sent by %s, which is no longer configured: %s", channel, one.message.title)
                left = _take_off(tx, one.id, channel, taken=False)
                if left is not None and not left.left:
                    MESSAGES.give_up(tx, left, sentence("{channel} is no longer configured", channel=channel))


class DirectWorker(OutboxWorker[Outgoing]):
    """Sends what waits for one channel."""

    def __init__(self, store: Store, provider: Provider, monotonic: Callable[[], float]) -> None:
        name = provider.name
        super().__init__(store, MESSAGES, f"direct-{name}", f"direct messages by {name}", monotonic, PAUSE_SECONDS)
        self._provider = provider
        self._most = MAX_WAITING  # messages that go as one: fewer after such a one was refused

    def next_batch(self) -> Mapping[str, Outgoing]:
        """The first one; where many wait, all."""
        mine = waiting(self.store, self._provider.name)
        return {one.id: one for one in mine[: self._most if len(mine) > MANY else 1]}

    def send(self, batch: Mapping[str, Outgoing]) -> Callable[[Transaction], None]:
        """Send them as one message."""
        messages = [one.message for one in batch.values()]
        message = messages[0] if len(messages) == 1 else together(messages)
        return self._sent(batch, message, self._provider.send(message))

    def not_taken(self, batch: Mapping[str, Outgoing], error: ProviderError) -> None:
        """Try again; a message that is refused again and again goes in short."""
        channel, (first, *others) = self._provider.name, batch.values()
        self.wait(error)
        with self.store.transaction() as tx:
            channel_health.failed(tx, channel, str(error))
            refusals = _record_refusal(tx, first.id, channel, str(error)) if error.refused and not others else 0
        if error.refused and others:  # one of them is meant: the others go without it
            self._most = len(batch) // 2
        if refusals >= REFUSALS:
            self._send_in_short(first, is_first=refusals == REFUSALS)

    def _send_in_short(self, one: Outgoing, *, is_first: bool) -> None:
        """Say at least that there is an alert; a channel that does not take that takes nothing, and all waits."""
        try:
            answer = send_in_short(self._provider, one.message)
        except ProviderError as error:
            if is_first:
                log.error("%s accepts nothing, will try again: %s", self._provider.name, error)
            return
        log.error("%s rejects this message, sent in short: %s", self._provider.name, one.message.title)
        self.settle(self._sent([one.id], in_short(one.message), answer))

    def _sent(self, ids: Iterable[str], message: Message, answer: Answer) -> Callable[[Transaction], None]:
        self._most = min(2 * self._most, MAX_WAITING)
        log.info("sent directly by %s (%d): %s", self._provider.name, answer.status, line(message.title, 200))
        return partial(_record_sent, ids=tuple(ids), message=message, provider=self._provider)


def _record_sent(tx: Transaction, ids: Iterable[str], message: Message, provider: Provider) -> None:
    channel_health.took(tx, provider.name)
    for id_ in ids:
        _take_off(tx, id_, provider.name, taken=True)
    entry = Entry(
        "direct.sent",
        sentence("Sent directly by {channel}: {title}", channel=provider.title, title=message.title),
        component=message.component,
        alert_id=message.alert_id,
    )
    add_to_timeline(tx, tx.now, entry)


def together(messages: Sequence[Message]) -> Message:
    """Many messages as one. What is resolved is shown as that only when all are."""
    messages = sorted(messages, key=lambda one: severity_rank(one.severity), reverse=True)
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


def _record_refusal(tx: Transaction, id_: str, channel: str, error: str) -> int:
    """Gives how often the channel has refused it; beyond `REFUSALS` that is not counted."""
    one = MESSAGES.get(tx, id_)
    if one is None or channel not in one.left:
        return 0
    times = one.left[channel] + 1
    if times > REFUSALS:
        return times
    MESSAGES.replace(tx, id_, msgspec.structs.replace(one, left={**one.left, channel: times}))
    if times == REFUSALS:
        title = sentence(
            "{channel} does not take a message as it is: {title}", channel=channel, title=one.message.title
        )
        entry = Entry("direct.refused", title, "error", one.message.component, error, alert_id=one.message.alert_id)
        add_to_timeline(tx, tx.now, entry)
    return times


def _take_off(tx: Transaction, id_: str, channel: str, *, taken: bool) -> Outgoing | None:
    """A channel has no more to do with a message. Gives what is left of it."""
    one = MESSAGES.get(tx, id_)
    if one is None:
        return None
    left = {name: times for name, times in one.left.items() if name != channel}
    one = msgspec.structs.replace(one, left=left, taken=one.taken or taken)
    if left:
        MESSAGES.replace(tx, id_, one)
    else:
        MESSAGES.remove(tx, id_)
    return one
