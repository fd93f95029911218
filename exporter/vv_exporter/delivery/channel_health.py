"""How each channel does: what it took last, what it did not take, and what was said."""

from __future__ import annotations

import msgspec

from vv_exporter.common.times import UnixTime
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.delivery import NOTIFICATIONS
from vv_exporter.state.store import Kind, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline, shortened

MAX_ERROR = 200


class Channel(msgspec.Struct, frozen=True, omit_defaults=True):
    """Times are Unix seconds, 0: never. `tried` is when a single attempt last failed, also one that went well later.

    `since` is when it began to fail, 0 while it does not; `error` is what was said last. `refused` is since when the
    provider refuses what Alertmanager sends, and `answer` what it said of that to the exporter.
    """

    ok: UnixTime = 0.0
    failed: UnixTime = 0.0
    tried: UnixTime = 0.0
    since: UnixTime = 0.0
    error: str = ""
    refused: UnixTime = 0.0
    answer: str = ""


CHANNELS: Kind[Channel] = Kind("channel", Channel)


def begin(tx: Transaction, channel: str) -> None:
    """Let its series begin at 0."""
    tx.ensure(NOTIFICATIONS, (channel, "ok"), (channel, "failed"))


def took(tx: Transaction, channel: str, amount: float = 1.0) -> None:
    """It took notifications."""
    tx.inc(NOTIFICATIONS, (channel, "ok"), amount)
    known = tx.get(CHANNELS, channel) or Channel()
    tx.put(CHANNELS, channel, msgspec.structs.replace(known, ok=tx.now, since=0.0, error="", refused=0.0, answer=""))
    if known.since:
        title = sentence("Notifications by {channel} arrive again", channel=channel)
        add_to_timeline(tx, tx.now, Entry("channel.works", title, component=channel))


def failed(tx: Transaction, channel: str, error: str, amount: float = 1.0) -> None:
    """It did not take notifications."""
    tx.inc(NOTIFICATIONS, (channel, "failed"), amount)
    known = tx.get(CHANNELS, channel) or Channel()
    error = shortened(known.answer or error, MAX_ERROR)
    changed = msgspec.structs.replace(known, failed=tx.now, tried=tx.now, since=known.since or tx.now, error=error)
    tx.put(CHANNELS, channel, changed)
    if not known.since:
        title = sentence("Notifications by {channel} fail", channel=channel)
        add_to_timeline(tx, tx.now, Entry("channel.fails", title, "error", channel, details=error))


def refused(tx: Transaction, channel: str, error: str, amount: float = 1.0) -> None:
    """Its provider refused what Alertmanager sent. What it answered to the exporter says more than that."""
    known = tx.get(CHANNELS, channel) or Channel()
    failed(tx, channel, error, amount)
    tx.put(
        CHANNELS, channel, msgspec.structs.replace(tx.get(CHANNELS, channel) or known, refused=known.refused or tx.now)
    )


def found_refused(tx: Transaction, channel: str, answer: str) -> None:
    """Its provider says no to the exporter, and that is why what Alertmanager sends fails."""
    refused(tx, channel, answer)
    answered(tx, channel, answer)


def answered(tx: Transaction, channel: str, answer: str) -> None:
    """What the provider of a channel that refuses Alertmanager said to the exporter."""
    known = tx.get(CHANNELS, channel)
    if known is not None and known.refused and known.answer != answer:
        answer = shortened(answer, MAX_ERROR)
        tx.put(CHANNELS, channel, msgspec.structs.replace(known, answer=answer, error=answer))


def tried(tx: Transaction, channel: str) -> None:
    """A single attempt failed; it goes on."""
    known = tx.get(CHANNELS, channel) or Channel()
    tx.put(CHANNELS, channel, msgspec.structs.replace(known, tried=tx.now))
