"""How alerts get to people: the channels, the way to Alertmanager, and what it notified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from vv_exporter.metrics.alerts import NOTIFICATIONS_LOGGED, RELAY_DELIVERIES, RELAY_OLDEST, RELAY_QUEUE
from vv_exporter.metrics.outbox import OUTBOX_OLDEST, OUTBOX_QUEUE
from vv_exporter.relay.outbox import DROPPED, FAILED, OK, REFUSED, RESULTS
from vv_exporter.status.series import Series
from vv_exporter.status.table import Cell, Table, ago, many, span, when

LATE = 120.0  # seconds that an alert waits for its delivery before that is a trouble


class Receiver(msgspec.Struct, frozen=True):
    """Whom the exporter itself delivers to: events that wait, the oldest since `oldest`; how many were delivered, given
    up, and how many requests failed and were tried again."""

    name: str
    waiting: int
    oldest: float | None
    delivered: int
    failed: int
    given_up: int


class Delivery(msgspec.Struct, frozen=True):
    """`channels` are those configured. Times are Unix seconds, None when never or unknown.

    `waiting` alerts of scripts wait for Alertmanager, the oldest since `oldest`; `failed` of the `sent` requests to it
    did not succeed.
    """

    channels: tuple[str, ...]
    notified: int
    resolved: int
    last_notification: float | None
    waiting: int
    oldest: float | None
    sent: int
    failed: int
    receivers: tuple[Receiver, ...] = ()


def read(series: Series, channels: Sequence[str], last_notification: float | None) -> Delivery:
    """The state of delivery."""
    return Delivery(
        channels=tuple(channels),
        notified=series.sum(NOTIFICATIONS_LOGGED, status="firing"),
        resolved=series.sum(NOTIFICATIONS_LOGGED, status="resolved"),
        last_notification=last_notification,
        waiting=series.sum(RELAY_QUEUE),
        oldest=series.one(RELAY_OLDEST) or None,
        sent=series.sum(RELAY_DELIVERIES, destination="alertmanager"),
        failed=series.sum(RELAY_DELIVERIES, destination="alertmanager", result=FAILED),
        receivers=tuple(_receiver(series, name) for name in series.names("destination", OUTBOX_QUEUE)),
    )


def _receiver(series: Series, name: str) -> Receiver:
    counts = {result: series.sum(RELAY_DELIVERIES, destination=name, result=result) for result in RESULTS}
    return Receiver(
        name=name,
        waiting=series.sum(OUTBOX_QUEUE, destination=name),
        oldest=series.one(OUTBOX_OLDEST, destination=name) or None,
        delivered=counts[OK],
        failed=counts[FAILED],
        given_up=counts[REFUSED] + counts[DROPPED],
    )


def troubles(delivery: Delivery, now: float) -> Iterator[str]:
    """What keeps alerts from people."""
    if delivery.waiting and delivery.oldest and now - delivery.oldest > LATE:
        alerts, oldest = many(delivery.waiting, "alert"), span(now - delivery.oldest)
        yield f"{alerts} waiting for Alertmanager, the oldest for {oldest}"
    for one in delivery.receivers:
        if one.oldest and now - one.oldest > LATE:
            events, oldest = many(one.waiting, "event"), span(now - one.oldest)
            yield f"{events} waiting for the {one.name}, the oldest for {oldest}: see app.log"


def table(delivery: Delivery, now: float) -> Table:
    """For people."""
    named = ", ".join(delivery.channels)
    channels = Cell(named) if named else Cell("none: alerts are told here and in app.log only", "warning")
    waiting = Cell("nothing waits", "muted")
    if delivery.waiting:
        waiting = Cell(
            f"{many(delivery.waiting, 'alert')} waiting", "warning", note=f"oldest {ago(delivery.oldest, now)}"
        )
    failed = f"{delivery.failed} of {delivery.sent} requests failed"
    counted = f"{delivery.notified} firing and {delivery.resolved} resolved in all"
    rows = [
        (Cell("channels"), channels),
        (Cell("last notification"), when(delivery.last_notification, now)._replace(note=counted)),
        (
            Cell("from scripts to Alertmanager"),
            waiting._replace(note=waiting.note or (failed if delivery.failed else "")),
        ),
    ]
    rows += [(Cell(f"to the {one.name}"), _delivered(one, now)) for one in delivery.receivers]
    return Table("delivery", "Delivery of alerts", ("Delivery", "Now"), rows)


def _delivered(one: Receiver, now: float) -> Cell:
    counted = f"{one.delivered} delivered"
    counted += f", {one.given_up} given up" if one.given_up else ""
    counted += f", {many(one.failed, 'failure')} tried again" if one.failed else ""
    if one.waiting:
        events = f"{many(one.waiting, 'event')} waiting"
        return Cell(events, "warning", note=f"oldest {ago(one.oldest, now)}; {counted}")
    return Cell("nothing waits", "muted", note=counted)
