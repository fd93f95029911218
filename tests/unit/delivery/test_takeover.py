"""A provider that refuses what Alertmanager sends: its answer is shown, and alerts go there directly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clock import Clock
from tests.unit.delivery.bench import Provider
from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.channels import Answer, ProviderError
from vv_exporter.delivery import accounts, channel_health
from vv_exporter.delivery.accounts import ACCOUNTS, Account
from vv_exporter.delivery.alertmanager_watch import Counts, Watch
from vv_exporter.delivery.channel_health import CHANNELS, Channel
from vv_exporter.delivery.takeover import DUE_SECONDS, WARNINGS_DUE_SECONDS, TakeOver
from vv_exporter.messages.message import Message
from vv_exporter.settings import load
from vv_exporter.state.store import Store

NOT_FOUND = ProviderError("answered 400: Bad Request: chat not found", 400)
SUPERGROUP = "the chat is a supergroup now: set TELEGRAM_CHAT_ID to -1001"
METRICS = """\
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1000
# TYPE alertmanager_notification_requests_total counter
alertmanager_notification_requests_total{{integration="telegram",receiver_name="chat"}} {attempts}
# TYPE alertmanager_notification_requests_failed_total counter
alertmanager_notification_requests_failed_total{{integration="telegram",receiver_name="chat"}} {failed}
# TYPE alertmanager_notifications_failed_total counter
alertmanager_notifications_failed_total{{integration="telegram",reason="{reason}",receiver_name="chat"}} {failed}
"""


class Following(Provider):
    """As Telegram does with a group that was moved."""

    def send(self, message: Message) -> Answer:
        return super().send(message)._replace(to_do=SUPERGROUP)


class Bench:
    """A store, channels that record, and what Alertmanager has."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.store = Store(path, self.clock)
        self.providers = {name: Provider(name) for name in ("slack", "telegram", "pagerduty", "email")}
        self.alerts: list[dict[str, Any]] | None = []
        self.settings = load({"VV_STATE_DIR": "/nonexistent", "VV_DEVICE_ID": "edge-7"})
        self.begin()

    def begin(self) -> None:
        self.take_over = TakeOver(self.store, self.providers, self._ask, self.settings, self.clock, self.clock)

    def _ask(self) -> list[dict[str, Any]]:
        if self.alerts is None:
            raise DeliveryError("it does not answer")
        return self.alerts

    def fire(self, name: str, severity: str = "error", state: str = "active") -> None:
        """An alert that Alertmanager has, and the account of it."""
        labels = {"alertname": name, "severity": severity, "component": "scan_video", "device": "edge-7"}
        said = {"summary": f"{name} it is", "description": "Twice.", "error": "no frames", "runbook_url": "https://r/x"}
        assert self.alerts is not None
        self.alerts.append(
            {"fingerprint": name, "labels": labels, "annotations": said, "status": {"state": state}, "startsAt": ""}
        )
        with self.store.transaction() as tx:
            accounts.fired(tx, accounts.Alert(name, labels, said, self.clock()))

    def refuse(self, channel: str = "telegram") -> None:
        with self.store.transaction() as tx:
            channel_health.refused(tx, channel, "Alertmanager gave up: refused by the provider (4xx)")

    def later(self, seconds: float = WARNINGS_DUE_SECONDS + 1) -> None:
        self.clock.advance(seconds)
        self.take_over.round()

    def account(self, name: str) -> Account:
        (found,) = [one for one in self.store.docs(ACCOUNTS).values() if one.fingerprint == name]
        return found

    def channel(self, name: str = "telegram") -> Channel:
        return self.store.docs(CHANNELS)[name]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state.db")
    yield bench
    bench.store.close()


def test_what_is_refused_from_alertmanager_is_sent_directly_once(bench: Bench) -> None:
    bench.fire("StageFailing")
    bench.refuse()
    bench.later()
    bench.later()

    (message,) = bench.providers["telegram"].took
    assert (message.title, message.severity, message.component) == ("StageFailing it is", "error", "scan_video")
    assert message.details == "Twice.\nError: no frames"
    assert "refuses what Alertmanager sends: sent directly" in message.note
    assert message.runbook_url == "https://r/x"
    assert "telegram" in bench.account("StageFailing").delivered_by
    assert [bench.providers[name].took for name in ("slack", "pagerduty", "email")] == [[], [], []]


def test_a_group_that_was_moved_is_named_until_alertmanager_gets_through(bench: Bench) -> None:
    bench.providers["telegram"] = Following("telegram")
    bench.begin()
    bench.fire("StageFailing")
    bench.refuse()
    bench.later()
    bench.refuse()

    assert bench.channel().error == SUPERGROUP
    assert bench.channel().since
    with bench.store.transaction() as tx:
        channel_health.took(tx, "telegram")
    assert bench.channel() == Channel(ok=bench.clock(), failed=bench.channel().failed, tried=bench.channel().tried)
    bench.fire("Another")
    bench.later()
    assert bench.providers["telegram"].titles == ["StageFailing it is"]


def test_what_the_provider_says_stands_beside_a_channel_that_takes_nothing_and_the_alert_is_kept(bench: Bench) -> None:
    bench.providers["telegram"].error = NOT_FOUND
    bench.fire("StageFailing", "critical")
    bench.refuse()
    bench.later()
    bench.refuse()

    assert bench.channel().error == "answered 400: Bad Request: chat not found"
    assert bench.account("StageFailing").delivered_by == {}

    bench.providers["telegram"].error = None
    bench.later(120)
    assert bench.providers["telegram"].titles == ["StageFailing it is"]


def test_a_channel_that_takes_nothing_is_asked_once_a_minute(bench: Bench) -> None:
    bench.providers["telegram"].error = NOT_FOUND
    for number in range(20):
        bench.fire(f"Alert{number}")
    bench.refuse()
    bench.clock.advance(DUE_SECONDS)
    for _ in range(600):
        bench.later(1)

    # Whole and in short: twelve pauses or so.
    assert bench.providers["telegram"].tries <= 2 * (6 + 600 / 60 + 1)


@pytest.mark.parametrize(
    ("severity", "gets"),
    [
        ("critical", {"slack", "telegram", "pagerduty"}),
        ("error", {"slack", "telegram"}),
        ("warning", {"slack", "telegram"}),
    ],
)
def test_each_channel_gets_what_is_for_it(bench: Bench, severity: str, gets: set[str]) -> None:
    bench.fire("StageFailing", severity)
    for name in bench.providers:
        bench.refuse(name)
    bench.later()

    assert {name for name, provider in bench.providers.items() if provider.took} == gets


def test_warnings_wait_where_there_are_quiet_hours(bench: Bench) -> None:
    bench.settings = load({"VV_STATE_DIR": "/nonexistent", "VV_QUIET_HOURS": "22:00-07:00"})
    bench.begin()
    bench.fire("BacklogGrowing", "warning")
    bench.fire("StageFailing", "error")
    bench.refuse()
    bench.later()

    assert bench.providers["telegram"].titles == ["StageFailing it is"]


@pytest.mark.parametrize("state", ["suppressed", "unprocessed", ""])
def test_what_is_silenced_or_inhibited_stays_silent(bench: Bench, state: str) -> None:
    bench.fire("StageFailing", state=state)
    bench.refuse()
    bench.later()

    assert bench.providers["telegram"].took == []


def test_what_is_not_due_is_left_to_alertmanager(bench: Bench) -> None:
    bench.refuse()
    bench.fire("Young")
    bench.fire("NotificationsFailing")
    bench.fire("Taken")
    bench.fire("Ended")
    with bench.store.transaction() as tx:
        for name, note in (("Taken", accounts.taken), ("Ended", accounts.ended)):
            labels = {"alertname": name, "severity": "error"}
            alert = accounts.Alert(name, labels, {}, 0.0)
            if note is accounts.taken:
                accounts.taken(tx, alert, "telegram", tx.now)
            else:
                accounts.ended(tx, alert, tx.now)
    bench.later(DUE_SECONDS - 1)
    assert bench.providers["telegram"].took == []

    bench.fire("Warning", "warning")
    bench.later(2)
    assert bench.providers["telegram"].titles == ["Young it is"]

    bench.later(WARNINGS_DUE_SECONDS - 3)
    assert bench.providers["telegram"].titles == ["Young it is"]
    bench.later(2)
    assert bench.providers["telegram"].titles == ["Young it is", "Warning it is"]


class Asked(Provider):
    """As Telegram, of which Alertmanager does not say why it fails."""

    why: ProviderError | None = None
    asked = 0

    def refusal(self) -> ProviderError | None:
        self.asked += 1
        return self.why


def test_where_alertmanager_does_not_say_why_the_provider_is_asked(bench: Bench) -> None:
    provider = Asked("telegram")
    bench.providers["telegram"] = provider
    bench.begin()
    bench.fire("StageFailing")
    bench.later()
    assert provider.asked == 0
    with bench.store.transaction() as tx:
        channel_health.failed(tx, "telegram", "Alertmanager gave up: see Alertmanager's log")
    for _ in range(600):
        bench.later(1)
    assert 5 < provider.asked < 20
    assert provider.took == []  # it is the network: Alertmanager goes on

    provider.why = NOT_FOUND
    bench.later(61)
    bench.later(1)
    assert provider.titles == ["StageFailing it is"]
    assert bench.channel().refused


def test_while_alertmanager_does_not_answer_nothing_is_taken_over(bench: Bench) -> None:
    bench.fire("StageFailing")
    bench.refuse()
    found, bench.alerts = bench.alerts, None
    bench.later()
    assert bench.providers["telegram"].took == []

    bench.alerts = found
    bench.later(5)
    assert bench.providers["telegram"].titles == ["StageFailing it is"]


def test_an_incident_at_a_pager_is_closed_when_the_alert_has_ended_also_after_a_restart(bench: Bench) -> None:
    bench.fire("DockerUnreachable", "critical")
    bench.refuse("pagerduty")
    bench.later()
    bench.begin()
    assert bench.take_over.round()
    with bench.store.transaction() as tx:
        alert = accounts.Alert("DockerUnreachable", {}, {}, 0.0)
        accounts.ended(tx, alert, tx.now)
        channel_health.took(tx, "pagerduty")
    pager = bench.providers["pagerduty"]
    pager.error = ProviderError("answered 503", 503)
    bench.later(5)
    pager.error = None
    bench.later(5)
    bench.later(5)

    assert [(message.key, message.resolved) for message in pager.took] == [
        ("edge-7-DockerUnreachable", False),
        ("edge-7-DockerUnreachable", True),
    ]
    assert not bench.take_over.round()


@pytest.mark.parametrize(
    ("reason", "refused"),
    [
        ("clientError", True),
        ("authError", True),
        ("rateLimited", False),
        ("serverError", False),
        ("contextDeadlineExceeded", False),
        ("other", False),
    ],
)
def test_a_provider_that_says_no_is_told_from_one_that_has_trouble(bench: Bench, reason: str, refused: bool) -> None:
    says = METRICS.format(attempts=1, failed=0, reason=reason)
    watch = Watch(bench.store, lambda: says, 120.0, bench.clock)
    watch.poll(is_accepting=True)
    assert watch.seen.counts["telegram"] == Counts(1.0, 0.0, 0.0, {reason: 0.0})
    says = METRICS.format(attempts=2, failed=1, reason=reason)
    watch.poll(is_accepting=True)

    assert bool(bench.channel().refused) == refused
    assert bench.channel().since
