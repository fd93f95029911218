"""`vv drill` on a whole device: every channel is proven by what its provider took, and nothing is taken for a fault."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.support.device import Channels, Device
from tests.support.receivers import MailServer, Request, Slack, Webhook
from tests.support.servers import Programs
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(600)]

PROVEN = "vv_alarm_path_proven_timestamp_seconds"
QUIET = {
    "DOCKER_HOST": "unix:///nonexistent/docker.sock",
}
ALL = {"slack", "telegram", "pagerduty", "email", "webhook", "alertmanager-webhook"}


def start(device: Device, *words: str) -> subprocess.Popen[str]:
    command, pipe = [sys.executable, "-m", "vv_exporter", *words], subprocess.PIPE
    return subprocess.Popen(command, env=device.env, stdout=pipe, stderr=pipe, text=True)


class Site:
    """A device with every channel set to a receiver."""

    def __init__(self, device: Device, channels: Channels, hook: Webhook, mail: MailServer) -> None:
        self.device = device
        self.channels = channels
        self.hook = hook
        self.mail = mail

    def start(self, *words: str) -> subprocess.Popen[str]:
        return start(self.device, *words)

    def vv(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output, errors."""
        process = self.start(*words)
        output, errors = process.communicate(timeout=300)
        return process.returncode, output, errors

    def proven(self) -> dict[str, float]:
        found = self.device.query(f"{PROVEN} > 0")
        return {one["metric"]["channel"]: float(one["value"][1]) for one in found}

    def messages(self) -> dict[str, list[str]]:
        """What people and programs got, by channel, in which a drill is spoken of or nothing is."""
        requests_: dict[str, list[Request]] = {
            "slack": self.channels.slack.received,
            "telegram": self.channels.telegram.received,
            "pagerduty": self.channels.pagerduty.received,
            "webhook": self.hook.received,
            "alertmanager-webhook": self.channels.webhook.received,
        }
        found = {name: [one.body.decode() for one in received] for name, received in requests_.items()}
        return found | {"email": [f"{mail.subject}\n{mail.body('plain')}" for mail in self.mail.received]}


@pytest.fixture(scope="module")
def scheduled(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Device, Slack, datetime]]:
    """A device whose drill is due a minute or two from now, while the other tests run."""
    due = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=2)
    with Slack() as slack:
        environ = {**QUIET, "SLACK_WEBHOOK_URL": slack.url, "VV_DRILL_AT": f"{due:%-M %-H} * * *"}
        with Device(tmp_path_factory.mktemp("scheduled"), environ) as device:
            yield device, slack, due
        assert slack.violations == []


@pytest.fixture(scope="module")
def site(
    programs: Programs, scheduled: tuple[Device, Slack, datetime], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with Channels() as channels, Webhook() as hook, MailServer() as mail:
        environ = {
            **channels.environ(),
            "WEBHOOK_URL": hook.url,
            "SMTP_SMARTHOST": mail.smarthost,
            "SMTP_FROM": "vv@example.org",
            "SMTP_REQUIRE_TLS": "false",
            "ALERT_EMAIL_TO": "ana@example.org",
            **QUIET,
        }
        with Device(tmp_path_factory.mktemp("drill"), environ) as device:
            path = f"{device.url('exporter')}/api/v1/status"
            wait_until(
                lambda: requests.get(path, timeout=20).json()["alert_path"]["state"] == "works", 120, what="the loop"
            )
            yield Site(device, channels, hook, mail)
        assert channels.violations() + hook.violations + mail.violations == []


def ends(text: str) -> bool:
    """Whether it tells of the end of one: the drill before may end meanwhile."""
    return any(word in text for word in ("RESOLVED", '"event_action":"resolve"', '"status":"resolved"', "Resolved: "))


def about_drill(text: str) -> bool:
    return "drill" in text.lower()


def test_every_channel_is_proven_and_a_real_alert_gets_through_beside_it(site: Site) -> None:
    drill = site.start("drill")
    site.vv("alert", "CRITICAL", "Lens is cracked", "--component", "lens")
    output, errors = drill.communicate(timeout=300)

    assert (drill.returncode, {line.split()[0] for line in output.splitlines()}) == (0, ALL), output + errors
    assert all(line.split()[1] == "accepted" and " s " in line for line in output.splitlines())
    assert "counted by the exporter" in errors
    assert "Alertmanager has it" in errors
    told = site.messages()
    for channel in ALL:
        assert len([text for text in told[channel] if about_drill(text)]) == 1, channel
        if channel != "email":  # the real one is critical
            assert any("Lens is cracked" in text for text in told[channel]), channel
    assert "DRILL: Drill of critical alerts, nothing is wrong" in told["slack"][0] + told["slack"][-1]
    assert site.mail.received[0].subject.startswith("[DRILL] edge-7: Drill of warning alerts")
    # The series follow the answers, with the next scrape.
    wait_until(lambda: site.proven().keys() == ALL, 60, what="the proofs")


def test_the_drill_of_one_channel_is_heard_by_it_alone(site: Site) -> None:
    before, counts = site.proven(), {name: len(texts) for name, texts in site.messages().items()}
    code, output, errors = site.vv("drill", "--channel", "telegram")

    assert (code, output.split()[:2]) == (0, ["telegram", "accepted"]), output + errors
    told = {name: texts[counts[name] :] for name, texts in site.messages().items()}
    told = {name: [text for text in texts if about_drill(text) and not ends(text)] for name, texts in told.items()}
    assert {name for name, texts in told.items() if texts} == {"telegram"}
    wait_until(lambda: site.proven()["telegram"] > before["telegram"], 60, what="the new proof")
    assert site.proven() | {"telegram": 0.0} == before | {"telegram": 0.0}


def test_a_channel_that_refuses_it_fails_with_reason_and_cure(site: Site) -> None:
    site.channels.slack.outage = 404
    try:
        code, output, errors = site.vv("drill", "--channel", "slack")
    finally:
        site.channels.slack.outage = None

    assert code == 1
    assert output.split()[:2] == ["slack", "failed"]
    assert "refused by the provider (4xx)" in output
    assert "do: vv notify test --channel slack" in output
    assert "1 of 1 channel failed: slack" in errors


def test_a_silence_is_said_and_not_waited_for(site: Site) -> None:
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "alertname", "value": "Drill", "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(minutes=10)).isoformat(),
        "createdBy": "test",
        "comment": "test",
    }
    address = f"{site.device.url('alertmanager')}/api/v2"
    made = requests.post(f"{address}/silences", json=silence, timeout=10).json()["silenceID"]
    try:
        code, output, _ = site.vv("drill", "--channel", "slack")
    finally:
        requests.delete(f"{address}/silence/{made}", timeout=10)

    assert code == 1
    assert "silenced: a silence in Alertmanager holds it back" in output
    assert "end the silence" in output


def test_wrong_use_says_what_would_be_right(site: Site) -> None:
    code, _, errors = site.vv("drill", "--channel", "fax")

    assert code == 2
    assert "configured: " in errors
    assert "slack" in errors


def test_it_is_shown_when_each_channel_was_proven(site: Site) -> None:
    _, output, _ = site.vv("status")
    document = requests.get(f"{site.device.url('exporter')}/api/v1/status", timeout=20).json()
    _, digest, _ = site.vv("digest")

    assert "proven by a drill: email" in output
    proven = {one["channel"]: one for one in document["alert_path"]["proven"]}
    assert proven.keys() == ALL
    assert all(0 < one["seconds"] < 300 for one in proven.values())
    assert "PROVEN BY A DRILL" in digest


def test_without_an_exporter_it_fails_and_says_so(site: Site, tmp_path: Any) -> None:
    environ = {**os.environ, **site.device.environ, "VV_STATE_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "vv_exporter", "drill", "--channel", "slack"],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    line = ""
    assert process.stderr is not None
    for line in process.stderr:
        if "no exporter reads" in line:
            break
    process.terminate()
    process.communicate(timeout=30)
    assert "no exporter reads" in line


def drills(device: Device) -> dict[str, dict[str, Any]]:
    """By id."""
    found = requests.get(f"{device.url('exporter')}/api/v1/drills", timeout=20).json()["drills"]
    return {one["id"]: one for one in found}


def firing(slack: Slack, id_: str) -> int:
    """How many messages tell of this drill."""
    texts = [request.body.decode() for request in slack.received]
    return len([text for text in texts if id_ in text and not ends(text)])


def test_the_drill_of_the_schedule_is_one_also_when_the_exporter_is_killed_in_that_minute(
    scheduled: tuple[Device, Slack, datetime],
) -> None:
    device, slack, due = scheduled
    id_ = f"drill-{due:%Y%m%dT%H%M%SZ}"
    wait_until(lambda: drills(device)[id_]["counted"], 240, what="the drill")
    device.kill("exporter")
    ended = wait_until(lambda: one if (one := drills(device)[id_])["ended"] else None, 240, what="its end")

    assert [(one["channel"], one["state"]) for one in ended["channels"]] == [("slack", "accepted")]
    # One that is asked for after it is counted after it.
    output, errors = start(device, "drill", "--channel", "slack").communicate(timeout=300)
    assert output.split()[:2] == ["slack", "accepted"], output + errors
    assert len(drills(device)) == 2
    assert firing(slack, id_) == 1


def test_a_drill_goes_on_where_the_exporter_is_killed_in_the_middle(
    scheduled: tuple[Device, Slack, datetime],
) -> None:
    device, slack, _ = scheduled
    drill = start(device, "drill", "--channel", "slack")
    assert drill.stderr is not None
    first = drill.stderr.readline()
    id_ = first.split()[1].rstrip(":")
    wait_until(lambda: "counted by" in (drill.stderr.readline() if drill.stderr else ""), 60, what="the count")
    device.kill("exporter")
    output, errors = drill.communicate(timeout=300)

    assert (drill.returncode, output.split()[:2]) == (0, ["slack", "accepted"]), first + output + errors
    assert firing(slack, id_) == 1


def test_the_incident_at_the_pager_is_closed_again(site: Site) -> None:
    def of_drill(action: str) -> list[dict[str, Any]]:
        found = [request.json for request in site.channels.pagerduty.received]
        opened = [one["dedup_key"] for one in found if about_drill(str(one.get("payload", "")))]
        return [one for one in found if one["dedup_key"] in opened and one["event_action"] == action]

    (opened,) = of_drill("trigger")
    assert opened["payload"]["summary"].startswith("DRILL: Drill of critical alerts")
    wait_until(lambda: len(of_drill("resolve")) == 1, 240, what="the end of the incident")
