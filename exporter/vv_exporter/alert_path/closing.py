"""What Alertmanager does not announce, since it was restarted and does not know it any more, or takes it for known."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping
from typing import Any

import msgspec

from vv_exporter.channels import names_of
from vv_exporter.delivery import webhook
from vv_exporter.delivery.accounts import ACCOUNTS, Account, open_account
from vv_exporter.delivery.direct import put
from vv_exporter.delivery.notifications import Notification, NotifiedAlert, end_of, log_line, record_end, shown_id
from vv_exporter.delivery.received import receive
from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.messages.message import Message
from vv_exporter.settings import Settings
from vv_exporter.state.store import Transaction

log = logging.getLogger("alerts")

NOTE = translatable("Alertmanager was restarted, and does not send this: sent directly.")


def announce_end(tx: Transaction, account: Account, settings: Settings) -> None:
    """To the record, the timeline and the generic webhook: with the id and the start of its beginning."""
    if not account.labels:  # of a version that kept none
        return
    end = end_of(account)
    record_end(tx, end)
    if settings.webhook_url:
        webhook.queue_event(tx, end, webhook.Links(settings.public_url, settings.silence_form))
    line = log_line(end)
    log.log(line.level, "%s", line.text)


def announce_beginning(
    tx: Transaction, alert: Mapping[str, Any], before: Account, channels: Container[str], settings: Settings
) -> None:
    """An alert as Alertmanager holds it: to all who were told of the one `before`, as another of the same incident."""
    begun = NotifiedAlert(
        status="firing",
        labels=dict(alert["labels"]),
        annotations=dict(alert["annotations"]),
        starts_at=str(alert["startsAt"]),
        fingerprint=before.fingerprint,
    )
    receive(tx, Notification((begun,)), settings)
    account = open_account(tx, before.fingerprint)
    if account is None:  # people need not be told of it
        return
    delivered_by = dict.fromkeys(before.delivered_by, tx.now)
    tx.put(
        ACCOUNTS, account.id, msgspec.structs.replace(account, delivered_by=delivered_by, incidents=before.incidents)
    )
    for channel in delivered_by:
        if channel in channels:
            put(tx, _message_of_account(account, before.incidents.get(channel, ""), settings, is_over=False), [channel])
    line = log_line(begun)
    log.log(line.level, "%s", line.text)


def close_directly(tx: Transaction, account: Account, channels: Container[str], settings: Settings) -> None:
    """To the channels that are owed it, as far as they can be spoken to. A pager's incident is closed with its last
    alert."""
    for channel in account.owed:
        incident = account.incidents.get(channel, "")
        if channel in channels and (channel not in names_of("pager") or _is_last(tx, account, channel, incident)):
            put(tx, _message_of_account(account, incident, settings), [channel])
    mark_closed(tx, account)


def mark_closed(tx: Transaction, account: Account) -> None:
    """Nothing is owed to anybody any more."""
    current = tx.get(ACCOUNTS, account.id)
    if current is not None:
        closed = {**current.closed, **dict.fromkeys(current.owed, tx.now)}
        tx.put(ACCOUNTS, account.id, msgspec.structs.replace(current, closed=closed))


def _is_last(tx: Transaction, account: Account, channel: str, incident: str) -> bool:
    others: Iterable[Account] = (one for id_, one in tx.docs(ACCOUNTS).items() if id_ != account.id)
    return bool(incident) and not any(
        one.incidents.get(channel) == incident and (not one.ended or channel in one.owed) for one in others
    )


def _message_of_account(account: Account, incident: str, settings: Settings, *, is_over: bool = True) -> Message:
    notes = account.annotations
    return Message(
        key=incident,
        title=account.title,
        severity=account.severity,
        device=account.labels.get("device", settings.device_id),
        component=account.component,
        time=account.started,
        alert_id=shown_id(notes, account.fingerprint, account.starts_at),
        alertname=account.alertname,
        note=_(NOTE),
        video=notes.get("video", ""),
        video_sha256=notes.get("video_sha256", ""),
        runbook_url=notes.get("runbook_url", ""),
        status_url=f"{settings.public_url}/",
        details="" if is_over else notes.get("description", ""),
        suggested_actions=notes.get("suggested_actions", ""),
        silence_url=settings.silence_url(account.labels),
        resolved=is_over,
    )
