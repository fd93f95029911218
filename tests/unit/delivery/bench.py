"""The exporter's parts around one store, with channels that record, and an Alertmanager that can be away."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.clock import Clock
from vv_exporter.alerting import Delivery, Outside
from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.channels import Answer, ProviderError
from vv_exporter.context import Context
from vv_exporter.delivery import notificationevents, notifications
from vv_exporter.delivery.accounts import ACCOUNTS, Account
from vv_exporter.delivery.alertmanager_watch import INTERVAL
from vv_exporter.delivery.channel_health import failed
from vv_exporter.messages.message import Message
from vv_exporter.metrics.alerts import ALERTS_DROPPED
from vv_exporter.settings import load
from vv_exporter.state.openalerts import ALERTS, OpenAlert
from vv_exporter.state.store import Store

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
    """The exporter's parts around one store; `down` says that Alertmanager does not answer.

    One that `hangs` does not either, and reads what is `unread` when it goes on.
    """

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.path = path
        self.down = self.hangs = False
        self.unread: list[dict[str, Any]] = []
        self.says = ""
        self.metrics = {"start": 1000.0, "attempts": 0, "in_vain": 0, "given_up": 0}
        self.sent: list[dict[str, Any]] = []
        self.slack, self.telegram, self.pagerduty = Provider("slack"), Provider("telegram"), Provider("pagerduty")
        self.settings = load({"VV_STATE_DIR": "/nonexistent", "VV_DEVICE_ID": "edge-7", "VV_DELIVERY_SETTLE": "60s"})
        self.channels = {one.name: one for one in (self.slack, self.telegram, self.pagerduty)}
        self.begin()

    def begin(self) -> None:
        self.store = Store(self.path, self.clock)
        context = Context(self.settings, self.store, self.clock, self.clock)
        outside = replace(Outside.of(context), alertmanager=self, metrics=self.ask, channels=self.channels)  # type: ignore[arg-type]
        delivery = Delivery(context, outside)
        self.watch, self.relay, self.missed = delivery.watch, delivery.relay, delivery.missed
        self.senders = delivery.senders

    def restart(self) -> None:
        self.store.close()
        self.begin()

    def ask(self) -> str:
        if self.down or self.hangs:
            raise DeliveryError("nobody there")
        return self.says or METRICS.format(**self.metrics)

    def alerts(self) -> list[dict[str, Any]]:
        if self.down or self.hangs:
            raise DeliveryError("nobody there")
        return []

    def send(self, alerts: list[dict[str, Any]]) -> None:
        if self.down:
            raise DeliveryError("nobody there")
        if self.hangs:
            self.unread += alerts
            raise DeliveryError("no answer in time")
        self.sent += alerts

    def work(self, seconds: float) -> None:
        """Let everything do its work for so long, in steps."""
        for _ in range(int(seconds / INTERVAL)):
            if self.watch.poll(is_accepting=self.relay.is_accepting):
                self.relay.retry()
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


def notified(
    integration: str = "slack", receiver: str = "chat", fingerprint: str = "255", *, over: bool = False, **labels: str
) -> Any:
    every = {"alertname": "StageFailing", "severity": "error", "component": "scan_video", **labels}
    pairs = [{"key": name, "value": value} for name, value in every.items()]
    details = {"fingerprint": fingerprint, "labels": {"labels": pairs}, "startsAt": "2023-11-14T22:13:20.1Z"}
    return {
        "alerts": [{"hash": "7", "details": details}],
        ("resolvedAlerts" if over else "firingAlerts"): [{"hash": "7"}],
        "groupInfo": {"receiverName": receiver},
        "integration": {"name": integration},
    }


def labels_of(alerts: list[dict[str, Any]]) -> list[Mapping[str, str]]:
    return [alert["labels"] for alert in alerts]


def dropped(bench: Bench, severity: str) -> float:
    return bench.store.value(ALERTS_DROPPED, (severity,)) or 0.0


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
