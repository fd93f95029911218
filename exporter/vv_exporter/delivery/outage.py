"""Alerts that fired and ended while no channel could be reached are sent afterwards, in one summary per outage.

The summary is tried until a channel takes it, which is how the end of the outage is noticed. With its first success, in
one transaction, the accounts are closed and the other channels get the same text: a kill in between sends it twice to
one channel at worst, and never not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from vv_exporter.channels import Provider, ProviderError
from vv_exporter.common.clock import isoformat
from vv_exporter.delivery import accounts, channel_health
from vv_exporter.delivery.accounts import ACCOUNTS, Account
from vv_exporter.delivery.direct import put
from vv_exporter.delivery.in_short import send_somehow
from vv_exporter.language import gettext as _
from vv_exporter.language.sentences import nsentence
from vv_exporter.messages.message import Message, line
from vv_exporter.render.commands import Commands
from vv_exporter.runtime.backoff import Backoff
from vv_exporter.settings import Settings
from vv_exporter.state.openalerts import SEVERITIES
from vv_exporter.state.store import Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

log = logging.getLogger(__name__)

MISSED = nsentence(
    "{count} alert was not delivered: notifications failed", "{count} alerts were not delivered: notifications failed"
)
LISTED = 15
LONGEST_PAUSE = 60.0


class Missed:
    """Call `round` again and again. `providers` are those of the channels that every alert goes to; tried in turn."""

    def __init__(
        self,
        store: Store,
        providers: Sequence[Provider],
        settings: Settings,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._providers = providers
        self._settings = settings
        self._clock = clock
        self._to_note: tuple[Provider, Message, Mapping[str, Account]] | None = None
        self._backoffs = {provider.name: Backoff(LONGEST_PAUSE, monotonic) for provider in providers}

    def round(self) -> bool:
        """Settle what has ended, and send what was missed. Gives whether there are accounts that are open."""
        if self._to_note is not None:
            self._note_summary(*self._to_note)
        if self._store.docs(ACCOUNTS):
            with self._store.transaction() as tx:
                accounts.settle_accounts(tx, self._backoffs, self._settings.delivery_settle)
        every = self._store.docs(ACCOUNTS)
        missed = accounts.missed(every)
        if not missed or (accounts.unsettled(every.values()) and not self._has_waited(missed)):
            return bool(every)
        for provider in self._providers:
            if self._backoffs[provider.name].ready() and self._send_summary(provider, missed):
                break
        return True

    def _has_waited(self, missed: Mapping[str, Account]) -> bool:
        """Whether the oldest has waited long enough for those that are not settled yet."""
        return self._clock() - min(one.ended for one in missed.values()) > 3 * self._settings.delivery_settle

    def _send_summary(self, provider: Provider, missed: Mapping[str, Account]) -> bool:
        message = summary(list(missed.values()), self._settings, self._clock())
        try:
            send_somehow(provider, message)
        except ProviderError as error:
            self._backoffs[provider.name].failed(error.retry_after)
            with self._store.transaction() as tx:
                channel_health.failed(tx, provider.name, str(error))
            return False
        self._backoffs[provider.name].succeeded()
        log.info("told by %s: %s", provider.name, message.title)
        # On a disk that is full it is recorded later, and not sent again meanwhile.
        self._to_note = provider, message, missed
        self._note_summary(provider, message, missed)
        return True

    def _note_summary(self, provider: Provider, message: Message, missed: Mapping[str, Account]) -> None:
        with self._store.transaction() as tx:
            channel_health.took(tx, provider.name)
            put(tx, message, [other.name for other in self._providers if other is not provider])
            _close_accounts(tx, missed, provider.name)
            title = MISSED.of(count=len(missed))
            add_to_timeline(tx, tx.now, Entry("alert.missed", title, message.severity, details=message.details))
        self._to_note = None


def _close_accounts(tx: Transaction, missed: Mapping[str, Account], channel: str) -> None:
    for id_ in missed:
        tx.delete(ACCOUNTS, id_)
        log.info("account %s closed: told in a summary by %s", id_, channel)


def summary(missed: Sequence[Account], settings: Settings, now: float) -> Message:
    """The message about what was missed."""
    worst = max((one.severity for one in missed), key=SEVERITIES.index)
    listed = sorted(missed, key=lambda one: SEVERITIES.index(one.severity), reverse=True)[:LISTED]
    lines = [
        _("{severity} {started} to {ended}, {component}: {title} ({alert})").format(
            severity=one.severity.upper(),
            started=isoformat(one.started),
            ended=isoformat(one.ended),
            component=line(one.component, 60),
            title=line(one.title, 120),
            alert=one.alertname,
        )
        for one in listed
    ]
    more = (
        [_("…and {count} more; the timeline has them all.").format(count=len(missed) - LISTED)]
        if len(missed) > LISTED
        else []
    )
    first = min(one.started for one in missed)
    return Message(
        key=f"{settings.device_id}-missed-{first:.0f}",
        title=MISSED.of(count=len(missed)).spoken(),
        severity=worst,
        device=settings.device_id,
        component="delivery",
        time=first,
        alert_id=f"missed-{first:.0f}",
        alertname="NotificationsMissed",
        details="\n".join([_("Fired and resolved before they could be delivered:"), *lines, *more]),
        suggested_actions=Commands(settings).here(
            _(
                "1. See what happened: {timeline}\n"
                "2. See how the channels do: {status}, section Delivery\n"
                "3. Try each of them: {test}"
            ).format(
                timeline=f"`vv timeline --since {max(1, round((now - first) / 3600) + 1)}h`",
                status="`vv status`",
                test="`vv notify test`",
            )
        ),
        runbook_url=settings.runbook("NotificationsFailing"),
        silence_url=settings.silence_url({"alertname": "NotificationsFailing", "device": settings.device_id}),
        status_url=f"{settings.public_url}/",
    )
