"""What a provider refuses from Alertmanager is sent by the exporter itself.

Alertmanager takes an answer of 4xx for one of this message, and tries it again when its group is due again. It takes a
text that is refused for a channel that takes nothing, follows no Telegram group that has become a supergroup
(https://core.telegram.org/bots/api#responseparameters), and its metrics say no more than that it was refused. So:

1. A channel is *refused* when Alertmanager gave up for an answer of 4xx, until it takes a notification again. Its
   Telegram notifier shows trouble of the network alike (its reason is `other`): the provider is asked.
2. An alert that fires and that such a channel has not taken a while after it began (`DUE_SECONDS`) is sent there
   directly, whole or in short, if Alertmanager itself has it as active: neither silenced nor inhibited.
3. Taken: it is in the account of the alert, and what has to be set right (the new id) stands beside the channel.
   Refused: what the provider said stands there. Either way the channel goes on failing, and NotificationsFailing
   reaches people by the others, until Alertmanager gets through.
4. What was opened at a pager is closed there when the alert has ended.

Alertmanager notifies once more of what fires when the channel takes its notifications again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.channels import Answer, Provider, ProviderError, names_of
from vv_exporter.delivery import channel_health
from vv_exporter.delivery.accounts import ACCOUNTS, Account
from vv_exporter.delivery.channel_health import CHANNELS
from vv_exporter.delivery.in_short import send_somehow
from vv_exporter.language import gettext as _
from vv_exporter.language.sentences import sentence
from vv_exporter.messages.message import ERROR, Message
from vv_exporter.runtime.backoff import Backoff
from vv_exporter.settings import Settings
from vv_exporter.state.store import Kind, Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

log = logging.getLogger(__name__)

DUE_SECONDS = 15.0  # longer than the group_wait of 5 s and its first try; soon enough for NotificationsFailing to quote
WARNINGS_DUE_SECONDS = 45.0  # as theirs is 30 s
LONGEST_PAUSE = 60.0
NOT_BY_ITSELF = "NotificationsFailing"  # goes by the other channels


class TakenOver(msgspec.Struct, frozen=True):
    """An incident that was opened at a pager, and the account of its alert."""

    account: str
    channel: str
    message: Message


TAKEN_OVER: Kind[TakenOver] = Kind("taken-over", TakenOver)


@runtime_checkable
class Asked(Protocol):
    """A provider whose refusals look to Alertmanager like trouble of the network."""

    def refusal(self) -> ProviderError | None:
        """Why it takes nothing, if that is what it says."""
        ...


class Due(NamedTuple):
    """An alert that a channel has not taken."""

    channel: str
    account: Account


class TakeOver:
    """Call `round` again and again. `providers` are the channels by name; `ask` gives Alertmanager's alerts."""

    def __init__(
        self,
        store: Store,
        providers: Mapping[str, Provider],
        ask: Callable[[], list[dict[str, Any]]],
        settings: Settings,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._providers = {name: one for name, one in providers.items() if name in names_of("chat", "pager")}
        self._ask = ask
        self._settings = settings
        self._clock = clock
        self._backoffs = {name: Backoff(LONGEST_PAUSE, monotonic) for name in self._providers}
        self._asked = {name: Backoff(LONGEST_PAUSE, monotonic) for name in self._providers}
        self._sent: set[tuple[str, str]] = set()
        """(account, channel): on a disk that is full this alone keeps them from being sent again."""

    def round(self) -> bool:
        """Send what is due, and end what has ended. Gives whether any channel is refused, or anything open."""
        self._close_ended()
        self._ask_those_that_fail()
        refused = self._find_refused()
        self._send_due([one for one in self._find_due(refused) if self._backoffs[one.channel].ready()])
        return bool(refused or self._store.docs(TAKEN_OVER))

    def _ask_those_that_fail(self) -> None:
        """Whether it is for a refusal, where Alertmanager cannot say."""
        states = self._store.docs(CHANNELS)
        for name, provider in self._providers.items():
            state = states.get(name)
            if state is None or state.tried <= state.ok:
                self._asked[name].succeeded()
            elif not state.refused and isinstance(provider, Asked) and self._asked[name].ready():
                self._asked[name].failed()
                error = provider.refusal()
                if error is not None:
                    with self._store.transaction() as tx:
                        channel_health.found_refused(tx, name, str(error))

    def _send_due(self, due: Sequence[Due]) -> None:
        if not due:
            return
        try:
            active = {str(alert.get("fingerprint")): alert for alert in self._ask() if _is_active(alert)}
        except DeliveryError:
            return
        for channel, account in due:
            alert = active.get(account.fingerprint)
            if alert is not None and self._backoffs[channel].ready():
                self._send_directly(channel, account, alert)

    def _find_refused(self) -> list[str]:
        states = self._store.docs(CHANNELS)
        refused = [name for name in self._providers if name in states and states[name].refused]
        self._sent = {(account, name) for account, name in self._sent if name in refused}
        return refused

    def _find_due(self, refused: Sequence[str]) -> Iterator[Due]:
        if not refused:
            return
        for account in self._store.docs(ACCOUNTS).values():
            if account.ended or not self._has_waited(account) or account.alertname == NOT_BY_ITSELF:
                continue
            for name in refused:
                is_sent = name in account.delivered_by or (account.id, name) in self._sent
                if not is_sent and self._is_for(name, account):
                    yield Due(name, account)

    def _has_waited(self, account: Account) -> bool:
        """Whether Alertmanager has had the time to send it."""
        due = WARNINGS_DUE_SECONDS if account.severity == "warning" else DUE_SECONDS
        return self._clock() - account.fired >= due

    def _is_for(self, channel: str, account: Account) -> bool:
        """As the routes have it: pagers for what is critical; warnings may wait for the end of the quiet hours."""
        if channel in names_of("pager"):
            return account.severity == "critical"
        return account.severity in ("critical", "error") or self._settings.quiet_hours is None

    def _send_directly(self, channel: str, account: Account, alert: dict[str, Any]) -> None:
        provider = self._providers[channel]
        message = _message_in_rules_words(
            account,
            alert,
            self._settings,
            _("{channel} refuses what Alertmanager sends: sent directly.").format(channel=provider.title),
        )
        try:
            answer = send_somehow(provider, message)
        except ProviderError as error:
            self._backoffs[channel].failed(error.retry_after)
            with self._store.transaction() as tx:
                channel_health.answered(tx, channel, str(error))
            return
        self._backoffs[channel].succeeded()
        self._sent.add((account.id, channel))
        log.info("sent directly by %s, which refuses Alertmanager (%d): %s", channel, answer.status, account.title)
        with self._store.transaction() as tx:
            self._note_taken(tx, channel, account, message, answer)

    def _note_taken(self, tx: Transaction, channel: str, account: Account, message: Message, answer: Answer) -> None:
        current = tx.get(ACCOUNTS, account.id) or account
        delivered_by = {**current.delivered_by, channel: tx.now}
        tx.put(ACCOUNTS, account.id, msgspec.structs.replace(current, delivered_by=delivered_by))
        channel_health.answered(
            tx, channel, answer.to_do or "the texts that Alertmanager sends are refused, others are taken"
        )
        if channel in names_of("pager"):
            tx.put(TAKEN_OVER, f"{account.id}/{channel}", TakenOver(account.id, channel, message))
        title = sentence(
            "Sent directly by {channel}: {title}", channel=self._providers[channel].title, title=account.title
        )
        add_to_timeline(tx, tx.now, Entry("direct.sent", title, component=account.component, details=answer.to_do))

    def _close_ended(self) -> None:
        opened = self._store.docs(TAKEN_OVER)
        for id_, one in opened.items():
            account = self._store.document(ACCOUNTS, one.account)
            provider = self._providers.get(one.channel)
            if account is not None and not account.ended and provider is not None:
                continue
            if provider is not None and not self._close_taken_over(provider, one):
                continue
            with self._store.transaction() as tx:
                tx.delete(TAKEN_OVER, id_)

    def _close_taken_over(self, provider: Provider, one: TakenOver) -> bool:
        """Whether it took the end, or never will."""
        if not self._backoffs[one.channel].ready():
            return False
        try:
            send_somehow(provider, msgspec.structs.replace(one.message, resolved=True))
        except ProviderError as error:
            self._backoffs[one.channel].failed(error.retry_after)
            return error.refused
        return True


def _is_active(alert: Mapping[str, Any]) -> bool:
    status = alert.get("status")
    return isinstance(status, dict) and status.get("state") == "active"


def _message_in_rules_words(account: Account, alert: Mapping[str, Any], settings: Settings, note: str) -> Message:
    """The alert in the words of its rule."""
    labels = {str(name): str(value) for name, value in dict(alert.get("labels") or {}).items()}
    said = {str(name): str(value) for name, value in dict(alert.get("annotations") or {}).items()}
    details = [said.get("description", ""), f"{_(ERROR)}: {said['error']}" if said.get("error") else ""]
    return Message(
        key=f"{settings.device_id}-{account.fingerprint}",
        title=account.title,
        severity=account.severity,
        device=labels.get("device") or settings.device_id,
        component=account.component or "unknown",
        time=account.started,
        alert_id=said.get("alert_id") or account.fingerprint,
        alertname=account.alertname,
        details="\n".join(part for part in details if part),
        suggested_actions=said.get("suggested_actions", ""),
        note=note,
        video=said.get("video", ""),
        video_sha256=said.get("video_sha256", ""),
        runbook_url=said.get("runbook_url", "") or settings.runbook(account.alertname),
        silence_url=settings.silence_url(labels),
        status_url=f"{settings.public_url}/",
    )
