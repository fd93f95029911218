"""A digest's numbers follow from what happened."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.core import Metric as Family

from tests.support.clock import Clock
from tests.support.digests import DAY, HOUR, MINUTE, alert, day, notify, sampled
from tests.support.states import device
from vv_exporter.digest import Delivery, Digest, Job, Stage, Video, digest, history, samples
from vv_exporter.digest.alerts import Component, OpenAlert
from vv_exporter.digest.uptime import Uptime
from vv_exporter.metrics import counters, gauges
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.metrics.delivery import NOTIFICATIONS
from vv_exporter.metrics.dvr import DVR_UP
from vv_exporter.state.store import Store
from vv_exporter.web.guard import gather

NOW = 1_795_762_800.0
SINCE = NOW - DAY


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.db", Clock(NOW))
    yield store
    store.close()


def of(store: Store, since: float = SINCE, until: float = NOW) -> Digest:
    return digest(history.read(store, since, until), "edge-7", since, until)


def states(store: Store, *given: dict[str, Any]) -> None:
    """Samples, a minute apart, the first at the beginning."""
    for number, state in enumerate(given):
        sampled(store, SINCE + number * MINUTE, **state)


def test_a_day_with_everything(store: Store) -> None:
    day(store, NOW)
    found = of(store)

    assert found.alerts.began == 6
    assert list(found.alerts.severities.items()) == [("critical", 1), ("error", 4), ("warning", 1)]
    assert found.alerts.components == (
        Component("agent_dvr", 2, {"critical": 1, "error": 1}),
        Component("backup", 2, {"error": 2}),
        Component("host", 1, {"warning": 1}),
        Component("scan_video", 1, {"error": 1}),
    )
    assert (found.alerts.ended, found.alerts.median, found.alerts.longest) == (6, 661.5, 3 * HOUR)
    assert found.alerts.longest_title == "summarize_scene is stuck"
    assert found.alerts.open == (
        OpenAlert("DVR front is away", "critical", "agent_dvr", NOW - 2 * HOUR),
        OpenAlert("Disk /srv/video is filling up", "warning", "storage", SINCE - 5 * HOUR),
    )
    assert found.stages == (Stage("scan_video", 40, 7, 1, 2), Stage("summarize_scene", 32, 0, 0, 0))
    assert found.videos == (
        Video("/srv/video/input/gate-0031.mp4", 5, "no key frame in 31 s"),
        Video("/srv/video/input/yard.mp4", 2, "moov atom not found"),
    )
    assert found.jobs == (Job("backup", 0, 0, 2), Job("cleanup", 3, 1, 0))
    assert [(one.kind, one.name, one.down, one.restarts) for one in found.uptimes] == [
        ("device", "", 30 * MINUTE, 1),
        ("exporter", "", 61 * MINUTE, 0),
        ("DVR", "front", 2 * HOUR, 0),
        ("container", "agent_dvr", HOUR, 0),
        ("container", "scene_scanner", 0, 0),
    ]
    assert [(disk.name, round((disk.per_day or 0) / 1e9)) for disk in found.disks] == [
        ("/srv/video (video_storage)", 24),
        ("/ (system)", 0),
    ]
    assert found.disks[0].full_in == pytest.approx(2 * DAY, rel=0.01)
    assert found.deliveries == (Delivery("slack", 14, 0, 0), Delivery("webhook", 9, 3, 1))


def test_a_device_that_knows_nothing_yet(store: Store) -> None:
    found = of(store)

    assert (found.alerts.began, found.alerts.ended, found.alerts.median, found.alerts.open) == (0, 0, None, ())
    assert (found.stages, found.videos, found.jobs, found.uptimes, found.disks, found.deliveries) == ((),) * 6


def test_it_can_be_told_over_the_wire(store: Store) -> None:
    day(store, NOW)
    found = of(store)

    assert msgspec.json.decode(msgspec.json.encode(found), type=Digest) == found
    json.loads(msgspec.json.encode(found))


def test_what_is_at_the_boundary_belongs_to_one_day_only(store: Store) -> None:
    alert(store, "A", "error", "first", SINCE, 1.0)
    alert(store, "A", "error", "next", NOW, 1.0)

    assert [one.name for one in of(store).alerts.components] == ["first"]
    assert [one.name for one in of(store, NOW, NOW + DAY).alerts.components] == ["next"]


def test_an_alert_that_begins_again_without_its_end_having_been_told_is_open_once(store: Store) -> None:
    notify(store, SINCE + 2, "A", "error", "c", SINCE + 1)
    notify(store, SINCE + HOUR + 1, "A", "error", "c", SINCE + HOUR)

    assert (of(store).alerts.began, of(store).alerts.still_open) == (2, 1)


def test_alerts_of_scripts_end_by_themselves_and_say_nothing_of_the_time_to_an_end(store: Store) -> None:
    alert(store, "VVEvent", "error", "signer.py", SINCE + 1, 15 * MINUTE)

    assert (of(store).alerts.ended, of(store).alerts.median, of(store).alerts.longest) == (1, None, None)


def test_the_first_run_of_a_stage_counts(store: Store) -> None:
    states(store, {}, {"stages": {"scan_video/failure": 3}})

    assert of(store).stages == (Stage("scan_video", 3, 3, 0, 0),)


def test_a_count_that_began_anew_counts_from_zero(store: Store) -> None:
    states(store, {"jobs": {"a/failure": 5}}, {"jobs": {"a/failure": 2}}, {"jobs": {"a/failure": 4}})

    assert of(store).jobs == (Job("a", 4, 4, 0),)


def test_a_collector_that_failed_at_the_beginning_makes_no_count_of_all_time(store: Store) -> None:
    states(store, {"failing": ("pipeline",)}, {"stages": {"s/failure": 900}}, {"stages": {"s/failure": 901}})

    assert of(store).stages == (Stage("s", 1, 1, 0, 0),)


def test_what_happened_before_is_the_base_of_counts(store: Store) -> None:
    sampled(store, SINCE - 3 * HOUR, stages={"s/success": 10})
    sampled(store, SINCE + HOUR, stages={"s/success": 12})

    assert of(store).stages == (Stage("s", 2, 0, 0, 0),)


def test_a_clock_that_is_set_is_no_restart_of_the_device(store: Store) -> None:
    boot = SINCE - 9 * DAY
    states(store, {"boot": boot}, {"boot": boot + 3600}, {"boot": boot})

    assert of(store, SINCE, SINCE + 120).uptimes[0] == Uptime("device", "", 120, 0)


def test_samples_that_followed_the_clock_know_when_the_device_was_started(store: Store) -> None:
    """They were taken with a clock that was a day ahead, two hours after the start."""
    for minute in range(5):
        time = SINCE + minute * MINUTE
        written = samples.Sample(time + DAY, boot=SINCE + DAY - 2 * HOUR)
        with store.transaction() as tx:
            tx.append(samples.HISTORY, time, msgspec.to_builtins(written))

    assert of(store, SINCE, SINCE + 4 * MINUTE).uptimes[0] == Uptime("device", "", 4 * MINUTE, 0)


def test_an_alert_does_not_begin_after_people_were_told_of_it(store: Store) -> None:
    notify(store, SINCE + HOUR, "A", "error", "c", SINCE + DAY + HOUR)

    assert [one.since for one in of(store).alerts.open] == [SINCE + HOUR]


def test_a_device_that_is_switched_on_after_the_time_of_the_digest_was_off(store: Store) -> None:
    states(store, {"boot": SINCE - DAY})
    sampled(store, NOW + 2 * HOUR, boot=NOW + 2 * HOUR - MINUTE)

    up, exporter = of(store).uptimes
    assert up == Uptime("device", "", DAY, DAY, 1)
    assert exporter == Uptime("exporter", "", DAY, DAY)


def test_nobody_knows_of_a_container_while_the_exporter_is_away(store: Store) -> None:
    sampled(store, SINCE, containers={"a": 1})
    sampled(store, SINCE + MINUTE, containers={"a": 0})
    sampled(store, SINCE + HOUR, containers={"a": 1})
    sampled(store, SINCE + HOUR + MINUTE, containers={"a": 1})

    found = of(store, SINCE, SINCE + HOUR + MINUTE).uptimes
    assert found[-1] == Uptime("container", "a", 2 * MINUTE, 0)


def test_a_trend_of_minutes_says_nothing(store: Store) -> None:
    states(store, {"disks": {"/": samples.Space(10e9, 20e9)}}, {"disks": {"/": samples.Space(9e9, 20e9)}})

    (disk,) = of(store).disks
    assert (disk.free, disk.per_day, disk.full_in, disk.trend) == (9e9, None, None, "")


def test_a_sample_holds_what_a_scrape_shows() -> None:
    families: list[Family] = gather(device(NOW, broken=True))
    families.append(counters(NOTIFICATIONS, [(("slack", "failed"), 3, None), (("webhook", "ok"), 1, None)]))
    families.append(counters(RELAY_DELIVERIES, [(("alertmanager", "ok"), 9, None), (("webhook", "ok"), 7, None)]))
    families.append(gauges(DVR_UP, [(("yard", "agent"), 1), (("yard", "probe"), 0), (("gate", "agent"), 1)]))
    found = samples.sample(families, NOW)

    assert found.containers == {"vv-0": 0, "vv-1": 0, "vv-2": 1}
    assert (found.dvrs["front"], found.dvrs["yard"], found.dvrs["gate"]) == (0, 0, 1)
    assert found.stages["scan_video/success"] == 10
    assert found.disks["/srv/video (video_storage)"] == samples.Space(1.1e12, 2e12)
    assert found.sent == {"slack/failed": 3, "webhook/ok": 7}
    assert found.failing == ()


def test_a_sample_is_small_whatever_there_is() -> None:
    families = gather(device(NOW, containers_=2000, stages=[f"stage-{number}" for number in range(500)]))

    assert len(msgspec.json.encode(samples.sample(families, NOW))) < 20_000


def test_history_of_many_notifications_is_read_in_steps(store: Store) -> None:
    with store.transaction():
        pass
    for number in range(700):
        notify(store, SINCE + number, "A", "info", "c", SINCE + number, number=str(number))

    assert of(store).alerts.began == 700
