"""How alerts get to people: the channels, the way to Alertmanager, and what it notified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from vv_exporter.common.clock import span
from vv_exporter.delivery.accounts import Account
from vv_exporter.delivery.parcels import DROPPED, FAILED, OK, REFUSED, RESULTS
from vv_exporter.language import gettext as _
from vv_exporter.language import ngettext
from vv_exporter.metrics.alerts import NOTIFICATIONS_LOGGED, RELAY_DELIVERIES, RELAY_OLDEST, RELAY_QUEUE
from vv_exporter.metrics.delivery import (
    CHANNEL_ERROR,
    CHANNEL_FAILURE,
    CHANNEL_SUCCESS,
    DIRECT_QUEUE,
    NOTIFICATIONS,
)
from vv_exporter.metrics.digest import DIGEST_LAST_SENT, DIGEST_NEXT_DUE
from vv_exporter.metrics.outbox import OUTBOX_OLDEST, OUTBOX_QUEUE
from vv_exporter.status.series import Series
from vv_exporter.status.table import Cell, Level, Table, ago, clock, when

LATE = 120.0  # seconds that an alert waits for its delivery before that is a trouble
SHOWN = 5  # alerts with the channels that took them
FAILING = 900.0  # seconds after its last failure for which a channel is shown as failing
MAX_ALERTS = 50
UNDELIVERED_SECONDS = 600.0  # for which an alert that fires may be delivered by no channel


class Receiver(msgspec.Struct, frozen=True):
    """Whom the exporter itself delivers to: events that wait, the oldest since `oldest`; how many were delivered, given
    up, and how many requests failed and were tried again."""

    name: str
    waiting: int
    oldest: float | None
    delivered: int
    failed: int
    given_up: int


class Channel(msgspec.Struct, frozen=True):
    """A channel that people read. It fails since its last success when its last failure is newer; `error` was said
    then. `waiting` messages are to be sent to it directly."""

    name: str
    ok: int
    failed: int
    last_ok: float | None
    last_failed: float | None
    error: str
    waiting: int

    @property
    def fails(self) -> bool:
        """Whether the last thing that is known of it is a failure."""
        return (self.last_failed or 0.0) > (self.last_ok or 0.0)


class AlertDelivery(msgspec.Struct, frozen=True):
    """An alert, and when which channel took it (Unix seconds). `ended` is None while it fires."""

    alertname: str
    title: str
    severity: str
    component: str
    fired: float
    ended: float | None
    channels: dict[str, float]
    muted: float | None


class Delivery(msgspec.Struct, frozen=True):
    """`channels` are those configured. Times are Unix seconds, None when never or unknown.

    `waiting` alerts of scripts wait for Alertmanager, the oldest since `oldest`; `failed` of the `sent` requests to it
    did not succeed. `digest_due` is when the next digest is mailed, in the past when it is late.
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
    people: tuple[Channel, ...] = ()
    alerts: tuple[AlertDelivery, ...] = msgspec.field(default=(), name="told")
    digest_sent: float | None = None
    digest_due: float | None = None


def read(
    series: Series, channels: Sequence[str], last_notification: float | None, accounts: Iterable[Account] = ()
) -> Delivery:
    """The state of delivery."""
    newest = sorted(accounts, key=lambda one: (bool(one.delivered_by), -one.fired))
    return Delivery(
        channels=tuple(channels),
        notified=series.sum(NOTIFICATIONS_LOGGED, status="firing"),
        resolved=series.sum(NOTIFICATIONS_LOGGED, status="resolved"),
        last_notification=last_notification,
        waiting=series.sum(RELAY_QUEUE),
        oldest=series.one(RELAY_OLDEST) or None,
        sent=series.sum(RELAY_DELIVERIES, destination="alertmanager"),
        failed=series.sum(RELAY_DELIVERIES, destination="alertmanager", result=FAILED),
        receivers=tuple(_receiver_of(series, name) for name in series.names("destination", OUTBOX_QUEUE)),
        people=tuple(_channel_of(series, name) for name in series.names("channel", CHANNEL_SUCCESS)),
        alerts=tuple(_alert_delivery(account) for account in newest[:MAX_ALERTS]),
        digest_sent=series.one(DIGEST_LAST_SENT) or None,
        digest_due=series.one(DIGEST_NEXT_DUE),
    )


def _channel_of(series: Series, name: str) -> Channel:
    return Channel(
        name=name,
        ok=series.sum(NOTIFICATIONS, channel=name, result="ok"),
        failed=series.sum(NOTIFICATIONS, channel=name, result="failed"),
        last_ok=series.one(CHANNEL_SUCCESS, channel=name) or None,
        last_failed=series.one(CHANNEL_FAILURE, channel=name) or None,
        error=series.text(CHANNEL_ERROR, "error", channel=name),
        waiting=series.sum(DIRECT_QUEUE, channel=name),
    )


def _alert_delivery(account: Account) -> AlertDelivery:
    return AlertDelivery(
        alertname=account.alertname,
        title=account.title,
        severity=account.severity,
        component=account.component,
        fired=account.fired,
        ended=account.ended or None,
        channels=account.delivered_by,
        muted=account.muted or None,
    )


def _receiver_of(series: Series, name: str) -> Receiver:
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
        yield ngettext(
            "{count} alert waiting for Alertmanager, the oldest for {time}",
            "{count} alerts waiting for Alertmanager, the oldest for {time}",
            delivery.waiting,
        ).format(count=delivery.waiting, time=span(now - delivery.oldest))
    for one in delivery.receivers:
        if one.oldest and now - one.oldest > LATE:
            yield ngettext(
                "{count} event waiting for the {name}, the oldest for {time}: see app.log",
                "{count} events waiting for the {name}, the oldest for {time}: see app.log",
                one.waiting,
            ).format(count=one.waiting, name=one.name, time=span(now - one.oldest))
    for channel in delivery.people:
        if channel.fails and channel.last_failed and now - channel.last_failed < FAILING:
            yield _("notifications by {channel} fail: {error}").format(
                channel=channel.name, error=channel.error or _("see app.log")
            )
    for alert in delivery.alerts:
        if _is_undelivered(alert, now):
            yield _("never delivered: {title}").format(title=alert.title)


def table(delivery: Delivery, now: float) -> Table:
    """For people."""
    named = ", ".join(delivery.channels)
    channels = Cell(named) if named else Cell(_("none: alerts are shown here and in app.log only"), "warning")
    waiting = Cell(_("nothing waits"), "muted")
    if delivery.waiting:
        waiting = Cell(
            ngettext("{count} alert waiting", "{count} alerts waiting", delivery.waiting).format(
                count=delivery.waiting
            ),
            "warning",
            note=_("oldest {time}").format(time=ago(delivery.oldest, now)),
        )
    failed = ngettext(
        "{failed} of {count} request failed", "{failed} of {count} requests failed", delivery.sent
    ).format(failed=delivery.failed, count=delivery.sent)
    counted = _("{firing} firing and {resolved} resolved in all").format(
        firing=delivery.notified, resolved=delivery.resolved
    )
    rows = [
        (Cell(_("channels")), channels),
        (Cell(_("last notification")), when(delivery.last_notification, now)._replace(note=counted)),
        (
            Cell(_("from scripts to Alertmanager")),
            waiting._replace(note=waiting.note or (failed if delivery.failed else "")),
        ),
    ]
    rows += [(Cell(_("by {channel}").format(channel=one.name)), _channel_cell(one, now)) for one in delivery.people]
    rows += [(Cell(_("to the {name}").format(name=one.name)), _receiver_cell(one, now)) for one in delivery.receivers]
    if delivery.digest_due is not None:
        rows.append((Cell(_("daily digest")), _digest_cell(delivery.digest_sent, delivery.digest_due, now)))
    rows += [(Cell(one.title), _by_whom(one, now)) for one in delivery.alerts[:SHOWN]]
    return Table("delivery", _("Delivery of alerts"), (_("Delivery"), _("Now")), rows)


def _channel_cell(one: Channel, now: float) -> Cell:
    counts = [_("{count} taken").format(count=one.ok)]
    counts += [_("{count} failed").format(count=one.failed)] if one.failed else []
    counts += [_("{count} to be sent directly").format(count=one.waiting)] if one.waiting else []
    counted = ", ".join(counts)
    if one.fails:
        said = f": {one.error}" if one.error else ""
        level: Level = "bad" if now - (one.last_failed or 0.0) < FAILING else "warning"
        return Cell(
            _("failed {time}").format(time=ago(one.last_failed, now)) + said,
            level,
            _("last taken {time}; {counted}").format(time=ago(one.last_ok, now), counted=counted),
        )
    if one.last_ok is None:
        return Cell(_("not used yet"), "muted", counted)
    return Cell(_("taken {time}").format(time=ago(one.last_ok, now)), "warning" if one.waiting else "", counted)


def _by_whom(one: AlertDelivery, now: float) -> Cell:
    times = ", ".join(f"{name} {clock(at, now)}" for name, at in sorted(one.channels.items(), key=lambda item: item[1]))
    fired = _("fired {time}").format(time=clock(one.fired, now))
    if one.ended:
        fired = _("fired {fired}, ended {ended}").format(fired=clock(one.fired, now), ended=clock(one.ended, now))
    if times:
        return Cell(_("delivered by {times}").format(times=times), "", fired)
    if one.muted:
        return Cell(_("silenced or inhibited"), "muted", fired)
    return Cell(_("not delivered yet"), "bad" if _is_undelivered(one, now) else "warning", fired)


def _is_undelivered(one: AlertDelivery, now: float) -> bool:
    urgent = one.severity in ("error", "critical")  # warnings wait for the end of the quiet hours
    return urgent and not one.channels and not one.muted and now - one.fired > UNDELIVERED_SECONDS


def _digest_cell(sent: float | None, due: float, now: float) -> Cell:
    last = _("last sent {time}").format(time=ago(sent, now)) if sent else _("none was sent yet")
    if now - due > LATE:
        return Cell(_("{time} late: see app.log").format(time=span(now - due)), "warning", last)
    return Cell(_("due in {time}").format(time=span(due - now)) if due > now else _("due now"), "", last)


def _receiver_cell(one: Receiver, now: float) -> Cell:
    counts = [_("{count} delivered").format(count=one.delivered)]
    counts += [_("{count} given up").format(count=one.given_up)] if one.given_up else []
    if one.failed:
        failures = ngettext("{count} failure tried again", "{count} failures tried again", one.failed)
        counts.append(failures.format(count=one.failed))
    counted = ", ".join(counts)
    if one.waiting:
        events = ngettext("{count} event waiting", "{count} events waiting", one.waiting).format(count=one.waiting)
        note = _("oldest {time}; {counted}").format(time=ago(one.oldest, now), counted=counted)
        return Cell(events, "warning", note=note)
    return Cell(_("nothing waits"), "muted", note=counted)
