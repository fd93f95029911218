"""How often people are told: a burst is one message, and what lasts is told again in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.receivers import Recorder
from tests.support.routes import scale
from tests.support.servers import Programs
from tests.support.waiting import wait_until
from tests.support.world import TEXTS, Alert, World, open_world, seen, slack_text, told

pytestmark = pytest.mark.prometheus

MANY = 30
FACTOR = 1800  # half an hour is a second
HOURS = {"error": 4.0, "critical": 1.0, "warning": 12.0}


@pytest.fixture(scope="module")
def world(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("grouping"), programs) as world:
        yield world
        assert [one.violations for one in world.receivers() if one.violations] == []


def burst(name: str, severity: str, device: str, component: str = "camera-{:02}") -> list[Alert]:
    """The same of many containers, begun just now."""
    names = [component.format(number) for number in range(MANY)]
    return [
        Alert(
            name,
            severity,
            one,
            device,
            {"name": one},
            {"summary": f"Container {one} is down", "description": f"{one} should run.", "alert_id": "", "video": ""},
            datetime.now(UTC),
        )
        for one in names
    ]


BURSTS = {
    "Slack": ("ContainerDown", "error"),
    "Telegram": ("ContainerDown", "error"),
    "webhook": ("ContainerDown", "error"),
    "e-mail": ("ContainerRestarting", "warning"),
    "e-mail in HTML": ("ContainerRestarting", "warning"),
}


@pytest.mark.parametrize("channel", BURSTS)
def test_thirty_containers_that_go_down_at_once_are_one_message_that_names_them(world: World, channel: str) -> None:
    alerts = burst(*BURSTS[channel], device=f"burst-{channel.replace(' ', '-')}")
    receiver: Recorder[Any] = getattr(world, TEXTS[channel][0])

    world.raise_alerts(*alerts)
    text = told(world, channel, alerts[0].device)
    later = Alert(severity=alerts[0].severity)
    world.raise_alerts(later)
    told(world, channel, later.device)

    assert [alert.component for alert in alerts if alert.component not in text] == []
    assert len(receiver.matching(lambda item: alerts[0].device in seen(item))) == 1
    if channel != "webhook":
        assert f"(and others: {MANY} in all)" in text


@pytest.mark.parametrize("channel", BURSTS)
def test_names_that_are_too_long_are_cut_and_the_message_arrives(world: World, channel: str) -> None:
    alerts = burst(*BURSTS[channel], device=f"long-{channel.replace(' ', '-')}", component="a<&" + "😀" * 60 + "{:02}")

    world.raise_alerts(*alerts)

    told(world, channel, alerts[0].device, "a<&😀")


def test_a_container_that_goes_down_later_is_told_with_those_that_are(world: World) -> None:
    first, second, *_ = burst("ContainerDown", "error", device="later")

    world.raise_alerts(first)
    told(world, "Slack", "later", first.component)
    world.raise_alerts(second)

    assert first.component in told(world, "Slack", "later", second.component)


# Of rules' alerts, beside alertname, device, component and severity: what names the subject.
PAGERS = ("PagerDuty", "Opsgenie")
SUBJECTS = ("name", "stage", "job", "role", "path", "dvr", "collector", "instance", "channel", "reason")


def test_a_pager_rings_for_the_second_too_and_each_ends_by_itself(world: World) -> None:
    """Two that differ in nothing but their subject, the second when somebody has the first in hand."""
    first, second = (
        [
            Alert(
                "ContainerDown", "critical", "subject", "two", {label: one}, {"summary": f"The {label} {one} is down"}
            )
            for label in SUBJECTS
        ]
        for one in ("first", "second")
    )
    world.raise_alerts(*first)
    opened = {(pager, label): told_once(world, pager, label, "first") for pager in PAGERS for label in SUBJECTS}
    world.raise_alerts(*second)
    joined = {(pager, label): told_once(world, pager, label, "second") for pager in PAGERS for label in SUBJECTS}
    assert [of for of, incident in opened.items() if joined[of] == incident] == []

    world.raise_alerts(*(alert.resolved() for alert in first))

    wait_until(lambda: set(opened.values()) <= ended(world), 60, what="the end of the first ones")
    assert set(joined.values()) & ended(world) == set()


def told_once(world: World, pager: str, label: str, subject: str) -> str:
    """The identity of the incident that was opened for this subject, and for no other."""
    words = f"The {label} {subject} is down"
    told(world, pager, words)
    recorder: Recorder[Any] = getattr(world, TEXTS[pager][0])
    (request,) = recorder.matching(lambda item: words in seen(item))
    return str(request.json["dedup_key"] if pager == "PagerDuty" else request.json["alias"])


def ended(world: World) -> set[str]:
    """The identities of the incidents that were closed."""
    pages = [one.json for one in world.pagerduty.received]
    closed = [one.path for one in world.opsgenie.received if one.path.endswith("/close")]
    return {one["dedup_key"] for one in pages if one["event_action"] == "resolve"} | {
        path.split("/")[-2] for path in closed
    }


def test_thirty_critical_containers_ring_thirty_times_at_a_pager_and_are_one_message_in_a_chat(world: World) -> None:
    alerts = burst("ContainerDown", "critical", device="burst-critical")

    world.raise_alerts(*alerts)

    for alert in alerts:
        told(world, "PagerDuty", "burst-critical", f"{alert.component} is down")
    assert len(world.pagerduty.matching(lambda item: "burst-critical" in seen(item))) == MANY
    told(world, "Slack", "burst-critical", *(alert.component for alert in alerts))
    assert len(world.slack.matching(lambda item: "burst-critical" in seen(item))) == 1


@pytest.mark.timeout(400)
def test_what_lasts_is_told_again_in_time(programs: Programs, tmp_path: Path) -> None:
    """With all of Alertmanager's times shorter by one factor. It may be late on a busy machine, and never early."""
    alerts = {hours: Alert(severity=severity) for severity, hours in HOURS.items()}
    alerts[0.5] = Alert("DvrUnreachable", labels={"dvr": "front"})
    with open_world(tmp_path, programs, partial(scale, factor=FACTOR)) as world:
        begin = time.monotonic()
        world.raise_alerts(*alerts.values())
        wait_until(lambda: times_told(world, alerts[12.0]) >= 2, 240, what="a warning's second time")
        counts = {hours: times_told(world, alert) for hours, alert in alerts.items()}
        taken = time.monotonic() - begin

    most = {hours: 1 + taken / (hours * 3600 / FACTOR) for hours in alerts}
    assert {hours: count for hours, count in counts.items() if count > most[hours]} == {}
    assert counts[0.5] > counts[1.0] > counts[4.0] > counts[12.0]


def times_told(world: World, alert: Alert) -> int:
    return len(world.slack.matching(lambda request: alert.device in slack_text(request)))
