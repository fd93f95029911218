"""What each channel gets, from a real Alertmanager that runs the rendered configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.browser import Browser, opened
from tests.support.hostile import HOSTILE
from tests.support.receivers import Recorder, Request, TelegramText
from tests.support.servers import Programs
from tests.support.waiting import wait_until
from tests.support.world import (
    CHANNELS,
    RUNBOOK,
    SEVERITY,
    STARTED,
    TEXTS,
    Alert,
    World,
    open_world,
    opsgenie_text,
    pagerduty_text,
    seen,
    slack_text,
    telegram_text,
    told,
    webhook_text,
)
from vv_exporter.alertmanager.token import read_token

pytestmark = pytest.mark.prometheus


@pytest.fixture(scope="module")
def world(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("notifications"), programs) as world:
        yield world


@pytest.fixture(autouse=True)
def nobody_refuses(world: World) -> Iterator[None]:
    """Whatever a test sends, each provider would have taken."""
    yield
    refused = {type(receiver).__name__: receiver.violations[:] for receiver in world.receivers() if receiver.violations}
    for receiver in world.receivers():
        receiver.violations.clear()
    assert refused == {}


@pytest.mark.parametrize("channel", TEXTS)
def test_every_channel_tells_every_field(world: World, channel: str) -> None:
    alert = Alert(severity=SEVERITY.get(channel, "critical"))

    world.raise_alerts(alert)
    text = told(world, channel, alert.device)

    annotations = alert.payload()["annotations"]
    wanted = {name: value for name, value in annotations.items() if name != "runbook_url"}
    wanted |= {
        "timestamp": "2026-01-31T10:30:00",
        "component": "scan_video",
        "runbook": RUNBOOK,
    }
    if channel not in ("webhook", "app.log"):
        wanted |= {
            "status page": world.settings.exporter_url,
            "silence": f"{world.settings.public_url}/silence?filter=",
        }
        moment = f"{STARTED.timestamp():.0f}"
        wanted |= {"timeline": f"{world.settings.public_url}/timeline?at={moment}&component=scan_video#entry"}
    assert {name: value for name, value in wanted.items() if value not in text} == {}
    assert alert.severity in text.lower()


def test_the_silence_link_fills_in_the_alert(world: World) -> None:
    alert = Alert(labels={"stage": "scan & <video>"})

    world.raise_alerts(alert)
    request = world.telegram.wait_for(lambda request: alert.device in telegram_text(request))

    link = TelegramText(request.json["text"]).links["Silence"]
    assert unquote(link) == (
        f"{world.settings.public_url}/silence?filter="
        f'{{alertname="StageFailing",component="scan_video",device="{alert.device}",stage="scan & <video>"}}'
    )


def test_without_an_alert_id_the_episode_is_named(world: World) -> None:
    alert = Alert(annotations={"alert_id": ""})

    world.raise_alerts(alert)

    assert re.search(rf"Alert id\*? [0-9a-f]{{16}}-{STARTED.timestamp():.0f}", told(world, "Slack", alert.device))


def test_the_exporter_is_told_with_its_token(world: World) -> None:
    alert = Alert(severity="info")

    world.raise_alerts(alert)
    request = world.log.wait_for(lambda request: alert.device in webhook_text(request))

    assert request.path == "/api/v1/alertmanager"
    assert request.headers["Authorization"] == f"Bearer {read_token(world.settings)}"


def test_secrets_reach_their_provider(world: World) -> None:
    alert = Alert(severity="critical")

    world.raise_alerts(alert)

    assert world.pagerduty.wait_for(lambda r: alert.device in pagerduty_text(r)).json["routing_key"] == "k" * 32
    authorization = world.opsgenie.wait_for(lambda r: alert.device in opsgenie_text(r)).headers["Authorization"]
    assert authorization == "GenieKey opsgenie-key"


@pytest.mark.parametrize("severity", sorted(CHANNELS.keys() - {"none"}))
def test_a_severity_goes_to_its_channels_once(world: World, severity: str) -> None:
    channels = CHANNELS[severity]
    alert = Alert(severity=severity)
    mark = Alert(severity=severity)

    world.raise_alerts(alert)
    for name in channels:
        getattr(world, name).wait_for(lambda item: alert.device in seen(item))
    # Told after it in each channel: what else was to come of the first has come.
    world.raise_alerts(mark)
    for name in channels:
        getattr(world, name).wait_for(lambda item: mark.device in seen(item))

    counts = {
        name: len(receiver.matching(lambda item: alert.device in seen(item)))
        for name, receiver in vars(world).items()
        if isinstance(receiver, Recorder)
    }
    assert {name: count for name, count in counts.items() if count} == dict.fromkeys(channels, 1)


def test_the_watchdog_beats_at_the_dead_mans_switch_and_comes_back_to_the_exporter_only(world: World) -> None:
    watchdog = Alert("Watchdog", severity="none", component="prometheus", annotations={"beat": "1700000000.125"})
    before = len(world.deadman.received)

    world.raise_alerts(watchdog)
    wait_until(lambda: len(world.deadman.received) >= before + 3, 20, what="three beats")
    wait_until(lambda: world.log.beats.count("1700000000.125") >= 3, 20, what="three that came back")

    elsewhere = [
        type(receiver).__name__
        for receiver in world.receivers()
        if receiver is not world.deadman and receiver.matching(lambda item: watchdog.device in seen(item))
    ]
    assert elsewhere == []


def test_one_cause_is_one_message(world: World) -> None:
    first = Alert("CollectorFailing", component="exporter", labels={"collector": "storage"})
    second = Alert("CollectorFailing", component="exporter", device=first.device, labels={"collector": "host"})
    for alert in (first, second):
        alert.started = datetime.now(UTC)
        alert.annotations = {"summary": f"Collector {alert.labels['collector']} is failing"}

    world.raise_alerts(first, second)
    text = told(world, "Slack", first.device)

    assert "(and others: 2 in all)" in text
    assert "Collector storage is failing" in text
    assert "Collector host is failing" in text
    assert len(world.slack.matching(lambda request: first.device in slack_text(request))) == 1


def test_events_with_different_titles_are_different_messages(world: World) -> None:
    first = Alert("VVEvent", labels={"title": "Disk swapped", "alert_key": "1"})
    second = Alert("VVEvent", device=first.device, labels={"title": "Lens dirty", "alert_key": "2"})

    world.raise_alerts(first, second)

    wait_until(lambda: len(world.slack.matching(lambda r: first.device in slack_text(r))) == 2, 30, what="two messages")


@pytest.mark.parametrize("channel", ["Slack", "Telegram", "e-mail", "e-mail in HTML"])
def test_the_end_is_told_with_its_duration(world: World, channel: str) -> None:
    alert = Alert(severity="warning")
    name, text = TEXTS[channel]

    world.raise_alerts(alert)
    told(world, channel, alert.device)
    world.raise_alerts(alert.resolved())
    item = getattr(world, name).wait_for(lambda item: alert.device in text(item) and "RESOLVED" in text(item))

    assert "resolved 2026-01-31T10:31:30Z, after 1m 30s" in text(item)
    assert "RESOLVED after 1m 30s: Stage scan_video is failing" in text(item)


def test_the_end_is_told_to_the_pagers_with_its_duration(world: World) -> None:
    alert = Alert(severity="critical")

    world.raise_alerts(alert)
    told(world, "PagerDuty", alert.device)
    alias = world.opsgenie.wait_for(lambda request: alert.device in request.body.decode()).json["alias"]
    world.raise_alerts(alert.resolved())
    event = world.pagerduty.wait_for(
        lambda request: alert.device in pagerduty_text(request) and request.json["event_action"] == "resolve"
    )
    closing = world.opsgenie.wait_for(lambda request: request.path == f"/v2/alerts/{alias}/close")

    assert "RESOLVED after 1m 30s: Stage scan_video is failing" in event.json["payload"]["summary"]
    assert "resolved 2026-01-31T10:31:30Z, after 1m 30s" in event.json["payload"]["custom_details"]["resolved"]
    assert closing.json["source"] == f"{alert.device}, after 1m 30s"


def test_a_component_of_any_name_leaves_the_link_to_its_moment_whole(world: World) -> None:
    alert = Alert(component='scan "video" <b> & {{ x }}')

    world.raise_alerts(alert)
    request = world.telegram.wait_for(lambda request: alert.device in telegram_text(request))

    link = TelegramText(request.json["text"]).links["Timeline"]
    assert link == f"{world.settings.public_url}/timeline?at={STARTED.timestamp():.0f}#entry"


def test_a_resolved_alert_leaves_nothing_to_do(world: World) -> None:
    alert = Alert(severity="warning")

    world.raise_alerts(alert)
    told(world, "e-mail", alert.device)
    world.raise_alerts(alert.resolved())
    mail = world.mail.wait_for(lambda mail: alert.device in mail.subject and "RESOLVED" in mail.subject)

    assert "What to do" not in mail.body("plain") + mail.body("html")


@pytest.mark.browser
def test_a_mail_is_as_wide_as_a_telephone(world: World, chromium: Browser, tmp_path: Path) -> None:
    alert = Alert(severity="warning", annotations={"video": "x" * 300, "description": "y" * 300})

    world.raise_alerts(alert)
    mail = world.mail.wait_for(lambda mail: alert.device in mail.subject)
    (tmp_path / "mail.html").write_text(mail.body("html"))

    with opened(chromium, (tmp_path / "mail.html").as_uri(), width=360) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_end_closes_the_incident(world: World) -> None:
    alert = Alert(severity="critical")

    world.raise_alerts(alert)
    event = world.pagerduty.wait_for(lambda request: alert.device in pagerduty_text(request)).json
    alias = world.opsgenie.wait_for(lambda request: alert.device in request.body.decode()).json["alias"]
    world.raise_alerts(alert.resolved())

    world.pagerduty.wait_for(lambda r: (r.json["event_action"], r.json["dedup_key"]) == ("resolve", event["dedup_key"]))
    world.opsgenie.wait_for(lambda request: request.path == f"/v2/alerts/{alias}/close")


def test_the_end_of_an_event_is_told_to_the_pager_and_the_log_but_not_to_the_chat(world: World) -> None:
    event = Alert("VVEvent", severity="critical", labels={"title": "Key is gone", "alert_key": "k"})

    world.raise_alerts(event)
    told(world, "Slack", event.device)
    world.raise_alerts(event.resolved())
    world.pagerduty.wait_for(
        lambda request: event.device in pagerduty_text(request) and request.json["event_action"] == "resolve"
    )
    world.log.wait_for(lambda request: event.device in webhook_text(request) and request.json["status"] == "resolved")
    # An alert on the same route that begins and ends after it.
    later = Alert("VVEvent", severity="critical", labels={"title": "Key is back", "alert_key": "b"})
    world.raise_alerts(later)
    told(world, "Slack", later.device)

    assert len(world.slack.matching(lambda request: event.device in slack_text(request))) == 1
    assert len(world.telegram.matching(lambda request: event.device in telegram_text(request))) == 1


def subject(alertname: str, severity: str, device: str, /, **labels: str) -> Alert:
    return Alert(alertname, severity, labels.pop("component", "storage"), device, labels)


# All pairs of alerts are in test_inhibition_matrix.py; these are told or not, and those that differ by a value.
INHIBITED = {
    "the disk's worse alert": (
        subject("DiskSpaceCritical", "critical", "i0", role="system", path="/"),
        subject("DiskSpaceLow", "warning", "i0", role="system", path="/"),
        True,
    ),
    "another disk's": (
        subject("DiskSpaceCritical", "critical", "i1", role="system", path="/"),
        subject("DiskSpaceLow", "warning", "i1", role="video_storage", path="/data"),
        False,
    ),
    "another device's": (
        subject("DiskSpaceCritical", "critical", "i2", role="system", path="/"),
        subject("DiskSpaceLow", "warning", "i2b", role="system", path="/"),
        False,
    ),
    "a system disk that is nearly full, the pause": (
        subject("DiskSpaceCritical", "critical", "i21", role="system", path="/"),
        subject("IngestPaused", "warning", "i21", component="ingest"),
        False,
    ),
    "a system disk that is gone, for the pipeline": (
        subject("StorageUnavailable", "critical", "i24", role="system", path="/"),
        subject("PipelineStalled", "critical", "i24", component="pipeline"),
        False,
    ),
    "storage that is gone, for another collector": (
        subject("StorageUnavailable", "critical", "i26", role="video_storage", path="/data"),
        subject("CollectorFailing", "error", "i26", component="exporter", collector="containers"),
        False,
    ),
    "Docker that is gone, its collector": (
        subject("DockerUnreachable", "critical", "i5", component="docker"),
        subject("CollectorFailing", "error", "i5", component="exporter", collector="containers"),
        True,
    ),
    "Docker that is gone, another collector": (
        subject("DockerUnreachable", "critical", "i6", component="docker"),
        subject("CollectorFailing", "error", "i6", component="exporter", collector="host"),
        False,
    ),
}


def test_no_two_cases_share_a_device() -> None:
    devices = [{cause.device, consequence.device} for cause, consequence, _ in INHIBITED.values()]

    assert sum(map(len, devices)) == len(set().union(*devices))


@pytest.mark.parametrize("case", INHIBITED)
def test_what_follows_from_a_cause_is_not_told_beside_it(world: World, case: str) -> None:
    cause, consequence, inhibited = INHIBITED[case]
    told_of_it: Callable[[Request], bool] = lambda request: (  # noqa: E731
        consequence.device in slack_text(request)
        and request.json["attachments"][0]["footer"].endswith(consequence.name)
        and f"Severity* {consequence.severity.upper()}" in slack_text(request)
    )

    world.raise_alerts(cause)
    told(world, "Slack", cause.device)
    world.raise_alerts(consequence)

    if inhibited:
        wait_until(lambda: status_of(world, consequence)["inhibitedBy"], 30, what="the inhibition")
        later = Alert()
        world.raise_alerts(later)
        told(world, "Slack", later.device)
        assert world.slack.matching(told_of_it) == []
    else:
        world.slack.wait_for(told_of_it)
        assert status_of(world, consequence)["inhibitedBy"] == []


def is_alert(found: dict[str, Any], alert: Alert) -> bool:
    return bool(found["labels"] == alert.payload()["labels"])


def status_of(world: World, alert: Alert) -> dict[str, Any]:
    (found,) = (item for item in world.alertmanager.alerts(alert.name) if is_alert(item, alert))
    status: dict[str, Any] = found["status"]
    return status


@pytest.mark.parametrize("channel", TEXTS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_arrives_as_it_is(world: World, kind: str, channel: str) -> None:
    text = HOSTILE[kind]
    one_line = " ".join(text.split())
    alert = Alert(
        severity=SEVERITY.get(channel, "critical"),
        annotations={
            "summary": one_line,
            "description": text,
            "suggested_actions": text,
            "video": one_line,
            "error": text,
        },
    )

    world.raise_alerts(alert)
    got = told(world, channel, alert.device)

    if channel == "Slack":
        text = text.replace("```", "'''")  # they would end the block that the error stands in
    assert got.count(text) >= 3
    assert "2026-01-31T10:30:00" in got
    assert "0190b6c4-0000-7000-8000-000000000001" in got
    assert RUNBOOK in got


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_labels_arrive_as_they_are(world: World, kind: str) -> None:
    text = " ".join(HOSTILE[kind].split())
    event = Alert("VVEvent", "critical", text, labels={"title": text, "alert_key": text}, annotations={"summary": text})

    world.raise_alerts(event)

    for channel in ("Telegram", "PagerDuty", "Opsgenie", "webhook"):
        assert text in told(world, channel, event.device)
    assert text.replace("```", "'''") in told(world, "Slack", event.device)


@pytest.mark.parametrize("channel", TEXTS)
def test_control_characters_do_no_harm(world: World, channel: str) -> None:
    controls = "".join(map(chr, [*range(0x20), 0x7F, *range(0x80, 0xA0)]))
    alert = Alert(
        severity=SEVERITY.get(channel, "critical"),
        annotations={"summary": f"a{controls}\r\nBcc: x@example.org", "description": f"before{controls}after\r\nnext"},
    )

    world.raise_alerts(alert)
    got = told(world, channel, alert.device)

    if channel in ("webhook", "app.log"):
        assert f"before{controls}after" in got
    else:
        assert re.search(r"before.*after", got, re.DOTALL)
        assert re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", got) == []
        assert "Bcc: x@example.org" in got


@pytest.mark.parametrize("filling", ["x", "&", "<", "😀", "é", '"', "\n", "a&<b> "], ids=ascii)
def test_a_megabyte_is_cut_and_no_field_is_lost(world: World, filling: str) -> None:
    huge = filling * (1_000_000 // len(filling.encode()))
    long_names = ("summary", "description", "suggested_actions", "video", "error")
    alert = Alert(severity="critical", annotations=dict.fromkeys(long_names, f"begin {huge}"))

    world.raise_alerts(alert)

    for channel in ("Slack", "Telegram", "PagerDuty", "Opsgenie"):
        got = told(world, channel, alert.device)
        assert got.count("begin") >= 3, channel
        for wanted in ("2026-01-31T10:30:00Z", "scan_video", "CRITICAL", "0190b6c4", RUNBOOK, "/silence?", "19461"):
            assert wanted.replace("19461", world.settings.exporter_url) in got, (channel, wanted)


@pytest.mark.parametrize("filling", ["x", "&", "😀"], ids=ascii)
def test_a_group_of_long_alerts_fits_too(world: World, filling: str) -> None:
    device = f"edge-group-{ord(filling)}"
    alerts = [
        Alert(
            severity="critical",
            component="c" + filling * 300,
            device=device,
            started=datetime.now(UTC),
            labels={"collector": f"{number}"},
            annotations=dict.fromkeys(("summary", "description", "suggested_actions", "video", "error"), filling * 1500)
            | {"alert_id": "i" * 64, "video_sha256": "f" * 64, "timestamp": "2026-01-31T10:30:00.123456789Z"},
        )
        for number in range(12)
    ]

    world.raise_alerts(*alerts)

    for channel in ("Slack", "Telegram"):
        told(world, channel, device, "(and others: 12 in all)")
    for pager in (world.pagerduty, world.opsgenie):  # an incident each
        wait_until(lambda pager=pager: len(pager.matching(lambda item: device in seen(item))) == 12, 60)  # type: ignore[misc]


def test_an_outage_of_one_provider_does_not_hold_up_the_others(world: World) -> None:
    alert = Alert()
    world.slack.outage = 503

    world.raise_alerts(alert)
    told(world, "Telegram", alert.device)
    world.slack.outage = None

    told(world, "Slack", alert.device, timeout=30)
