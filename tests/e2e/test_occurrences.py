"""A job that fails each time raises the same alert just after the last one has ended: each is told and ended once."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.device import about
from tests.support.exporter import Exporter
from tests.support.ports import free_port
from tests.support.receivers import PagerDuty, Request, Slack, Webhook
from tests.support.routes import hasten
from tests.support.servers import Alertmanager, Programs
from tests.support.waiting import wait_until
from vv_exporter.render import render
from vv_exporter.settings import load

pytestmark = pytest.mark.prometheus

FAIL_TWICE = """
from vv_core.alerter import send_alert
for _ in range(2):
    send_alert("CRITICAL", "Key gone", "k7", "signer.py")
"""
WINDOW = "6s"


@dataclass
class Site:
    """An exporter and an Alertmanager, both running, and the receivers."""

    exporter: Exporter
    alertmanager: Alertmanager
    slack: Slack
    pagerduty: PagerDuty
    webhook: Webhook

    def fail(self) -> None:
        """The job runs, and fails, twice at once."""
        subprocess.run([sys.executable, "-c", FAIL_TWICE], env={**os.environ, **self.exporter.environ}, check=True)

    def wait_for_end(self) -> None:
        """Wait until the alert has ended at Alertmanager, which has not told it to anybody yet."""
        wait_until(lambda: self.alertmanager.alerts("VVEvent") == [], 30, what="the end of the alert")

    def wait_for_times(self, times: int) -> None:
        """Wait until everybody has heard of it so often."""
        wait_until(lambda: min(self.told()) >= times, 30, what=f"time {times}")
        assert self.told() == (times,) * 3

    def messages(self) -> int:
        return len(self.slack.matching(about("Key gone")))

    def incidents(self, action: str) -> Counter[str]:
        """How often each incident was opened or closed at the pager."""
        return Counter(one.json["dedup_key"] for one in self.pagerduty.received if one.json["event_action"] == action)

    def events(self, status: str) -> list[Request]:
        return self.webhook.matching(lambda request: request.headers.get("VV-Alert-Status") == status)

    def told(self) -> tuple[int, int, int]:
        """How often the chat, the pager and the webhook heard that it began."""
        return self.messages(), len(self.incidents("trigger")), len(self.events("firing"))


@pytest.fixture
def site(tmp_path: Path, programs: Programs) -> Iterator[Site]:
    port = free_port()
    with Slack() as slack, PagerDuty() as pagerduty, Webhook() as webhook:
        environ = {
            "VV_ALERTMANAGER_PORT": str(port),
            "VV_ALERT_WINDOW": WINDOW,
            "SLACK_WEBHOOK_URL": slack.url,
            "PAGERDUTY_ROUTING_KEY": "0123456789abcdef0123456789abcdef",
            "PAGERDUTY_URL": pagerduty.url,
            "WEBHOOK_URL": webhook.url,
        }
        exporter = Exporter(tmp_path / "state", **environ)
        render(load(exporter.environ), tmp_path / "config")
        # A group is looked at again after a time that is longer than the job's pause, as it is with the true times.
        hasten(tmp_path / "config" / "alertmanager.yml", group_interval="15s")
        alertmanager = Alertmanager(tmp_path / "config" / "alertmanager.yml", tmp_path / "am", programs, port)
        alertmanager.start()
        exporter.start()
        try:
            yield Site(exporter, alertmanager, slack, pagerduty, webhook)
        finally:
            alertmanager.stop()
            exporter.stop()
        assert slack.violations + pagerduty.violations + webhook.violations == []


def test_each_time_is_told_and_ended_once_and_repeats_within_the_window_are_one(site: Site) -> None:
    for times in (1, 2, 3):
        site.fail()
        site.wait_for_times(times)
        site.wait_for_end()
    wait_until(lambda: len(site.events("resolved")) == 3, 60, what="three ends at the webhook")
    wait_until(lambda: len(site.incidents("resolve")) == 3, 60, what="three incidents closed")

    assert site.told() == (3, 3, 3)
    assert site.incidents("trigger") == site.incidents("resolve") == dict.fromkeys(site.incidents("trigger"), 1)
    ids = [[request.json["alert_id"] for request in site.events(status)] for status in ("firing", "resolved")]
    assert sorted(ids[0]) == sorted(ids[1])
    assert len(set(ids[0])) == 3


def test_a_restart_of_both_in_between_tells_nothing_twice(site: Site) -> None:
    for times in (1, 2):
        site.fail()
        site.wait_for_times(times)
        if times == 1:
            site.wait_for_end()
    # Alertmanager notes whom it has told after it was answered.
    asked = site.alertmanager.metric("alertmanager_nflog_queries_total")
    wait_until(lambda: site.alertmanager.metric("alertmanager_nflog_queries_total") > asked, 30)
    site.exporter.kill()
    site.alertmanager.stop()
    site.fail()
    site.alertmanager.start()
    site.exporter.start()
    wait_until(lambda: site.alertmanager.alerts("VVEvent"), 30, what="the alert, after the restart")
    site.wait_for_end()
    wait_until(lambda: site.events("resolved"), 60, what="an end at the webhook")

    assert set(site.incidents("trigger").values()) == {1}
    assert len(set(site.told())) == 1
