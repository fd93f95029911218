"""Which way an alert goes while Alertmanager is there, gone and back; what is accounted for; all of it across kills."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.clock import Clock
from vv_exporter import accounts, notificationevents, notifications
from vv_exporter.accounts import ACCOUNTS, KEPT, Account
from vv_exporter.channels import CHANNELS, Channel, failed, took
from vv_exporter.database import StoreError
from vv_exporter.direct import outbox
from vv_exporter.direct.message import Message
from vv_exporter.direct.outbox import MANY, OUTGOING, REFUSALS, Sender, drop_others, put, waiting
from vv_exporter.direct.providers import Answer, ProviderError
from vv_exporter.metrics.alerts import ALERTS_DROPPED, NOTIFICATIONS_LOGGED
from vv_exporter.metrics.delivery import ALERTS_MISSED, NOTIFICATIONS
from vv_exporter.openalerts import ALERTS, ENDED, OpenAlert, end_alert
from vv_exporter.relay import webhook
from vv_exporter.relay.alertmanager import DeliveryError, RejectedError
from vv_exporter.relay.handover import HandOver
from vv_exporter.relay.missed import Missed, summary
from vv_exporter.relay.payload import description, payload, repeats
from vv_exporter.relay.watch import INTERVAL, SEEN, Watch, parse
from vv_exporter.relay.worker import Relay
from vv_exporter.settings import load
from vv_exporter.store import Store, Transaction
from vv_exporter.timeline import Filter, read

AFTER = 120.0
WINDOW = 900.0
METRICS = """\
# HELP process_start_time_seconds Start time.
# TYPE process_start_time_seconds gauge
process_start_time_seconds {start}
# TYPE alertmanager_notification_requests_total counter
alertmanager_notification_requests_total{{integration="slack",receiver_name="chat"}} {attempts}
alertmanager_notification_requests_total{{integration="webhook",receiver_name="log"}} 900
# TYPE alertmanager_notification_requests_failed_total counter
alertmanager_notification_requests_failed_total{{integration="slack",receiver_name="chat"}} {in_vain}
# TYPE alertmanager_notifications_failed_total counter
alertmanager_notifications_failed_total{{integration="slack",reason="serverError",receiver_name="chat"}} {given_up}
"""


class Provider:
    """Records what it takes; refuses while it is told to."""

    title = "a channel"

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: ProviderError | None = None
        self.tries = 0
        self.took: list[Message] = []

    def send(self, message: Message) -> Answer:
        self.tries += 1
        if self.error is not None:
            raise self.error
        self.took.append(message)
        return Answer(200, "ok")

    test = send

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.took]


class Bench:
    """The exporter's parts around one store; `down` says that Alertmanager does not answer."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.path = path
        self.down = False
        self.says = ""
        self.metrics = {"start": 1000.0, "attempts": 0, "in_vain": 0, "given_up": 0}
        self.sent: list[dict[str, Any]] = []
        self.slack, self.telegram, self.pagerduty = Provider("slack"), Provider("telegram"), Provider("pagerduty")
        self.settings = load({"VV_STATE_DIR": "/nonexistent", "VV_DEVICE_ID": "edge-7", "VV_DELIVERY_SETTLE": "60s"})
        self.channels = {"critical": ["slack", "telegram", "pagerduty"], "error": ["slack", "telegram"]}
        self.begin()

    def begin(self) -> None:
        self.store = Store(self.path, self.clock)
        self.watch = Watch(self.store, self.ask, lambda: self.relay.taking, AFTER, self.clock)
        aside = HandOver(
            self.store,
            self.watch,
            lambda severity: self.channels.get(severity, self.channels.get("error", [])),
            self.settings,
            self.clock,
        )
        present = lambda alert: payload(alert, "edge-7", "r", "g")  # noqa: E731
        told = lambda alert, now: repeats(alert, "edge-7", "r", "g", now)  # noqa: E731
        self.relay = Relay(self.store, self, present, WINDOW, self.clock, self.clock, aside, told)
        self.senders = [Sender(self.store, one, self.clock) for one in (self.slack, self.telegram, self.pagerduty)]
        self.missed = Missed(self.store, [self.slack, self.telegram], self.settings, self.clock, self.clock)

    def restart(self) -> None:
        self.store.close()
        self.begin()

    def ask(self) -> str:
        if self.down:
            raise DeliveryError("nobody there")
        return self.says or METRICS.format(**self.metrics)

    def send(self, alerts: list[dict[str, Any]]) -> None:
        if self.down:
            raise DeliveryError("nobody there")
        self.sent += alerts

    def work(self, seconds: float) -> None:
        """Let everything do its work for so long, in steps."""
        for _ in range(int(seconds / INTERVAL)):
            self.watch.look()
            self.relay.round()
            for sender in self.senders:
                sender.round()
            self.missed.round()
            self.clock.advance(INTERVAL)

    def put(self, key: str = "k", severity: str = "error") -> None:
        now = self.clock.now
        alert = OpenAlert(
            id=f"id-{key}", key=key, severity=severity, title=f"T {key}", component="c", first=now, last=now,
            ends=now + WINDOW,
        )  # fmt: skip
        with self.store.transaction() as tx:
            tx.put(ALERTS, key, alert)

    def notification(self, status: str = "firing", name: str = "StageFailing", **labels: str) -> None:
        """Alertmanager's notification to the log."""
        every = {"alertname": name, "severity": "error", "component": "scan_video", **labels}
        alert = {
            "status": status, "labels": every, "annotations": {"summary": f"{name} it is"},
            "startsAt": "2023-11-14T22:13:20.123456789Z", "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "00000000000000ff",
        }  # fmt: skip
        body = notifications.parse(json.dumps({"alerts": [alert]}).encode())
        with self.store.transaction() as tx:
            notifications.record(tx, body)

    def event(self, **data: Any) -> None:
        """What the event recorder posts."""
        body = notificationevents.parse(json.dumps({"@timestamp": "2023-11-14T22:13:25Z", "data": data}).encode())
        with self.store.transaction() as tx:
            notificationevents.record(tx, body)

    def accounts(self) -> list[Account]:
        return list(self.store.docs(ACCOUNTS).values())


def notified(integration: str = "slack", receiver: str = "chat", fingerprint: str = "255", **labels: str) -> Any:
    every = {"alertname": "StageFailing", "severity": "error", "component": "scan_video", **labels}
    pairs = [{"key": name, "value": value} for name, value in every.items()]
    details = {"fingerprint": fingerprint, "labels": {"labels": pairs}, "startsAt": "2023-11-14T22:13:20.1Z"}
    return {
        "alerts": [{"hash": "7", "details": details}],
        "firingAlerts": [{"hash": "7"}],
        "groupInfo": {"receiverName": receiver},
        "integration": {"name": integration},
    }


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state.db")
    yield bench
    bench.store.close()


def labels_of(alerts: list[dict[str, Any]]) -> list[Mapping[str, str]]:
    return [alert["labels"] for alert in alerts]


def test_while_alertmanager_answers_nothing_goes_directly(bench: Bench) -> None:
    bench.put()
    bench.work(600)

    assert bench.slack.took == []
    assert {"told"} & bench.sent[0]["labels"].keys() == set()


def test_before_the_time_is_up_nothing_goes_directly(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put()
    bench.work(AFTER - INTERVAL)

    assert bench.slack.took == []


def test_after_it_alerts_go_directly_once_with_the_reason_and_are_not_told_by_alertmanager_again(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put("a", "critical")
    bench.put("b")
    bench.put("c", "info")
    bench.work(AFTER + 60)
    bench.down = False
    bench.work(120)

    assert bench.slack.titles == ["T a", "T b"]
    assert bench.telegram.titles == bench.slack.titles
    assert bench.pagerduty.titles == ["T a"]
    assert "Alertmanager does not answer since 2023-11-14T22:13:3" in bench.slack.took[0].note
    told = {labels["title"]: labels.get("told") for labels in labels_of(bench.sent)}
    assert told == {"T a": "direct", "T b": "direct", "T c": None}


def test_the_outage_adds_up_across_restarts_and_alerts_of_it_are_told_once(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put()
    for _ in range(12):
        bench.work(20)
        bench.restart()
    bench.work(30)

    assert bench.slack.titles == ["T k"]
    bench.restart()
    bench.work(300)
    assert bench.slack.titles == ["T k"]


def test_one_whose_metrics_cannot_be_read_is_away(bench: Bench) -> None:
    bench.work(10)
    bench.says = "process_start_time_seconds soon"
    bench.work(AFTER + 3 * INTERVAL)
    assert bench.watch.outage()

    bench.says = ""
    bench.work(3 * INTERVAL)
    assert not bench.watch.outage()


def test_neither_a_device_that_was_off_nor_a_clock_that_jumps_is_an_outage(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put()
    bench.work(20)
    bench.clock.advance(86_400)
    bench.restart()
    bench.work(20)

    assert bench.slack.took == []


def test_an_alertmanager_that_answers_but_takes_no_alerts_is_one_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(alerts: list[dict[str, Any]]) -> None:
        raise DeliveryError("answered 500")

    monkeypatch.setattr(bench, "send", refuse)
    bench.put()
    bench.work(AFTER + 60)

    assert "T k" in bench.slack.titles


def test_what_it_took_before_it_went_is_not_sent_again(bench: Bench) -> None:
    bench.put()
    bench.work(10)
    bench.down = True
    bench.work(AFTER + 60)

    assert bench.slack.titles == []


def test_what_it_took_just_before_it_went_and_is_known_not_to_have_told_goes_directly(bench: Bench) -> None:
    bench.event(notification=notified())  # it reports what it tells
    bench.put("told")
    bench.put("untold")
    bench.work(5)
    bench.event(notification=notified(alert_key="told"))
    bench.down = True
    bench.work(AFTER + 60)

    assert bench.slack.titles == ["T untold"]


def test_a_channel_that_is_away_delays_no_other_and_loses_nothing(bench: Bench) -> None:
    bench.telegram.error = ProviderError("no connection")
    bench.work(10)
    bench.down = True
    bench.put()
    bench.work(AFTER + 300)
    bench.restart()
    assert bench.slack.titles == ["T k"]
    assert bench.telegram.took == []
    assert bench.telegram.tries < 20

    bench.telegram.error = None
    bench.work(120)
    assert bench.telegram.titles == ["T k"]


def test_a_kill_between_the_provider_and_the_note_of_it_tells_twice_and_loses_nothing(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        put(tx, Message("k", "T", "error", "d", "c", 0.0, "i"), ["slack"])
    send = bench.slack.send

    class Killed(BaseException):
        pass

    def killed(message: Message) -> Answer:
        send(message)
        raise Killed

    bench.slack.send = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        bench.senders[0].round()
    bench.slack.send = send  # type: ignore[method-assign]
    bench.restart()
    bench.work(10)

    assert bench.slack.titles == ["T", "T"]
    assert waiting(bench.store, "slack") == []


def full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: nothing can be written down."""
    write = bench.store._write

    def no_space(changes: Transaction) -> None:
        if changes.documents or changes.series or changes.history:
            raise StoreError("database or disk is full")
        write(changes)

    monkeypatch.setattr(bench.store, "_write", no_space)


def test_on_a_full_disk_a_message_is_sent_once_and_noted_when_there_is_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench.store.transaction() as tx:
        put(tx, Message("k", "T", "error", "d", "c", 0.0, "i"), ["slack"])
    with monkeypatch.context() as patch:
        full(bench, patch)
        for _ in range(20):
            with pytest.raises(StoreError):
                bench.senders[0].round()
            bench.clock.advance(60)
    bench.senders[0].round()

    assert bench.slack.titles == ["T"]
    assert waiting(bench.store, "slack") == []


def test_on_a_full_disk_a_summary_is_told_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    outage(bench)
    bench.work(100)
    bench.clock.advance(100)
    bench.slack.error = bench.telegram.error = None
    with monkeypatch.context() as patch:
        full(bench, patch)
        for _ in range(20):
            with pytest.raises(StoreError):
                bench.missed.round()
            bench.clock.advance(60)
    bench.missed.round()

    assert len(bench.slack.took) == 1
    assert bench.accounts() == []


def test_many_go_as_one(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        for number in range(MANY + 1):
            put(tx, Message(f"k{number}", f"T {number}", "error", "d", "c", 0.0, "i"), ["slack"])
    bench.work(60)

    assert bench.slack.titles == ["6 alerts, the first: T 0"]


def test_a_message_that_is_refused_as_it_is_does_not_hold_up_the_others_for_ever(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        put(tx, Message("k", "bad", "error", "d", "c", 0.0, "i"), ["slack"])
        put(tx, Message("l", "good", "error", "d", "c", 0.0, "i"), ["slack"])
    send = bench.slack.send

    def refuse(message: Message) -> Answer:
        bench.slack.error = ProviderError("answered 400: no", 400) if message.title == "bad" else None
        return send(message)

    bench.slack.send = refuse  # type: ignore[method-assign]
    bench.work(60)

    assert bench.slack.titles == ["good"]
    assert bench.slack.tries == REFUSALS + 1


def wait_for_slack(bench: Bench, *titles: str, severity: str = "error", to: tuple[str, ...] = ("slack",)) -> None:
    for title in titles:
        with bench.store.transaction() as tx:
            put(tx, Message(f"k-{title}", title, severity, "d", "c", 0.0, f"id-{title}", details="why"), to)


def refuse(bench: Bench, title: str, error: Exception) -> None:
    """Slack does not take a message that has this title anywhere in it."""
    send = bench.slack.send

    def picky(message: Message) -> Answer:
        if title in message.title or title in message.details:
            bench.slack.tries += 1
            raise error
        return send(message)

    bench.slack.send = picky  # type: ignore[method-assign]


def dropped(bench: Bench, severity: str) -> float:
    return bench.store.value(ALERTS_DROPPED, (severity,)) or 0.0


@pytest.mark.parametrize(
    "error", [ProviderError("answered 400: no", 400), UnicodeEncodeError("ascii", "x", 0, 1, "no")]
)
def test_one_of_many_that_is_refused_costs_itself_only(bench: Bench, error: Exception) -> None:
    wait_for_slack(bench, *(f"T {number}." for number in range(12)))
    refuse(bench, "T 7.", error)
    bench.work(1200)

    told = "\n".join(f"{message.title} {message.details}" for message in bench.slack.took)
    assert [number for number in range(12) if f"T {number}." not in told] == [7]
    assert waiting(bench.store, "slack") == []
    assert dropped(bench, "error") == 1


def test_what_the_last_channel_refuses_is_lost_and_what_another_took_is_not(bench: Bench) -> None:
    wait_for_slack(bench, "to both", to=("telegram", "slack"))
    wait_for_slack(bench, "to one", severity="critical")
    refuse(bench, "to", ProviderError("answered 400: no", 400))
    bench.work(120)

    assert bench.telegram.titles == ["to both"]
    assert (dropped(bench, "error"), dropped(bench, "critical")) == (0, 1)
    (moment,) = [one for one in read(bench.store, Filter()).moments if one.kind == "alert.dropped"]
    assert (moment.alert_id, moment.details) == ("id-to one", "why")


def test_too_many_messages_push_out_what_was_read_elsewhere_and_then_the_least_severe(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 3)
    bench.telegram.error = ProviderError("no connection")
    wait_for_slack(bench, "read", severity="critical", to=("slack", "telegram"))
    bench.work(10)
    wait_for_slack(bench, "w", severity="warning", to=("telegram",))
    wait_for_slack(bench, "c1", "c2", "c3", severity="critical", to=("telegram",))
    wait_for_slack(bench, "late", severity="warning", to=("slack",))

    assert [one.message.title for one in waiting(bench.store, "telegram")] == ["c1", "c2", "c3"]
    assert waiting(bench.store, "slack") == []
    assert (dropped(bench, "warning"), dropped(bench, "critical")) == (2, 0)


def test_a_channel_that_is_dead_for_long_does_not_close_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 3)
    bench.telegram.error = ProviderError("no connection")
    for number in range(6):
        wait_for_slack(bench, f"T {number}", to=("slack", "telegram"))
        bench.work(10)

    assert bench.slack.titles == [f"T {number}" for number in range(6)]
    assert dropped(bench, "error") == 0


def test_messages_for_a_channel_that_is_gone_do_not_stay(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        put(tx, Message("k", "T", "error", "d", "c", 0.0, "i"), ["slack", "telegram"])
    drop_others(bench.store, ["slack"])

    (one,) = bench.store.docs(OUTGOING).values()
    assert one.left == {"slack": 0}


def test_a_page_that_was_sent_directly_is_closed_when_the_alert_ends(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put("a", "critical")
    bench.work(AFTER + 60)
    bench.down = False
    bench.work(2 * WINDOW)

    closed = [message.resolved for message in bench.pagerduty.took if message.title == "T a"]
    assert closed == [False, True]
    assert [message.resolved for message in bench.slack.took if message.title == "T a"] == [False]


def reject(bench: Bench, title: str) -> None:
    """Alertmanager answers 400 to this alert, and takes the others."""
    send = bench.send

    def picky(alerts: list[dict[str, Any]]) -> None:
        if any(alert["labels"]["title"] == title for alert in alerts):
            raise RejectedError("answered 400: start time must be before end time")
        send(alerts)

    bench.send = picky  # type: ignore[method-assign]
    bench.relay._destination = bench


def test_an_alert_that_alertmanager_refuses_goes_directly_once_and_is_no_outage(bench: Bench) -> None:
    for key in ("bad", "good"):
        bench.put(key, "critical")
    reject(bench, "T bad")
    bench.work(AFTER + 300)
    bench.restart()
    bench.work(2 * WINDOW)

    assert bench.slack.titles == bench.telegram.titles == ["T bad"]
    assert bench.slack.took[0].note == "Alertmanager refuses it as it is: sent directly."
    assert [message.resolved for message in bench.pagerduty.took] == [False, True]
    assert {labels["title"] for labels in labels_of(bench.sent)} == {"T good"}
    assert bench.watch.seen.down == 0
    assert bench.store.docs(ALERTS) == bench.store.docs(ENDED) == {}


def events(bench: Bench) -> list[tuple[str, str, str]]:
    """What waits for the webhook: status, title and alert id."""
    found = []
    for parcel in webhook.OUTBOX.waiting(bench.store).values():
        event = json.loads(parcel.body)
        found.append((parcel.headers["VV-Alert-Status"], event["title"], event["alert_id"]))
    return found


def with_a_webhook_only(bench: Bench) -> None:
    environ = {"VV_STATE_DIR": "/nonexistent", "VV_DEVICE_ID": "edge-7", "WEBHOOK_URL": "http://127.0.0.1:9/hook"}
    bench.settings = load(environ)
    bench.channels = {}
    bench.restart()


def test_a_device_with_a_webhook_only_hears_of_alerts(bench: Bench) -> None:
    with_a_webhook_only(bench)
    bench.work(10)
    bench.down = True
    bench.put("a", "critical")
    bench.work(AFTER + 60)
    bench.restart()
    bench.down = False
    bench.work(60)

    assert events(bench) == [("firing", "T a", "id-a")]


def test_what_the_webhook_had_directly_it_does_not_get_again_from_alertmanager_but_its_end(bench: Bench) -> None:
    with_a_webhook_only(bench)
    bench.work(10)
    bench.down = True
    bench.put("a", "critical")
    bench.work(AFTER + 60)
    bench.down = False
    bench.work(60)
    (sent,) = {alert["labels"]["title"]: alert for alert in bench.sent}.values()
    links = webhook.Links("http://e", "http://a")
    for status in ("firing", "firing", "resolved"):
        alert = notifications.NotifiedAlert(
            status, sent["labels"], sent["annotations"], sent["startsAt"], sent["endsAt"],
            webhook.fingerprint(sent["labels"]),
        )  # fmt: skip
        with bench.store.transaction() as tx:
            webhook.tell(tx, alert, links)

    assert [event[0] for event in events(bench) if event[2] == "id-a"] == ["firing", "resolved"]


def test_the_webhook_hears_of_an_alert_that_alertmanager_refuses_and_of_its_end(bench: Bench) -> None:
    with_a_webhook_only(bench)
    bench.put("bad", "critical")
    reject(bench, "T bad")
    bench.work(2 * WINDOW)

    assert [(status, id_) for status, _, id_ in events(bench)] == [("firing", "id-bad"), ("resolved", "id-bad")]
    assert dropped(bench, "critical") == 0


def test_an_alert_that_cannot_be_written_holds_up_no_other_on_the_direct_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe(alert: OpenAlert) -> str:
        if alert.key == "bad":
            raise ValueError("an alert that has no words")
        return description(alert)

    monkeypatch.setattr("vv_exporter.relay.handover.description", describe)
    monkeypatch.setattr("vv_exporter.relay.payload.description", describe)
    bench.work(10)
    bench.down = True
    for key in ("bad", "good"):
        bench.put(key, "critical")
    bench.work(AFTER + 60)
    bench.down = False
    bench.work(2 * WINDOW)

    assert "T good" in bench.slack.titles
    assert dropped(bench, "critical") == 1
    assert bench.store.docs(ALERTS) == bench.store.docs(ENDED) == {}


def test_a_page_of_one_that_gives_way_during_an_outage_is_closed(bench: Bench) -> None:
    bench.work(10)
    bench.down = True
    bench.put("a", "critical")
    bench.work(AFTER + 60)
    with bench.store.transaction() as tx:
        end_alert(tx, bench.store.docs(ALERTS)["a"])
    bench.work(30)

    assert [message.resolved for message in bench.pagerduty.took if message.title == "T a"] == [False, True]
    assert bench.store.docs(ENDED) == {}


def repeat(bench: Bench, times: int, key: str = "k") -> None:
    """The same alert, so many times more."""
    with bench.store.transaction() as tx:
        alert = tx.get(ALERTS, key)
        assert alert is not None
        tx.put(ALERTS, key, msgspec.structs.replace(alert, count=alert.count + times, ends=bench.clock.now + WINDOW))


def repeats_told(bench: Bench) -> list[str]:
    return [alert["annotations"]["summary"] for alert in bench.sent if "repeats" in alert["labels"]]


def test_how_often_an_alert_was_repeated_is_told_once_when_it_has_ended(bench: Bench) -> None:
    bench.put()
    bench.work(60)
    repeat(bench, 37)
    bench.work(60)
    assert repeats_told(bench) == []

    bench.work(WINDOW)
    bench.restart()
    bench.work(WINDOW)
    assert repeats_told(bench) == ["T k (repeated 37 times)"]
    (told,) = [alert for alert in bench.sent if "repeats" in alert["labels"]]
    assert "repeated 37 times since 2023-11-14T22:13:20Z" in told["annotations"]["description"]
    assert bench.store.docs(ALERTS) == {}


def test_the_last_count_is_sent_again_when_everything_stops_right_after_the_end(bench: Bench) -> None:
    bench.put()
    bench.work(60)
    repeat(bench, 37)
    bench.work(WINDOW)
    bench.restart()
    bench.sent.clear()
    bench.metrics["start"] = bench.clock.now  # Alertmanager as well, whose alerts are in memory only
    bench.work(60)
    assert repeats_told(bench) == ["T k (repeated 37 times)"]

    (told,) = [alert for alert in bench.sent if "repeats" in alert["labels"]]
    bench.event(notification=notified(**told["labels"]))
    bench.restart()
    bench.work(300)
    assert len(repeats_told(bench)) == 1
    assert bench.store.docs(ENDED) == {}


def test_one_that_goes_on_is_told_of_each_hour(bench: Bench) -> None:
    bench.put()
    for _ in range(13):
        bench.work(600)
        repeat(bench, 10)

    assert repeats_told(bench) == ["T k (repeated 60 times)", "T k (repeated 120 times)"]


def test_repeats_of_the_first_moment_were_told_with_it_and_those_of_a_note_to_nobody(bench: Bench) -> None:
    bench.put("burst")
    bench.put("note", "info")
    bench.relay.round()
    repeat(bench, 20, "burst")
    bench.relay.round()
    bench.work(60)
    repeat(bench, 5, "note")
    bench.work(3 * WINDOW)

    assert repeats_told(bench) == []
    assert bench.store.docs(ALERTS) == {}


def test_alertmanagers_counts_are_told_by_channel(bench: Bench) -> None:
    bench.work(10)
    bench.metrics |= {"attempts": 9, "in_vain": 6, "given_up": 2}
    bench.work(10)

    assert bench.store.value(NOTIFICATIONS, ("slack", "ok")) == 3
    assert bench.store.value(NOTIFICATIONS, ("slack", "failed")) == 2
    channel = bench.store.document(CHANNELS, "slack") or Channel()
    assert channel.error == "Alertmanager gave up: the provider has trouble (5xx)"


def test_a_restart_of_alertmanager_or_of_the_exporter_counts_nothing_twice(bench: Bench) -> None:
    bench.work(10)
    bench.metrics["attempts"] = 5
    bench.work(10)
    bench.restart()
    bench.work(10)
    bench.metrics |= {"start": 2000.0, "attempts": 2}
    bench.work(10)

    assert bench.store.value(NOTIFICATIONS, ("slack", "ok")) == 7


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_a_clock_that_is_set_moves_alertmanagers_start_and_counts_nothing_twice(bench: Bench, step: float) -> None:
    """It reckons its start from the boot, and that from the clock."""
    bench.work(10)
    bench.metrics |= {"attempts": 9, "in_vain": 6, "given_up": 2}
    bench.work(10)
    bench.metrics["start"] += step
    bench.work(10)

    assert bench.store.value(NOTIFICATIONS, ("slack", "ok")) == 3
    assert bench.store.value(NOTIFICATIONS, ("slack", "failed")) == 2


def test_what_it_counted_before_anybody_looked_is_not_counted(bench: Bench) -> None:
    bench.metrics["given_up"] = 500
    bench.work(30)

    assert bench.store.value(NOTIFICATIONS, ("slack", "failed")) is None
    assert (bench.store.document(SEEN, "") or SEEN.type()).started == 1000.0


def test_metrics_without_receivers_or_of_another_kind_are_no_harm() -> None:
    assert parse("").counts == {}
    assert parse("# nothing\nx 1\nprocess_start_time_seconds 5\n").started == 5


def test_an_account_opens_with_the_log_and_closes_when_a_channel_took_it(bench: Bench) -> None:
    bench.notification()
    bench.event(notification=notified("slack"))
    bench.event(notification=notified("telegram"))
    (account,) = bench.accounts()
    assert sorted(account.told) == ["slack", "telegram"]
    assert account.title == "StageFailing it is"

    bench.notification("resolved")
    bench.clock.advance(KEPT + 1)
    bench.missed.round()
    assert bench.accounts() == []
    assert bench.slack.took == []


def test_the_log_and_the_dead_mans_switch_are_nobody(bench: Bench) -> None:
    bench.notification()
    bench.event(notification=notified("webhook", "log"))
    bench.event(notification=notified("webhook", "deadman"))

    assert bench.accounts()[0].told == {}


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

    assert list(bench.accounts()[-1].told) == ["slack"]


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


def fail(bench: Bench, *channels: str) -> None:
    """Notifications by these channels fail."""
    with bench.store.transaction() as tx:
        for channel in channels or ("slack", "telegram"):
            failed(tx, channel, "no connection")


def outage(bench: Bench) -> None:
    """An alert fires and ends while Slack and Telegram fail."""
    bench.slack.error = bench.telegram.error = ProviderError("no connection")
    bench.notification()
    fail(bench)
    bench.clock.advance(10)
    bench.notification("resolved")


def test_what_ended_while_channels_failed_is_told_once_when_one_works_across_restarts(bench: Bench) -> None:
    outage(bench)
    bench.work(300)
    bench.restart()
    bench.slack.error = bench.telegram.error = None
    bench.work(120)
    bench.restart()
    bench.work(300)

    assert bench.slack.titles == bench.telegram.titles == ["1 alert was not told: notifications could not get out"]
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
    bench.clock.advance(200)
    with bench.store.transaction() as tx:
        accounts.reconcile(tx, {"0000000000000001"}, 180)

    assert bench.accounts()[0].ended == bench.clock.now


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
