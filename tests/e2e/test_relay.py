"""Alerts of scripts reach people once, whichever of script, exporter and Alertmanager is not there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.device import about
from tests.support.exporter import Exporter
from tests.support.ports import free_port
from tests.support.receivers import PagerDuty, Slack
from tests.support.routes import hasten
from tests.support.servers import Alertmanager, Programs
from tests.support.waiting import wait_until
from vv_exporter.alertmanager import client
from vv_exporter.delivery.dividing import send_divided
from vv_exporter.render import render
from vv_exporter.settings import load
from vv_exporter.state.openalerts import SEVERITIES

pytestmark = pytest.mark.prometheus

SEND = "from vv_core.alerter import send_alert; send_alert('CRITICAL', 'Key gone', 'k7', 'signer.py')"
OK = 'vv_relay_deliveries_total{destination="alertmanager",result="ok"}'


@dataclass
class Chain:
    """An exporter and an Alertmanager, both stopped, and the receivers."""

    exporter: Exporter
    alertmanager: Alertmanager
    slack: Slack
    pagerduty: PagerDuty

    def script(self, code: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **self.exporter.environ})

    def told(self) -> tuple[int, int]:
        """How many messages Slack and PagerDuty got about the alert."""
        return len(self.slack.matching(about("Key gone"))), len(self.pagerduty.matching(about("Key gone")))


@pytest.fixture
def chain(tmp_path: Path, programs: Programs) -> Iterator[Chain]:
    port = free_port()
    with Slack() as slack, PagerDuty() as pagerduty:
        environ = {
            "VV_ALERTMANAGER_PORT": str(port),
            "SLACK_WEBHOOK_URL": slack.url,
            "PAGERDUTY_ROUTING_KEY": "0123456789abcdef0123456789abcdef",
            "PAGERDUTY_URL": pagerduty.url,
        }
        exporter = Exporter(tmp_path / "state", **environ)
        render(load(exporter.environ), tmp_path / "config")
        hasten(tmp_path / "config" / "alertmanager.yml")
        alertmanager = Alertmanager(tmp_path / "config" / "alertmanager.yml", tmp_path / "am", programs, port)
        try:
            yield Chain(exporter, alertmanager, slack, pagerduty)
        finally:
            alertmanager.stop()
            exporter.stop()
        assert slack.violations + pagerduty.violations == []


def test_an_alert_sent_while_the_exporter_is_down_is_delivered_once_when_it_is_back(chain: Chain) -> None:
    assert chain.script(SEND).wait(30) == 0
    chain.alertmanager.start()
    chain.exporter.start()
    chain.slack.wait_for(about("Key gone"), 30)
    chain.pagerduty.wait_for(about("Key gone"), 30)

    chain.exporter.kill()
    chain.exporter.start()
    wait_until(lambda: chain.exporter.metrics()[OK] >= 2, 20, what="the alert sent again by the exporter's next life")
    wait_until(lambda: "FIRING CRITICAL VVEvent: Key gone" in chain.exporter.log(), 10, what="the line in app.log")
    assert chain.told() == (1, 1)


def test_an_alert_waits_for_alertmanager(chain: Chain) -> None:
    chain.exporter.start()
    assert chain.script(SEND).wait(30) == 0
    chain.exporter.wait_for("vv_relay_queue", 1)
    chain.exporter.kill()
    chain.exporter.start()
    chain.alertmanager.start()

    chain.slack.wait_for(about("Key gone"), 60)
    chain.exporter.wait_for("vv_relay_queue", 0)
    assert chain.told()[0] == 1


def test_alertmanager_forgets_its_alerts_and_is_told_again_but_people_are_not(chain: Chain) -> None:
    chain.exporter.start()
    chain.alertmanager.start()
    assert chain.script(SEND).wait(30) == 0
    chain.slack.wait_for(about("Key gone"), 30)
    # Alertmanager notes whom it has told after it was answered: the next flush of every group comes after that.
    asked = chain.alertmanager.metric("alertmanager_nflog_queries_total")
    wait_until(lambda: chain.alertmanager.metric("alertmanager_nflog_queries_total") >= asked + 8, 20)
    chain.alertmanager.stop()
    chain.alertmanager.start()
    assert chain.script(SEND).wait(30) == 0
    wait_until(lambda: chain.alertmanager.alerts("VVEvent"), 60, what="the alert")

    (alert,) = chain.alertmanager.alerts("VVEvent")
    assert alert["annotations"]["count"] == "2"
    assert chain.told()[0] == 1


def test_a_thousand_identical_alerts_of_fifty_processes_are_one_with_a_count(chain: Chain) -> None:
    chain.alertmanager.start()
    chain.exporter.start()
    first, _, second = SEND.partition("; ")
    code = f"{first}\nfor _ in range(20): {second}"
    scripts = [chain.script(code) for _ in range(25)]
    chain.exporter.kill()
    scripts += [chain.script(code) for _ in range(25)]
    chain.exporter.start()
    assert [script.wait(60) for script in scripts] == [0] * 50

    wait_until(
        lambda: [alert["annotations"]["count"] for alert in chain.alertmanager.alerts("VVEvent")] == ["1000"],
        30,
        what="one alert with a count of 1000",
    )
    chain.slack.wait_for(about("Key gone"), 30)
    assert "repeated 999 times since" in chain.alertmanager.alerts("VVEvent")[0]["annotations"]["description"]
    assert chain.told()[0] == 1


def test_an_alert_that_a_real_alertmanager_refuses_keeps_no_other_from_it(chain: Chain) -> None:
    chain.alertmanager.start()
    now = datetime.now(UTC)
    good = [{"labels": {"alertname": f"A{number}"}, "startsAt": now.isoformat()} for number in range(20)]
    bad = [
        {"labels": {"alertname": "Backwards"}, "startsAt": now.isoformat(), "endsAt": "2026-01-30T23:59:59Z"},
        {"labels": {"alertname": "Roman"}, "startsAt": "753-04-21T00:00:00Z"},
        {"labels": {"alertname": ["no text"]}},
    ]
    alerts = [bad[0], *good[:9], bad[1], *good[9:], bad[2]]
    outcome = send_divided(alerts, dict, client.Alertmanager(chain.alertmanager.url).send)

    assert [alerts[place] for place in sorted(outcome.rejected)] == bad
    assert outcome.error is None
    assert len(outcome.taken) == len(chain.alertmanager.alerts()) == len(good)


def test_a_thousand_open_notes_keep_no_critical_alert_from_people(chain: Chain) -> None:
    chain.alertmanager.start()
    chain.exporter.start()
    first, _, _ = SEND.partition("; ")
    code = f"{first}\nfor n in range(1000): send_alert('INFO', f'Note {{n}}', '', 'x.py')"
    assert chain.script(code).wait(60) == 0
    wait_until(lambda: len(chain.alertmanager.alerts("VVEvent")) == 1000, 120, what="a thousand notes")
    assert chain.script(SEND).wait(30) == 0

    chain.slack.wait_for(about("Key gone"), 60)
    chain.pagerduty.wait_for(about("Key gone"), 60)
    wait_until(lambda: "FIRING CRITICAL VVEvent: Key gone" in chain.exporter.log(), 60, what="the line in app.log")
    # The note that gave way was delivered: nothing is lost.
    # While a thousand notices come from Alertmanager, a connection more may be closed without an answer.
    metrics = wait_until(chain.exporter.metrics, what="an answer")
    dropped = {name: value for name, value in metrics.items() if "alerts_dropped_total" in name}
    assert dropped == {f'vv_alerts_dropped_total{{severity="{severity}"}}': 0.0 for severity in SEVERITIES}


def test_of_a_thousand_waiting_alerts_the_lesser_are_dropped_and_people_hear_of_that(chain: Chain) -> None:
    chain.exporter.start()
    first, _, _ = SEND.partition("; ")
    code = f"{first}\nfor n in range(1000): send_alert('INFO', f'Note {{n}}', '', 'x.py')"
    assert chain.script(code).wait(60) == 0
    chain.exporter.wait_for("vv_relay_queue", 1000)
    assert chain.script(SEND).wait(30) == 0
    chain.exporter.wait_for('vv_alerts_dropped_total{severity="info"}', 1)
    assert "ALERT DROPPED INFO" in chain.exporter.log()

    chain.alertmanager.start()
    chain.slack.wait_for(about("Key gone"), 60)
    chain.exporter.wait_for("vv_relay_queue", 0)
