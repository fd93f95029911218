"""The generic webhook gets each alert's beginning and its end, once, whatever happens to it and to the exporter."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.exporter import Exporter
from tests.support.ports import free_port
from tests.support.receivers import Answer, Request, Webhook
from tests.support.routes import hasten
from tests.support.servers import Alertmanager, Programs
from tests.support.waiting import wait_until
from vv_exporter.render import render
from vv_exporter.settings import load

pytestmark = pytest.mark.prometheus

STARTED = datetime(2026, 1, 31, 10, 30, tzinfo=UTC)
WAITING = 'vv_outbox_queue{destination="webhook"}'
SECRET = "secret-of-the-hook"


@dataclass
class Chain:
    """An exporter and an Alertmanager that run, and the webhook."""

    exporter: Exporter
    alertmanager: Alertmanager
    webhook: Webhook

    def raise_alert(self, number: int, *, resolved: bool = False, **annotations: str) -> None:
        """Raise or resolve an alert that began at STARTED and took 12 minutes and 3 seconds."""
        ends = STARTED + timedelta(minutes=12, seconds=3) if resolved else datetime.now(UTC) + timedelta(minutes=30)
        labels = {"alertname": "StageFailing", "severity": "error", "component": "scan_video", "device": "edge-7"}
        texts = {"summary": f"Stage {number} is failing", "description": "no frames", "video": "cam1.mp4"}
        alert = {
            "labels": labels | {"stage": str(number)},
            "annotations": texts | annotations,
            "startsAt": STARTED.isoformat(),
            "endsAt": ends.isoformat(),
        }
        self.alertmanager.post("/api/v2/alerts", [alert])

    def wait_for_notification(self, title: str) -> None:
        """Wait until the exporter has kept Alertmanager's notification."""
        wait_until(lambda: title in self.exporter.log(), 60, what=f"the notification: {title}")

    def answered(self) -> float:
        """How many notifications of Alertmanager were answered: it knows of no other that it was made.

        One that was kept by the exporter and not answered is tried again for ten seconds. What ends then, and is not
        tried again sooner, is for Alertmanager an alert of which nobody was told, and so is its end; where there is a
        Prometheus the exporter finds that by itself (`_reconcile_accounts`).
        """
        sums = {"requests": 0.0, "requests_failed": 0.0}
        for family in text_string_to_metric_families(self.alertmanager.get("/metrics").decode()):
            for sample in family.samples:
                name = sample.name.removeprefix("alertmanager_notification_").removesuffix("_total")
                if name in sums and sample.labels["integration"] == "webhook":
                    sums[name] += sample.value
        return sums["requests"] - sums["requests_failed"]

    def got(self) -> list[tuple[str, str]]:
        """Status and title of everything, in order; what came twice with one key counts once."""
        once = {request.headers["Idempotency-Key"]: request for request in self.webhook.received}
        return [(request.headers["VV-Alert-Status"], request.json["title"]) for request in once.values()]

    def waiting(self) -> float:
        return self.exporter.metrics()[WAITING]


@pytest.fixture
def chain(tmp_path: Path, programs: Programs) -> Iterator[Chain]:
    port = free_port()
    with Webhook() as webhook:
        environ = {"VV_ALERTMANAGER_PORT": str(port), "VV_DEVICE_ID": "edge-7", "WEBHOOK_URL": webhook.url}
        exporter = Exporter(tmp_path / "state", **environ)
        render(load(exporter.environ), tmp_path / "config")
        hasten(tmp_path / "config" / "alertmanager.yml")
        alertmanager = Alertmanager(tmp_path / "config" / "alertmanager.yml", tmp_path / "am", programs, port)
        try:
            exporter.start()
            alertmanager.start()
            yield Chain(exporter, alertmanager, webhook)
        finally:
            alertmanager.stop()
            exporter.stop()
        assert webhook.violations == []
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert SECRET.encode() not in written


def about(number: int) -> Callable[[Request], bool]:
    """Whether a request tells that this alert has begun."""
    return lambda request: bool(request.json["title"] == f"Stage {number} is failing")


def test_the_object_arrives_for_the_beginning_and_for_the_end(chain: Chain) -> None:
    chain.raise_alert(1, suggested_actions="1. Look")
    first = chain.webhook.wait_for(lambda request: request.headers["VV-Alert-Status"] == "firing", 30)
    chain.raise_alert(1, suggested_actions="1. Look", resolved=True)
    second = chain.webhook.wait_for(lambda request: request.headers["VV-Alert-Status"] == "resolved", 30)

    links = first.json["suggested_actions"].splitlines()
    assert links[0] == "1. Look"
    assert links[1].startswith(f"Silence: {chain.exporter.url}/silence?filter=%7Balertname%3D%22StageFailing")
    assert links[2:] == [
        f"Timeline: {chain.exporter.url}/timeline?at=1769855400&component=scan_video#entry",
        f"Status page: {chain.exporter.url}/",
    ]
    told = {name: value for name, value in first.json.items() if name not in ("suggested_actions", "alert_id")}
    assert told == {
        "timestamp": "2026-01-31T10:30:00Z",
        "severity": "ERROR",
        "source_component": "scan_video",
        "hostname": "edge-7",
        "title": "Stage 1 is failing",
        "message_details": "no frames",
        "video_file_context": "cam1.mp4",
    }
    assert second.json == first.json | {
        "title": "Resolved: Stage 1 is failing",
        "message_details": "Resolved 2026-01-31T10:42:03Z, after 12m 3s.\nno frames",
    }
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]


def test_alertmanagers_repeats_are_not_told_again(tmp_path: Path, chain: Chain) -> None:
    hasten(tmp_path / "config" / "alertmanager.yml", repeat_interval="1s")
    chain.alertmanager.reload()
    logged = 'vv_notifications_logged_total{severity="error",status="firing"}'
    chain.raise_alert(1)
    wait_until(lambda: chain.exporter.metrics().get(logged, 0) >= 3, 30, what="repeats of Alertmanager")

    assert chain.got() == [("firing", "Stage 1 is failing")]


def test_what_is_inhibited_or_silenced_is_not_told(chain: Chain) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    silence = {
        "matchers": [{"name": "stage", "value": "1", "isRegex": False}],
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": until,
        "createdBy": "test",
        "comment": "test",
    }
    chain.alertmanager.post("/api/v2/silences", silence)
    chain.raise_alert(1)
    wait_until(lambda: chain.alertmanager.alerts()[0]["status"]["silencedBy"], 15, what="the silence")
    chain.raise_alert(2)
    chain.webhook.wait_for(about(2), 30)

    assert chain.got() == [("firing", "Stage 2 is failing")]


def test_429_and_503_and_an_outage_lose_nothing_and_change_no_order(chain: Chain) -> None:
    chain.webhook.next += [Answer(429, "", headers={"Retry-After": "1"}), Answer(503, "")]
    chain.raise_alert(1)
    chain.webhook.wait_for(about(1), 30)
    chain.webhook.outage = 500
    for number in range(2, 6):
        chain.raise_alert(number)
        wait_until(lambda number=number: chain.waiting() == number - 1, 30, what=f"{number - 1} that wait")
    chain.webhook.outage = None
    chain.webhook.wait_for(about(5), 90)

    assert chain.got() == [("firing", f"Stage {number} is failing") for number in range(1, 6)]
    keys = {request.headers["Idempotency-Key"] for request in chain.webhook.turned_away}
    assert keys == {chain.webhook.received[0].headers["Idempotency-Key"]}


def test_what_is_refused_is_given_up_with_the_reason(chain: Chain) -> None:
    chain.webhook.next.append(Answer(422, ""))
    chain.raise_alert(1)
    wait_until(lambda: chain.webhook.turned_away, 30, what="the refusal")
    chain.raise_alert(2)
    chain.webhook.wait_for(about(2), 30)

    assert chain.got() == [("firing", "Stage 2 is failing")]
    assert chain.exporter.metrics()['vv_relay_deliveries_total{destination="webhook",result="refused"}'] == 1
    assert "it answered 422" in chain.exporter.log()


def test_kills_of_the_exporter_lose_nothing_and_double_nothing(chain: Chain) -> None:
    """Killed before Alertmanager notifies it, with events that wait, and right after a delivery."""
    expected = []
    for number in range(9):
        chain.webhook.outage = 503 if number % 3 == 1 else None
        chain.raise_alert(number)
        if number % 3:
            chain.wait_for_notification(f"Stage {number} is failing")
        if number % 3 == 2:
            chain.webhook.wait_for(about(number), 60)
        chain.exporter.kill()
        chain.exporter.start()
        chain.wait_for_notification(f"Stage {number} is failing")
        wait_until(lambda number=number: chain.answered() > 2 * number, 60, what="its answer, and all before it")
        chain.raise_alert(number, resolved=True)
        expected += [("firing", f"Stage {number} is failing"), ("resolved", f"Resolved: Stage {number} is failing")]
    chain.webhook.outage = None

    wait_until(lambda: len(chain.got()) >= len(expected), 120, what="every event")
    wait_until(lambda: chain.waiting() == 0, 30, what="an empty outbox")
    assert sorted(chain.got()) == sorted(expected)


def test_a_webhook_alone_hears_of_scripts_alerts_while_alertmanager_is_down_and_not_again_when_it_is_back(
    chain: Chain,
) -> None:
    chain.alertmanager.stop()
    chain.exporter.stop()
    times = {"VV_DIRECT_AFTER": "2s", "VV_ALERT_WINDOW": "20s"}
    chain.exporter = Exporter(chain.exporter.state, chain.exporter.port, **chain.exporter.environ, **times)
    chain.exporter.start()
    send = "from vv_core.alerter import send_alert; send_alert('CRITICAL', 'Key gone', 'k7', 'signer.py')"
    subprocess.run([sys.executable, "-c", send], env={**os.environ, **chain.exporter.environ}, check=True)
    try:
        wait_until(lambda: ("firing", "Key gone") in chain.got(), 60, what="the alert")
        chain.alertmanager.start()
        wait_until(lambda: ("resolved", "Resolved: Key gone") in chain.got(), 90, what="its end")
    finally:
        chain.exporter.stop()

    assert len(chain.got()) == 2
