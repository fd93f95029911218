"""How alerts get to people, wired: relay, watch, direct way, accounts, and the proof that the path is whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from vv_exporter.alert_path.closing import announce_end
from vv_exporter.alert_path.continuity import CHECKED_EVERY_SECONDS, Continuity
from vv_exporter.alert_path.direct_alerts import DIRECT_ALERTS, RETRIED_EVERY_SECONDS, DirectAlerts
from vv_exporter.alert_path.held import HeldAlerts
from vv_exporter.alert_path.leases import CHECKED_EVERY_SECONDS as LEASES_CHECKED_EVERY_SECONDS
from vv_exporter.alert_path.leases import SHORTEST_PAUSE_SECONDS, Leases
from vv_exporter.alert_path.loop import AlertPath
from vv_exporter.alert_path.questions import Questions
from vv_exporter.alert_path.standstill import TICK_SECONDS, Standstill
from vv_exporter.alert_path.unsaved import UnsavedMessages
from vv_exporter.alert_path.unseen import GAPS, UnseenAlerts
from vv_exporter.alertmanager.client import Alertmanager, DeliveryError
from vv_exporter.alertmanager.payload import payload, repeats
from vv_exporter.alertmanager.silences.client import Silences
from vv_exporter.alertmanager.silences.watch import INTERVAL_SECONDS as SILENCES_ASKED
from vv_exporter.alertmanager.silences.watch import SilenceWatch
from vv_exporter.channels import Provider, configured, names_of
from vv_exporter.context import Context, Service
from vv_exporter.delivery import accounts, channel_health
from vv_exporter.delivery.accounts import ACCOUNTS
from vv_exporter.delivery.alertmanager_watch import INTERVAL, Metrics, Watch
from vv_exporter.delivery.channel_health import CHANNELS
from vv_exporter.delivery.direct import DirectWorker, drop_others
from vv_exporter.delivery.failover import HandOver
from vv_exporter.delivery.outage import Missed
from vv_exporter.delivery.relay import DESTINATION, RESULTS, Relay
from vv_exporter.delivery.takeover import TakeOver
from vv_exporter.metrics.alerts import ALERTS_DROPPED, RELAY_DELIVERIES
from vv_exporter.metrics.delivery import ALERTS_MISSED
from vv_exporter.runtime.loop import Loop
from vv_exporter.settings import Settings
from vv_exporter.state.database import StoreError
from vv_exporter.state.openalerts import SEVERITIES, OpenAlert

UNSEEN_ASKED = 10.0  # seconds between questions to Prometheus of what ended before it could be sent
RECONCILED = 60.0  # seconds between comparisons of the accounts with what Alertmanager holds
TAKEN_OVER_EVERY = 5.0  # seconds between looks at channels that refuse what Alertmanager sends
SETTLED_IN = 180.0  # seconds after Alertmanager's start when everything that fires has been sent to it


@dataclass(frozen=True, slots=True)
class Outside:
    """Whom the delivery speaks to: Alertmanager, both servers as the alert path asks them, the channels by name.

    `metrics` gives the text of Alertmanager's, or raises `DeliveryError`.
    """

    alertmanager: Alertmanager
    metrics: Callable[[], str]
    questions: Questions
    channels: Mapping[str, Provider]

    @classmethod
    def of(cls, context: Context) -> Outside:
        """The servers and channels of the settings."""
        settings = context.settings
        return cls(
            Alertmanager(settings.alertmanager),
            Metrics(settings.alertmanager),
            Questions(settings, context.beats, context.clock, context.monotonic),
            configured(settings),
        )


class Delivery:
    """Start it and stop it. Without `outside` it speaks to whom the settings name."""

    def __init__(self, context: Context, outside: Outside | None = None) -> None:
        settings, outside = context.settings, outside or Outside.of(context)
        self._context = context
        self._absent: set[str] = set()
        self._alertmanager = outside.alertmanager
        providers, questions = outside.channels, outside.questions
        self.channels = tuple(name for name in providers if name != "webhook")
        """All that are configured and accounted for here; the webhook has an outbox of its own."""
        usual, urgent = _usual_channels(providers), _urgent_channels(providers)
        self.direct = tuple(urgent)
        """Those that messages are sent by directly."""
        self.watch = Watch(context.store, outside.metrics, settings.direct_after, context.monotonic)

        def present(alert: OpenAlert) -> dict[str, Any]:
            return payload(alert, settings.device_id, settings.runbook("VVEvent"), settings.public_url)

        def repeated(alert: OpenAlert, now: float) -> dict[str, Any]:
            return repeats(alert, settings.device_id, settings.runbook("VVEvent"), settings.public_url, now)

        by_severity: Callable[[str], list[str]] = lambda severity: urgent if severity == "critical" else usual  # noqa: E731
        self.relay = Relay(
            context.store,
            self._alertmanager,
            present,
            settings.alert_window,
            context.clock,
            context.monotonic,
            HandOver(context.store, self.watch, by_severity, settings, context.clock),
            repeated,
        )
        self.missed = Missed(
            context.store,
            [providers[name] for name in usual],
            settings,
            context.clock,
            context.monotonic,
        )
        unsaved = UnsavedMessages([providers[name] for name in urgent], context.monotonic, context.store)
        held = HeldAlerts(self._alertmanager, questions.rules, settings, context.clock, context.monotonic)
        standstill = Standstill(context.clock, settings.alert_path_after)
        self.path = AlertPath(
            context.store,
            context.beats,
            questions,
            urgent,
            settings,
            context.clock,
            held,
            unsaved.hold,
            standstill,
            questions.evaluated_within,
        )
        path = Loop("alert-path", "the alert path", self.path.round, self.path.interval)

        def wake_after_standstill() -> None:
            if standstill.tick():
                path.wake()

        self.leases = Leases(
            context.store,
            self._alertmanager,
            questions.rules,
            context.clock,
            context.beats.now,
            self._is_path_broken,
        )
        leases = Loop(
            "leases", "leases of what fires", self.leases.round, LEASES_CHECKED_EVERY_SECONDS, SHORTEST_PAUSE_SECONDS
        )
        context.store.when_changed(ACCOUNTS, leases.wake)
        unsaved_loop = Loop("unsaved", "messages that could not be written down", unsaved.round)
        unsaved.when_held(unsaved_loop.wake)
        unseen = Loop(
            "unseen", "unseen alerts", UnseenAlerts(context.store, settings, context.clock).round, UNSEEN_ASKED
        )
        context.store.when_changed(GAPS, unseen.wake)
        self._continuity = Continuity(
            context.store,
            self._alertmanager,
            questions,
            context.beats,
            urgent,
            settings,
            context.clock,
            context.monotonic,
        )
        continuity = Loop("continuity", "what goes on after a restart", self._continuity.round, CHECKED_EVERY_SECONDS)
        direct_alerts = DirectAlerts(context.store, self._alertmanager, settings, context.clock, context.monotonic)
        direct = Loop("told-directly", "alerts told directly", direct_alerts.round, RETRIED_EVERY_SECONDS)
        context.store.when_changed(DIRECT_ALERTS, direct.wake)
        silences = SilenceWatch(context.store, Silences(settings.alertmanager), context.clock)
        self.senders = [DirectWorker(context.store, providers[name], context.monotonic) for name in urgent]
        looks = min(INTERVAL, settings.direct_after / 4)
        take_over = TakeOver(
            context.store, providers, self._alertmanager.alerts, settings, context.clock, context.monotonic
        )
        taking_over = Loop("take-over", "channels that refuse Alertmanager", take_over.round, TAKEN_OVER_EVERY)
        context.store.when_changed(CHANNELS, taking_over.wake)
        missed = Loop("missed", "missed alerts", self.missed.round)
        context.store.when_changed(ACCOUNTS, missed.wake)
        context.store.when_changed(ACCOUNTS, continuity.wake)
        self._parts: list[Service] = [
            Loop("alertmanager-watch", "looks at Alertmanager", self._look_at_alertmanager, looks),
            missed,
            taking_over,
            Loop("reconcile", "accounts", self._reconcile_accounts, RECONCILED),
            unsaved_loop,
            unseen,
            continuity,
            direct,
            Loop("silences", "the timeline of silences", silences.check, SILENCES_ASKED),
            path,
            Loop("standstill", "whether anything ran", wake_after_standstill, TICK_SECONDS),
            leases,
            *self.senders,
            self.relay,
        ]

    def start(self) -> None:
        """Begin."""
        with contextlib.suppress(StoreError), self._context.store.transaction() as tx:
            for channel in self.channels:
                channel_health.begin(tx, channel)
            tx.ensure(ALERTS_MISSED, ("critical",), ("error",), ("warning",))
            tx.ensure(ALERTS_DROPPED, *((severity,) for severity in SEVERITIES))
            tx.ensure(RELAY_DELIVERIES, *((DESTINATION, result) for result in RESULTS))
        with contextlib.suppress(StoreError):
            drop_others(self._context.store, self.direct)
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """End; what waits is kept."""
        for part in reversed(self._parts):
            part.stop()

    def _look_at_alertmanager(self) -> None:
        if self.watch.poll(is_accepting=self.relay.is_accepting):
            self.relay.retry()
        else:
            self.relay.wake()  # it hands over when there is an outage

    def _reconcile_accounts(self) -> None:
        """End the accounts of alerts that Alertmanager no longer holds: it was restarted, or its word was lost.

        It has the time until the next round to announce those that have just ended.
        """
        store, seen, now = self._context.store, self.watch.seen, self._context.clock()
        known = store.docs(ACCOUNTS)
        is_open = any(not account.ended for account in known.values())
        if not is_open or seen.down or now - seen.started < SETTLED_IN or self._is_path_broken():
            self._absent = set()
            return
        try:
            firing = {str(alert.get("fingerprint")) for alert in self._alertmanager.alerts()}
        except DeliveryError:
            return
        absent = accounts.absent(known, firing, now - SETTLED_IN) - self._continuity.doubtful
        before, self._absent = self._absent, absent
        if not absent & before:
            return
        with store.transaction() as tx:
            for id_ in absent & before:
                account = accounts.orphan(tx, id_)
                if account is not None:
                    announce_end(tx, account, self._context.settings)

    def _is_path_broken(self) -> bool:
        """What Alertmanager holds is then no judgement."""
        verdict = self._context.beats.verdict
        return verdict is not None and verdict.is_broken


def direct_channels(settings: Settings) -> list[Provider]:
    """The channels that what is critical is sent by directly."""
    providers = configured(settings)
    return [providers[name] for name in _urgent_channels(providers)]


def _usual_channels(providers: Container[str]) -> list[str]:
    """The chats; without any, mail; without that, the pagers."""
    chats, mails, pagers = (
        [name for name in names_of(kind) if name in providers] for kind in ("chat", "mail", "pager")
    )
    return chats or mails or pagers


def _urgent_channels(providers: Container[str]) -> list[str]:
    """These and the pagers."""
    usual = _usual_channels(providers)
    return [*usual, *(name for name in names_of("pager") if name in providers and name not in usual)]
