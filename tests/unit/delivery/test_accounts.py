"""What became of each alert: who was told, and what nobody was told of is told in a summary."""

import json
from typing import Any

import msgspec
import pytest

from tests.unit.delivery.bench import Bench, dropped, fail, notified, outage
from vv_exporter.channels import ProviderError
from vv_exporter.delivery import accounts, notificationevents, notifications
from vv_exporter.delivery.accounts import KEPT, Account
from vv_exporter.delivery.channel_health import CHANNELS, Channel, failed, took
from vv_exporter.delivery.outage import summary
from vv_exporter.metrics.alerts import NOTIFICATIONS_LOGGED
from vv_exporter.metrics.delivery import ALERTS_MISSED


def test_an_account_opens_with_the_log_and_closes_when_a_channel_took_it(bench: Bench) -> None:
    bench.notification()
    bench.event(notification=notified("slack"))
    bench.event(notification=notified("telegram"))
    (account,) = bench.accounts()
    assert sorted(account.delivered_by) == ["slack", "telegram"]
    assert account.title == "StageFailing it is"

    bench.notification("resolved")
    bench.event(notification=notified("slack", over=True))
    bench.clock.advance(KEPT + 1)
    bench.missed.round()
    assert [account.owed for account in bench.accounts()] == [["telegram"]]
    bench.event(notification=notified("telegram", over=True))
    bench.missed.round()
    assert bench.accounts() == []
    assert bench.slack.took == []


def test_one_that_fires_again_before_its_end_was_told_stands_where_it_was_told(bench: Bench) -> None:
    bench.notification()
    bench.event(notification=notified("slack"))
    bench.event(notification=notified("telegram"))
    bench.notification("resolved")
    bench.event(notification=notified("telegram", over=True))
    bench.clock.advance(30)
    bench.notification()

    (again,) = (account for account in bench.accounts() if not account.ended)
    assert sorted(again.delivered_by) == ["slack"]  # to Telegram it is sent anew
    assert [account.owed for account in bench.accounts() if account.ended] == [[]]
    bench.notification("resolved")
    bench.event(notification=notified("slack", over=True))
    bench.clock.advance(30)
    bench.notification()
    assert [account.delivered_by for account in bench.accounts() if not account.ended] == [{}]


def test_the_log_and_the_dead_mans_switch_are_nobody(bench: Bench) -> None:
    bench.notification()
    bench.event(notification=notified("webhook", "log"))
    bench.event(notification=notified("webhook", "deadman"))

    assert bench.accounts()[0].delivered_by == {}


@pytest.mark.parametrize(
    "labels", [{"severity": "info"}, {"severity": "none"}, {"told": "direct"}, {"name": "Watchdog"}]
)
def test_what_nobody_is_to_be_told_of_has_no_account(bench: Bench, labels: dict[str, str]) -> None:
    bench.notification(**labels)

    assert bench.accounts() == []


def test_an_odd_alert_among_many_costs_itself_only(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    good = {"status": "firing", "labels": {"alertname": "Good", "severity": "error"}, "annotations": {}}
    odd: list[Any] = [
        {"status": "firing", "labels": {"alertname": "Numbers", "x": 1}, "annotations": None, "startsAt": 7},
        "no alert at all",
        {"labels": []},
        good | {"startsAt": "2023-11-14T22:13:20Z", "endsAt": "", "fingerprint": "f"},
    ]
    body = notifications.parse(json.dumps({"alerts": odd}).encode())
    with bench.store.transaction() as tx:
        notifications.record(tx, body)

    lines = [notifications.log_line(alert).text for alert in body.alerts]
    assert "Good" in lines[3]
    assert "no alert at all" in lines[1]
    assert "Numbers" in lines[0]
    assert [account.alertname for account in bench.accounts()] == ["Good"]
    assert bench.store.value(NOTIFICATIONS_LOGGED, ("firing", "error")) == 4


@pytest.mark.parametrize("odd", ["text", {"details": 5}, {"details": {"fingerprint": "²"}}, {"hash": 7}])
def test_an_odd_alert_in_an_event_costs_itself_only(bench: Bench, odd: Any) -> None:
    event = notified()
    event["alerts"] = [odd, *event["alerts"]]
    event["firingAlerts"] = [odd, *event["firingAlerts"]]
    bench.event(notification=event)

    assert list(bench.accounts()[-1].delivered_by) == ["slack"]


def test_of_too_many_accounts_those_that_people_were_told_of_and_the_least_severe_go_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "MAX_ACCOUNTS", 3)
    for number, severity in enumerate(("critical", "warning", "error", "critical", "error", "critical", "warning")):
        alert = accounts.Alert(f"f{number}", {"alertname": f"A{number}", "severity": severity}, {}, 0.0)
        with bench.store.transaction() as tx:
            accounts.fired(tx, alert)
            if number == 3:
                accounts.taken(tx, alert, "slack", tx.now)
        bench.clock.advance(1)

    assert {account.alertname for account in bench.accounts()} == {"A0", "A4", "A5"}
    assert (dropped(bench, "warning"), dropped(bench, "error"), dropped(bench, "critical")) == (2, 1, 0)


def test_the_summary_names_the_most_severe_first(bench: Bench) -> None:
    many = [Account("f", f"A{n}", "warning", "c", f"w{n}", 1.0, float(n), 2.0) for n in range(30)]
    told = summary([*many, Account("f", "C", "critical", "c", "the one", 1.0, 99.0, 100.0)], bench.settings, 200.0)

    assert "the one" in told.details.splitlines()[1]


def test_what_ended_while_channels_failed_is_told_once_when_one_works_across_restarts(bench: Bench) -> None:
    outage(bench)
    bench.work(300)
    bench.restart()
    bench.slack.error = bench.telegram.error = None
    bench.work(120)
    bench.restart()
    bench.work(300)

    assert bench.slack.titles == bench.telegram.titles == ["1 alert was not delivered: notifications failed"]
    assert "StageFailing it is" in bench.slack.took[0].details
    assert bench.store.value(ALERTS_MISSED, ("error",)) == 1
    assert bench.accounts() == []


def test_the_summary_waits_for_the_channel_that_is_still_away(bench: Bench) -> None:
    outage(bench)
    bench.slack.error = None
    bench.work(200)
    assert len(bench.slack.took) == 1

    bench.telegram.error = None
    bench.work(120)
    assert len(bench.telegram.took) == len(bench.slack.took) == 1


def test_an_alert_too_short_to_be_told_without_any_failure_is_not_missed(bench: Bench) -> None:
    bench.notification()
    bench.notification("resolved")
    bench.work(300)

    assert bench.slack.took == []
    assert bench.accounts() == []


def test_an_alert_too_short_to_be_told_while_another_channel_works_is_not_missed(bench: Bench) -> None:
    bench.notification()
    fail(bench, "slack", "pagerduty")
    bench.notification("resolved")
    bench.work(300)

    assert bench.slack.took == []
    assert bench.accounts() == []


def test_one_that_was_inhibited_or_silenced_is_not_missed(bench: Bench) -> None:
    bench.slack.error = ProviderError("no connection")
    bench.notification()
    fail(bench)
    bench.event(inhibitionMutedAlert={"mutedAlert": {"fingerprint": "255"}})
    bench.clock.advance(10)
    bench.notification("resolved")
    bench.slack.error = None
    bench.work(300)

    assert bench.slack.took == []


def test_one_that_was_told_at_the_last_moment_is_not_missed(bench: Bench) -> None:
    outage(bench)
    bench.event(notification=notified("slack"))
    # The event came after the end: Alertmanager was still trying.
    bench.slack.error = bench.telegram.error = None
    bench.work(300)

    assert bench.slack.took == []


def test_accounts_of_alerts_that_alertmanager_forgot_end(bench: Bench) -> None:
    bench.notification()
    (account,) = bench.accounts()
    known = {account.id: account}
    assert accounts.absent(known, {account.fingerprint}, account.fired) == set()
    assert accounts.absent(known, {"0000000000000001"}, account.fired - 1) == set()
    assert accounts.absent(known, {"0000000000000001"}, account.fired) == {account.id}
    with bench.store.transaction() as tx:
        assert accounts.orphan(tx, account.id) is not None
        assert accounts.orphan(tx, account.id) is None

    assert (bench.accounts()[0].ended, bench.accounts()[0].orphaned) == (bench.clock.now, True)


def test_a_success_ends_a_failure(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        failed(tx, "slack", "answered 500")
    since = (bench.store.document(CHANNELS, "slack") or Channel()).since
    bench.clock.advance(60)
    with bench.store.transaction() as tx:
        failed(tx, "slack", "answered 500")
    assert (bench.store.document(CHANNELS, "slack") or Channel()).since == since
    with bench.store.transaction() as tx:
        took(tx, "slack")

    channel = bench.store.document(CHANNELS, "slack") or Channel()
    assert (channel.since, channel.error) == (0.0, "")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"\xff", b'{"data": 1}', b'{"data": {"notification": {"alerts": 3}}}']
)
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not an event"):
        notificationevents.parse(body)


@pytest.mark.parametrize("data", [{}, {"alertCreated": {"alert": {}}}, {"anythingNew": [1]}])
def test_other_events_are_passed_over(data: dict[str, Any]) -> None:
    event = notificationevents.parse(msgspec.json.encode({"data": data}))

    assert not notificationevents.concerns(event)
