"""Every alert is accounted for: what cannot go the usual way goes another, what was missed is told afterwards, once."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.device import about
from tests.support.exporter import Exporter
from tests.support.ports import free_port
from tests.support.receivers import PagerDuty, Slack, Telegram
from tests.support.routes import hasten
from tests.support.servers import Alertmanager, Programs, Prometheus
from tests.support.waiting import wait_until
from vv_exporter.render import render
from vv_exporter.settings import load

pytestmark = pytest.mark.prometheus

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
CHAT = "-100123"


def send(level: str, title: str) -> str:
    return f"from vv_core.alerter import send_alert; send_alert({level!r}, {title!r}, 'k7', 'signer.py')"


class Times(NamedTuple):
    """When alerts go directly, and whether Alertmanager's own times are made short."""

    direct_after: str = "2s"
    are_hastened: bool = True


@dataclass
class Site:
    """An exporter and an Alertmanager, both stopped, and the receivers."""

    exporter: Exporter
    alertmanager: Alertmanager
    slack: Slack
    telegram: Telegram
    pagerduty: PagerDuty
    folder: Path

    def script(self, code: str) -> None:
        subprocess.run([sys.executable, "-c", code], env={**os.environ, **self.exporter.environ}, check=True)

    def fire(self, name: str, *, resolved: bool = False, severity: str = "error", **labels: str) -> None:
        """Raise an alert as Prometheus would, or end it."""
        every = {"alertname": name, "severity": severity, "component": "scan_video", "device": "edge-7", **labels}
        self.alertmanager.post_alert(every, {"summary": f"{name} it is"}, resolved=resolved)

    def cut(self, status: int | None = 503) -> None:
        """Let no provider take anything, or let them again."""
        for receiver in (self.slack, self.telegram, self.pagerduty):
            receiver.outage = status

    def account(self, name: str) -> float:
        return self.exporter.metrics().get(name, -1.0)

    def secrets(self) -> list[str]:
        return [self.slack.path, self.telegram.token, ROUTING_KEY]


@pytest.fixture
def site(tmp_path: Path, programs: Programs, request: pytest.FixtureRequest) -> Iterator[Site]:
    """With the times of `Times`, if the test has none of its own."""
    port, times = free_port(), getattr(request, "param", Times())
    with Slack() as slack, Telegram() as telegram, PagerDuty() as pagerduty:
        environ = {
            "VV_DEVICE_ID": "edge-7",
            "VV_ALERTMANAGER_PORT": str(port),
            "VV_DIRECT_AFTER": times.direct_after,
            "VV_DELIVERY_SETTLE": "12s",
            "VV_SCRAPE_INTERVAL": "1s",
            "SLACK_WEBHOOK_URL": slack.url,
            "TELEGRAM_BOT_TOKEN": telegram.token,
            "TELEGRAM_CHAT_ID": CHAT,
            "TELEGRAM_API_URL": telegram.base_url,
            "PAGERDUTY_ROUTING_KEY": ROUTING_KEY,
            "PAGERDUTY_URL": pagerduty.url,
        }
        exporter = Exporter(tmp_path / "state", **environ)
        render(load(exporter.environ), tmp_path / "config")
        if times.are_hastened:
            hasten(tmp_path / "config" / "alertmanager.yml")
        alertmanager = Alertmanager(tmp_path / "config" / "alertmanager.yml", tmp_path / "am", programs, port)
        found = Site(exporter, alertmanager, slack, telegram, pagerduty, tmp_path)
        try:
            yield found
        finally:
            alertmanager.stop()
            exporter.stop()
        assert slack.violations + telegram.violations + pagerduty.violations == []
        assert leaks(found) == []


def leaks(site: Site) -> list[str]:
    """Files in which a secret stands, but for those that are there to hold it."""
    found = []
    for path in site.folder.rglob("*"):
        if path.is_file() and "secrets" not in path.parts:
            content = path.read_bytes()
            found += [f"{path}: {secret[:6]}…" for secret in site.secrets() if secret.encode() in content]
    return found


def test_without_alertmanager_an_alert_goes_straight_to_people_and_is_not_repeated_when_it_is_back(site: Site) -> None:
    site.alertmanager.start()
    site.exporter.start()
    site.exporter.wait_for("vv_alertmanager_up", 1)
    site.alertmanager.stop()
    site.script(send("CRITICAL", "Key gone"))
    site.script(send("WARNING", "Lens dirty"))
    site.script(send("INFO", "A note"))

    for receiver in (site.slack, site.telegram):
        receiver.wait_for(about("Key gone", "Alertmanager does not answer since", "sent directly"), 60)
        receiver.wait_for(about("Lens dirty", "sent directly"), 60)
    site.pagerduty.wait_for(about("Key gone", "trigger"), 60)
    # Nothing of the secrets stands in the process's arguments or metrics either.
    arguments = Path(f"/proc/{site.exporter.pid}/cmdline").read_text()
    shown = str(site.exporter.metrics())
    assert [secret for secret in site.secrets() if secret in arguments + shown] == []

    site.exporter.kill()
    site.exporter.start()
    site.alertmanager.start()
    wait_until(lambda: len(site.alertmanager.alerts("VVEvent")) == 3, 60, what="the alerts at Alertmanager")
    told = [alert["labels"].get("told") for alert in site.alertmanager.alerts("VVEvent")]
    assert sorted(map(str, told)) == ["None", "direct", "direct"]
    wait_until(lambda: "FIRING CRITICAL VVEvent: Key gone" in site.exporter.log(), 30, what="the line in app.log")
    # An alert on the same routes that comes after them.
    site.script(send("CRITICAL", "Later one"))
    for receiver in (site.slack, site.telegram, site.pagerduty):
        receiver.wait_for(about("Later one"), 60)

    for receiver in (site.slack, site.telegram):
        assert len(receiver.matching(about("Key gone"))) == 1
        assert len(receiver.matching(about("Lens dirty"))) == 1
        # That it does not answer is for the alert path to tell, which nobody expects here: there is no Prometheus.
        assert receiver.matching(about("AlertPathBroken")) == []
        assert receiver.matching(about("A note")) == []
        assert receiver.matching(about("Later one", "sent directly")) == []
    assert len(site.pagerduty.matching(about("Key gone"))) == 1


def test_an_alertmanager_that_hangs_tells_nothing_again_when_it_goes_on(site: Site) -> None:
    site.alertmanager.start()
    site.exporter.start()
    site.exporter.wait_for("vv_alertmanager_up", 1)
    site.alertmanager.freeze()
    titles = [f"Key {name} gone" for name in "abcd"]
    for title in titles:
        site.script(send("CRITICAL", title))
    for title in titles:
        site.pagerduty.wait_for(about(title), 90)
        site.slack.wait_for(about(title), 60)
    site.alertmanager.thaw()

    def known() -> set[str]:
        return {alert["labels"]["title"] for alert in site.alertmanager.alerts() if alert["labels"].get("told")}

    wait_until(lambda: known() == {*titles}, 60, what="the alerts that were told directly")
    site.script(send("CRITICAL", "The end"))
    site.pagerduty.wait_for(about("The end"), 60)
    for receiver in (site.pagerduty, site.slack, site.telegram):
        assert [len(receiver.matching(about(title))) for title in titles] == [1, 1, 1, 1]


@pytest.mark.parametrize("site", [Times("12s", are_hastened=False)], indirect=True)
def test_what_an_alertmanager_took_just_before_it_hung_is_told_once(site: Site) -> None:
    """0, 1, 2 and 4 seconds before, while it waits for more of each group, with its own times.

    Of a critical one it waits for half a second only: what it began to tell then is told twice (docs/delivery.md).
    """
    site.alertmanager.start()
    site.exporter.start()
    site.exporter.wait_for("vv_alertmanager_up", 1)
    site.script(send("ERROR", "The first"))
    site.slack.wait_for(about("The first"), 60)
    site.exporter.wait_for('vv_notifications_total{channel="slack",result="ok"}', 1)
    titles = [f"Key {name} gone" for name in "abcd"]
    pauses = (2, 1, 1, 0)
    sends = [f"{send('ERROR', title)}; time.sleep({pause})" for title, pause in zip(titles, pauses, strict=True)]
    site.script("\n".join(["import time", *sends]))

    def known(*, told: bool) -> set[str]:
        alerts = site.alertmanager.alerts("VVEvent")
        return {alert["labels"]["title"] for alert in alerts if ("told" in alert["labels"]) == told}

    wait_until(lambda: titles[-1] in known(told=False), 30, what="the alerts")
    site.alertmanager.freeze()
    for title in titles:
        site.slack.wait_for(about(title), 90)
        site.telegram.wait_for(about(title), 60)
    directly = {title for title in titles if site.slack.matching(about(title, "sent directly"))}
    assert titles[-1] in directly
    site.alertmanager.thaw()

    wait_until(lambda: directly <= known(told=True), 60, what="the alerts that were told directly")
    site.script(send("CRITICAL", "The end"))
    for receiver in (site.slack, site.telegram):
        receiver.wait_for(about("The end"), 60)
        assert [len(receiver.matching(about(title))) for title in titles] == [1, 1, 1, 1]


def test_many_alerts_without_alertmanager_are_few_messages(site: Site) -> None:
    site.exporter.start()
    many = "from vv_core.alerter import send_alert\nfor n in range(40): send_alert('ERROR', f'Trouble {n}', '', 'x.py')"
    site.script(many)
    site.slack.wait_for(about("Trouble"), 60)
    wait_until(lambda: site.account('vv_direct_queue{channel="slack"}') == 0, 60, what="the messages")
    wait_until(lambda: site.account('vv_direct_queue{channel="telegram"}') == 0, 60, what="the messages")

    assert len(site.slack.received) <= 12
    assert site.slack.matching(about("alerts, the first"))


def test_what_fires_and_ends_while_no_channel_can_be_reached_is_told_once_afterwards(site: Site) -> None:
    site.alertmanager.start()
    site.exporter.start()
    site.exporter.wait_for("vv_alertmanager_up", 1)
    site.fire("Before")
    site.slack.wait_for(about("Before it is"), 30)
    site.telegram.wait_for(about("Before it is"), 30)

    site.cut()
    site.fire("StageFailing")
    site.fire("DiskSpaceLow", severity="warning")
    wait_until(lambda: site.account("vv_alerts_untold") >= 2, 30, what="both in the accounts")
    wait_until(lambda: site.slack.refused_in_outage >= 2, 30, what="attempts to tell")
    site.fire("StageFailing", resolved=True)
    site.fire("DiskSpaceLow", severity="warning", resolved=True)
    wait_until(lambda: missed(site) == 2, 90, what="both missed")
    site.exporter.kill()
    site.exporter.start()
    site.cut(None)

    for receiver in (site.slack, site.telegram):
        receiver.wait_for(about("2 alerts were not delivered", "StageFailing it is", "DiskSpaceLow it is"), 90)
    # A kill between the provider's answer and the note of it would have it told again: that much is documented.
    wait_until(lambda: site.account('vv_notifications_total{channel="telegram",result="ok"}') >= 2, 30)
    site.exporter.kill()
    site.exporter.start()
    site.fire("After")
    for receiver in (site.slack, site.telegram):
        receiver.wait_for(about("After it is"), 60)
        assert len(receiver.matching(about("StageFailing it is"))) == 1
        assert len(receiver.matching(about("were not delivered"))) == 1
        assert receiver.matching(about("Before it is", "were not delivered")) == []


def test_how_often_an_alert_was_repeated_is_told_to_the_chats_when_it_has_ended(site: Site) -> None:
    site.exporter.stop()
    site.exporter = Exporter(site.exporter.state, site.exporter.port, **site.exporter.environ, VV_ALERT_WINDOW="15s")
    site.alertmanager.start()
    site.exporter.start()
    site.script(send("CRITICAL", "Key gone"))
    site.slack.wait_for(about("Key gone"), 30)
    site.pagerduty.wait_for(about("Key gone", "trigger"), 30)
    # What comes within five seconds of the first belongs to the same message.
    first = time.monotonic()

    def repeated_for_a_while() -> bool:
        site.script(send("CRITICAL", "Key gone"))
        return time.monotonic() - first > 8

    wait_until(repeated_for_a_while, 60)

    for receiver in (site.slack, site.telegram):
        receiver.wait_for(about("Key gone (repeated", "times since"), 60)
        assert len(receiver.matching(about("Key gone"))) == 2
    assert len(site.pagerduty.matching(about("Key gone", "trigger"))) == 1


def test_a_channel_that_fails_is_told_by_the_others_until_it_works_again(site: Site, programs: Programs) -> None:
    site.exporter.start()
    site.alertmanager.start()
    with Prometheus(site.folder / "config" / "prometheus.yml", site.folder / "prometheus", programs):
        site.exporter.wait_for("vv_alertmanager_up", 1)
        site.slack.outage = 503
        site.fire("StageFailing")

        site.telegram.wait_for(about("StageFailing it is"), 30)
        told = site.telegram.wait_for(
            about("ERROR: Notifications by slack fail", "the provider has trouble (5xx)"), 120
        )
        assert "NotificationsFailing.md" in told.body.decode()
        assert site.slack.received == []
        site.slack.outage = None
        site.slack.wait_for(about("StageFailing it is"), 60)
        site.telegram.wait_for(about("RESOLVED", "Notifications by slack fail"), 60)

    assert site.slack.matching(about("Notifications by slack fail")) == []
    assert site.pagerduty.received == []


def test_what_is_wrong_with_a_channel_is_said_by_another_and_its_messages_come_another_way(
    site: Site, programs: Programs
) -> None:
    """Alertmanager's own notifiers are refused: a group has become a supergroup, a routing key leads nowhere."""
    site.telegram.supergroup = -1001234567890
    site.pagerduty.is_key_known = False
    site.exporter.start()
    site.alertmanager.start()
    with Prometheus(site.folder / "config" / "prometheus.yml", site.folder / "prometheus", programs):
        site.exporter.wait_for("vv_alertmanager_up", 1)
        site.fire("DockerUnreachable", severity="critical")

        came = site.telegram.wait_for(about("DockerUnreachable it is"), 120)
        assert "Telegram refuses what Alertmanager sends: sent directly" in came.body.decode()
        assert came.json["chat_id"] == "-1001234567890"
        site.slack.wait_for(about("Notifications by telegram fail", "set TELEGRAM_CHAT_ID to -1001234567890"), 180)
        site.slack.wait_for(about("Notifications by pagerduty fail", "Invalid routing key"), 180)

        # The operator puts it right: what still rings, rings.
        site.pagerduty.is_key_known = True
        site.pagerduty.wait_for(about("DockerUnreachable it is", "trigger"), 120)
    assert len(site.telegram.matching(about("DockerUnreachable it is"))) == 1


def missed(site: Site) -> float:
    return sum(value for name, value in site.exporter.metrics().items() if name.startswith("vv_alerts_missed_total"))
