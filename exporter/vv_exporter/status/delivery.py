"""How alerts get to people: the channels, the way to Alertmanager, and what it notified."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from vv_exporter.metrics.alerts import NOTIFICATIONS_LOGGED, RELAY_DELIVERIES, RELAY_OLDEST, RELAY_QUEUE
from vv_exporter.status.series import Series
from vv_exporter.status.table import Cell, Table, ago, many, span, when

LATE = 120.0  # seconds that an alert waits for its delivery before that is a trouble


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


def read(series: Series, channels: Sequence[str], last_notification: float | None) -> Delivery:
    """The state of delivery."""
    failed = series.sum(RELAY_DELIVERIES, result="failed")
    return Delivery(
        channels=tuple(channels),
        notified=series.sum(NOTIFICATIONS_LOGGED, status="firing"),
        resolved=series.sum(NOTIFICATIONS_LOGGED, status="resolved"),
        last_notification=last_notification,
        waiting=series.sum(RELAY_QUEUE),
        oldest=series.one(RELAY_OLDEST) or None,
        sent=series.sum(RELAY_DELIVERIES),
        failed=failed,
    )


def troubles(delivery: Delivery, now: float) -> Iterator[str]:
    """What keeps alerts from people."""
    if delivery.waiting and delivery.oldest and now - delivery.oldest > LATE:
        alerts, oldest = many(delivery.waiting, "alert"), span(now - delivery.oldest)
        yield f"{alerts} waiting for Alertmanager, the oldest for {oldest}"


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
    return Table("delivery", "Delivery of alerts", ("Delivery", "Now"), rows)
