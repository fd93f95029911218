"""What is told directly while the alert path is broken: each condition once, and once when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from prometheus_client.core import Metric as Family

from tests.support.clock import Clock
from vv_exporter.alert_path import direct_alerts
from vv_exporter.alert_path.beats import Beats
from vv_exporter.alert_path.direct_alerts import KEPT_SECONDS, SENT_EVERY_SECONDS, DirectAlerts
from vv_exporter.alert_path.last_line import INTERVAL_SECONDS, LastLine
from vv_exporter.alert_path.state import PathState
from vv_exporter.alert_path.unsaved import MAX_HELD, UnsavedMessages
from vv_exporter.alert_path.unseen import GAPS, GIVE_UP_SECONDS, Gap, Unseen, UnseenAlerts, find_unseen
from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.channels import Answer, ProviderError
from vv_exporter.delivery.accounts import ACCOUNTS, Account
from vv_exporter.delivery.direct import OUTGOING
from vv_exporter.messages.message import Message
from vv_exporter.metrics import (
    containers,
    counters,
    dvr,
    exporter,
    gauges,
    pipeline,
    security,
    self_monitor,
    storage,
    thresholds,
    videos,
)
from vv_exporter.metrics.alerts import ALERTS_DROPPED
from vv_exporter.metrics.delivery import ALERTS_MISSED
from vv_exporter.settings import load
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store, Transaction

UNANNOUNCED = PathState(closed=True, since=1_700_000_000.0, hop="not scraped")
BROKEN = PathState(closed=True, since=1_700_000_000.0, hop="not scraped", announced=True)
WORKS = PathState(closed=True)
DISK = ("video_storage", "/srv/video")


class Bench:
    """The last line, and what the device is like: `well` with `changes`."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.path = path
        self.settings = load({"VV_STATE_DIR": "/nonexistent", "VV_DEVICE_ID": "edge-7"})
        self.changes: list[Family] = []
        self.silent: set[str] = set()
        self.refuses = False
        self.held: list[Message] = []
        self.sent: list[dict[str, Any]] = []
        self.begin()

    def begin(self) -> None:
        self.store = Store(self.path, self.clock)
        self.beats = Beats(self.clock, self.clock)
        self.line = LastLine(
            self.store, self.beats, self.gather, ["slack"], self.settings, self.clock, self.held.append
        )
        self.told = DirectAlerts(self.store, self, self.settings, self.clock, self.clock)
        self.verdict(BROKEN)

    def verdict(self, state: PathState) -> None:
        self.beats.verdict = state

    def restart(self) -> None:
        self.store.close()
        self.begin()

    def gather(self) -> list[Family]:
        names = {"storage", "self_monitor", "dvr", "security", "pipeline", "videos", "containers"}
        answered = gauges(
            exporter.COLLECTOR_SUCCESS, [((name,), float(name not in self.silent)) for name in sorted(names)]
        )
        families = {family.name: family for family in [*well(), *self.changes, answered]}
        return list(families.values())

    def work(self, seconds: float) -> None:
        for _ in range(int(seconds / INTERVAL_SECONDS)):
            self.beats.tick()
            self.line.round()
            self.clock.advance(INTERVAL_SECONDS)

    def titles(self) -> list[str]:
        messages = [one.message for one in sorted(self.store.docs(OUTGOING).values(), key=lambda one: one.id)]
        return [f"RESOLVED {message.title}" if message.resolved else message.title for message in messages]

    def send(self, alerts: Sequence[dict[str, Any]]) -> None:
        if self.refuses:
            raise DeliveryError("nobody there")
        self.sent = list(alerts)

    def shown(self) -> list[dict[str, str]]:
        """The labels of the alerts that Alertmanager has from the exporter."""
        self.sent = []
        self.clock.advance(SENT_EVERY_SECONDS)
        self.told.round()
        return [alert["labels"] for alert in self.sent]


def well() -> list[Family]:
    return [
        gauges(storage.PROBE_SUCCESS, [(DISK, 1)]),
        gauges(storage.READONLY, [(DISK, 0)]),
        gauges(storage.MISSING, [(DISK, 0)]),
        gauges(storage.SIZE, [(DISK, 1e12)]),
        gauges(storage.FREE, [(DISK, 5e11)]),
        gauges(thresholds.FREE_RATIO, [(("video_storage", "critical"), 0.1)]),
        gauges(thresholds.FREE_BYTES, [(("video_storage", "critical"), 1e10)]),
        gauges(containers.DOCKER_UP, [((), 1)]),
        gauges(self_monitor.GAVE_UP, [(("agent_dvr",), 0)]),
        gauges(thresholds.DVR_DOWN_SECONDS, [((), 900)]),
        gauges(thresholds.DVR_FAILURES, [((), 3)]),
        gauges(dvr.DVR_UP, [(("front", "agent"), 1)]),
    ]


def age(seconds: float) -> float:
    return 1_700_000_000.0 - seconds


FAULTS: list[tuple[str, list[Family]]] = [
    ("Storage /srv/video cannot be used", [gauges(storage.PROBE_SUCCESS, [(DISK, 0)])]),
    ("File system of /srv/video is read-only", [gauges(storage.READONLY, [(DISK, 1)])]),
    ("Disk space critical on /srv/video", [gauges(storage.FREE, [(DISK, 9e10)])]),
    ("The Docker Engine does not answer", [gauges(containers.DOCKER_UP, [((), 0)])]),
    ("Container agent_dvr failed persistently", [gauges(self_monitor.GAVE_UP, [(("agent_dvr",), 1)])]),
    (
        "DVR front has given no stream for long",
        [
            gauges(dvr.DVR_UP, [(("front", "agent"), 0)]),
            gauges(dvr.DVR_DOWN_SINCE, [(("front", "agent"), age(1000))]),
            gauges(dvr.DVR_CONSECUTIVE_FAILURES, [(("front", "agent"), 3)]),
        ],
    ),
    (
        "signer.py cannot sign",
        [
            counters(security.HMAC_OPERATIONS, [(("sign", "signer.py", "failed"), 4, None)]),
            gauges(pipeline.LAST_FAILURE, [(("signer.py", "hmac:sign"), age(60))]),
        ],
    ),
    (
        "Videos wait, and nothing processes them",
        [
            gauges(videos.STALLED_SECONDS, [((), 1800)]),
            gauges(videos.BACKLOG_OLDEST, [((), age(2000))]),
            gauges(pipeline.STAGE_LAST_SUCCESS, [(("scan",), age(3000))]),
        ],
    ),
    ("The disk of /srv/video is missing", [gauges(storage.MISSING, [(DISK, 1)])]),
]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state.db")
    yield bench
    bench.store.close()


@pytest.mark.parametrize(("title", "families"), FAULTS, ids=[title for title, _ in FAULTS])
def test_each_is_told_once_within_a_minute_and_once_when_it_ends(
    bench: Bench, title: str, families: list[Family]
) -> None:
    bench.changes = families
    bench.work(50)
    assert bench.titles() == [title]
    bench.work(300)
    bench.restart()
    bench.work(300)
    assert bench.titles() == [title]

    bench.changes = []
    bench.work(120)
    assert bench.titles() == [title, f"RESOLVED {title}"]
    bench.work(300)
    assert bench.titles() == [title, f"RESOLVED {title}"]


def given_up(*names: str) -> list[Family]:
    return [gauges(self_monitor.GAVE_UP, [((name,), 1) for name in names])]


def test_what_there_is_no_room_for_is_counted_once_and_hides_nothing_that_people_know_of(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_alerts, "MAX_DIRECT_ALERTS", 2)
    bench.changes = given_up("a", "b")
    bench.work(60)
    bench.changes = given_up("a", "b", "c")
    bench.work(120)
    assert bench.titles() == ["Container a failed persistently", "Container b failed persistently"]
    assert bench.store.value(ALERTS_DROPPED, ("critical",)) == 1

    bench.changes = given_up("a", "c")
    bench.work(240)

    assert bench.titles()[2:] == ["RESOLVED Container b failed persistently", "Container c failed persistently"]
    assert bench.store.value(ALERTS_DROPPED, ("critical",)) == 1


def test_a_healthy_device_is_silent(bench: Bench) -> None:
    bench.work(1800)

    assert bench.titles() == []


@pytest.mark.parametrize(("title", "families"), FAULTS, ids=[title for title, _ in FAULTS])
def test_while_the_path_works_nothing_is_told_directly(bench: Bench, title: str, families: list[Family]) -> None:
    bench.verdict(WORKS)
    bench.changes = families
    bench.work(300)

    assert bench.titles() == []


def test_a_moment_is_no_word(bench: Bench) -> None:
    for _ in range(10):
        bench.changes = FAULTS[0][1]
        bench.work(20)
        bench.changes = []
        bench.work(20)

    assert bench.titles() == []


def test_that_the_path_is_broken_is_announced_first(bench: Bench) -> None:
    bench.verdict(UNANNOUNCED)
    bench.changes = [gauges(storage.READONLY, [(DISK, 1)])]
    bench.work(60)
    assert bench.titles() == []
    bench.verdict(BROKEN)
    bench.work(60)
    assert bench.titles() == ["File system of /srv/video is read-only"]


def test_what_held_while_an_earlier_path_was_broken_is_no_word_in_a_later_one(bench: Bench) -> None:
    """What is still open of the earlier one must not have the line take what it did not look at for lasting."""
    bench.changes = [gauges(storage.READONLY, [(DISK, 1)])]
    bench.work(60)
    moment = [gauges(containers.DOCKER_UP, [((), 0)])]
    bench.changes = [*bench.changes, *moment]
    bench.work(10)
    bench.verdict(WORKS)
    bench.work(600)
    bench.verdict(BROKEN)
    bench.work(10)
    assert bench.titles() == ["File system of /srv/video is read-only"]
    bench.work(60)
    assert bench.titles() == ["File system of /srv/video is read-only", "The Docker Engine does not answer"]


def test_alertmanager_has_it_from_the_exporter_until_the_rules_alert_has_ended_too(bench: Bench) -> None:
    assert bench.told.round() is False
    bench.changes = FAULTS[0][1]
    bench.work(60)
    bench.verdict(WORKS)
    bench.work(600)
    (labels,) = bench.shown()
    assert labels == {
        "alertname": "StorageUnavailable", "severity": "critical", "component": "storage", "device": "edge-7",
        "role": "video_storage", "path": "/srv/video", "told": "direct",
    }  # fmt: skip
    assert bench.sent[0]["annotations"]["summary"] == "Storage /srv/video cannot be used"
    assert len(bench.titles()) == 1

    bench.changes = []
    bench.work(120)
    assert bench.titles()[1:] == ["RESOLVED Storage /srv/video cannot be used"]
    assert bench.shown() == [labels]
    bench.work(KEPT_SECONDS)
    bench.told.round()
    assert bench.shown() == []
    assert bench.told.round() is False
    assert bench.line.round() is False


def test_an_alertmanager_that_comes_back_has_it_at_once(bench: Bench) -> None:
    bench.refuses = True
    bench.changes = FAULTS[0][1]
    bench.work(60)
    assert bench.told.round()
    bench.refuses = False
    bench.told.round()

    assert [alert["labels"]["told"] for alert in bench.sent] == ["direct"]


def test_on_a_full_disk_it_is_told_all_the_same_once_and_its_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(changes: Transaction) -> None:
        raise StoreError("database or disk is full")

    bench.changes = FAULTS[2][1]
    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "_write_transaction", no_space)
        bench.work(300)
    bench.work(300)
    assert [message.title for message in bench.held] == ["Disk space critical on /srv/video"]
    assert bench.titles() == []

    bench.changes = []
    bench.work(120)
    assert bench.titles() == ["RESOLVED Disk space critical on /srv/video"]


class Channel:
    """Takes what it is sent, or refuses it while it is told to."""

    title = name = "slack"

    def __init__(self) -> None:
        self.error: ProviderError | None = None
        self.took: list[str] = []

    def send(self, message: Message) -> Answer:
        if self.error is not None:
            raise self.error
        self.took.append(message.title)
        return Answer(200, "ok")

    test = send


def test_what_is_held_in_memory_is_sent_once_to_each_channel(bench: Bench) -> None:
    clock, first, second = Clock(), Channel(), Channel()
    second.name = "telegram"
    second.error = ProviderError("no connection")
    unsaved = UnsavedMessages([first, second], clock, bench.store)
    woken: list[bool] = []
    unsaved.when_held(lambda: woken.append(True))
    unsaved.hold(Message("k", "T", "critical", "d", "c", 0.0, "i"))
    assert woken == [True]

    assert unsaved.round()
    assert unsaved.round()
    second.error = None
    clock.advance(60)
    assert unsaved.round() is False
    assert (first.took, second.took) == (["T"], ["T"])


def test_what_people_know_of_already_is_not_told_again(bench: Bench) -> None:
    account = Account(
        fingerprint="ab", alertname="StorageUnavailable", severity="critical", component="storage",
        title="Storage /srv/video cannot be used", fired=1.0, started=1.0, delivered_by={"slack": 2.0},
    )  # fmt: skip
    with bench.store.transaction() as tx:
        tx.put(ACCOUNTS, account.id, account)
    bench.changes = [*FAULTS[0][1], *FAULTS[3][1]]
    bench.work(120)

    assert bench.titles() == ["The Docker Engine does not answer"]


def test_one_message_that_no_channel_can_send_holds_up_no_other(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    class Defective(Channel):
        def send(self, message: Message) -> Answer:
            if message.title == "odd":
                raise ValueError("a defect that names https://hooks.example.org/s3cret")
            return super().send(message)

    clock, first, second = Clock(), Defective(), Channel()
    second.name = "telegram"
    unsaved = UnsavedMessages([first, second], clock, bench.store)
    for title in ("odd", "good"):
        unsaved.hold(Message("k", title, "critical", "d", "c", 0.0, "i"))
    for _ in range(5):
        unsaved.round()
        clock.advance(5)

    short = "An alert that this channel does not take as it is (VVEvent)"
    assert (first.took, second.took) == ([short, "good"], ["odd", "good"])
    assert "slack rejects this message (it cannot be sent (ValueError)), sent in short: odd" in caplog.text
    assert "s3cret" not in caplog.text


def test_what_is_held_waits_for_a_channel_that_takes_nothing_now(bench: Bench) -> None:
    clock, channel = Clock(), Channel()
    channel.error = ProviderError("answered 400: Bad Request: chat not found", 400)
    unsaved = UnsavedMessages([channel], clock, bench.store)
    unsaved.hold(Message("k", "T", "critical", "d", "c", 0.0, "i"))
    for _ in range(100):
        assert unsaved.round()
        clock.advance(60)
    channel.error = None
    unsaved.round()

    assert channel.took == ["T"]


def test_of_more_than_can_be_held_the_least_severe_gives_way_and_is_counted_when_it_can_be(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = [Channel(), Channel()]
    channels[1].name = "telegram"
    unsaved = UnsavedMessages(channels, bench.clock, bench.store)
    for number in range(MAX_HELD):
        severity = "warning" if number in (3, 7) else "critical"
        unsaved.hold(Message("k", f"T{number}", severity, "d", "c", 0.0, "i"))
    with monkeypatch.context() as broken:
        broken.setattr(bench.store, "transaction", refuse)
        for number in range(3):
            unsaved.hold(Message("k", f"later{number}", "critical", "d", "c", 0.0, "i"))
            unsaved._count_dropped()
    unsaved.round()

    assert "ALERT DROPPED WARNING: more messages wait for slack than are kept: T7" in caplog.text
    assert caplog.text.count("ALERT DROPPED") == 3 * len(channels)
    assert "T3" not in channels[0].took
    assert channels[0].took[-2:] == ["later0", "later1"]
    assert bench.store.value(ALERTS_DROPPED, ("warning",)) == 2
    assert bench.store.value(ALERTS_DROPPED, ("critical",)) == 1


def refuse() -> NoReturn:
    raise StoreError("the disk is full")


def test_a_collector_that_is_silent_ends_nothing(bench: Bench) -> None:
    bench.changes = FAULTS[0][1]
    bench.work(60)
    bench.changes = [gauges(storage.PROBE_SUCCESS, [])]
    bench.silent = {"storage"}
    bench.work(600)
    assert bench.titles() == ["Storage /srv/video cannot be used"]

    bench.silent = set()
    bench.work(120)
    assert len(bench.titles()) == 2


def test_a_path_that_was_never_whole_has_a_last_line_too(bench: Bench) -> None:
    bench.verdict(PathState())
    bench.changes = FAULTS[3][1]
    bench.work(170)
    assert bench.titles() == []
    bench.work(60)

    assert bench.titles() == ["The Docker Engine does not answer"]
    (one,) = bench.store.docs(OUTGOING).values()
    assert one.message.note == "No Watchdog alert has come back through Prometheus and Alertmanager yet: sent directly."


def test_failures_that_go_on_are_counted_as_the_rule_does(bench: Bench) -> None:
    def failed(count: int) -> list[Family]:
        return [counters(security.HMAC_OPERATIONS, [(("verify", "v.py", "failed"), count, None)])]

    bench.changes = failed(7)
    bench.work(100)
    assert bench.titles() == []
    bench.changes = failed(9)
    bench.work(10)

    (one,) = bench.store.docs(OUTGOING).values()
    assert one.message.title == "v.py found signatures that do not verify"
    assert "that v.py refused in the last 15 minutes: 2" in one.message.details
    assert one.message.note.startswith("The alert path is broken")


STEP = 10.0
GAP = Gap(1000.0, 2000.0)


def series(name: str, first: float, last: float, **labels: str) -> dict[str, Any]:
    count = int((last - first) / STEP) + 1
    values = [[first + index * STEP, "1"] for index in range(count)]
    return {"metric": {"alertname": name, "severity": "error", "component": "c", **labels}, "values": values}


@pytest.mark.parametrize(
    ("one", "unseen"),
    [
        (series("A", 1200, 1500), True),
        (series("A", 1000, 1500), False),  # it fired before, and was told then
        (series("A", 1200, 2000), False),  # it fires still, and will be told
        (series("A", 1200, 1990), False),
        (series("Watchdog", 1200, 1500), False),
    ],
)
def test_what_began_and_ended_in_the_gap_was_seen_by_nobody(one: dict[str, Any], unseen: bool) -> None:
    found = list(find_unseen([one], GAP, STEP))

    assert found == ([Unseen(one["metric"], 1200.0, 1500.0)] if unseen else [])


def test_it_becomes_an_account_of_an_alert_that_was_missed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    unseen = UnseenAlerts(bench.store, bench.settings, bench.clock)
    found = [series("DiskSpaceLow", 1200, 1500, path="/srv", role="video_storage")]
    answers: Callable[..., Any] = lambda path, parameters: {"data": {"result": found}}  # noqa: E731
    monkeypatch.setattr(unseen._prometheus, "json", answers)
    with bench.store.transaction() as tx:
        tx.put(GAPS, "1", GAP)
    assert unseen.round()
    assert unseen.round() is False

    (account,) = bench.store.docs(ACCOUNTS).values()
    assert (account.alertname, account.missed, account.fired, account.ended) == ("DiskSpaceLow", True, 1200, 1500)
    assert account.title == "path /srv, role video_storage"
    assert bench.store.value(ALERTS_MISSED, ("error",)) == 1


@pytest.mark.parametrize("result", [["odd"], [{"metric": []}], [{"metric": {}, "values": [[]]}], {"a": 1}, 7])
def test_what_is_not_understood_of_it_is_given_up_in_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, result: Any
) -> None:
    unseen = UnseenAlerts(bench.store, bench.settings, bench.clock)
    answers: Callable[..., Any] = lambda path, parameters: {"data": {"result": result}}  # noqa: E731
    monkeypatch.setattr(unseen._prometheus, "json", answers)
    with bench.store.transaction() as tx:
        tx.put(GAPS, "1", Gap(bench.clock() - 60, bench.clock()))
    assert unseen.round()
    assert bench.store.docs(GAPS)

    bench.clock.advance(GIVE_UP_SECONDS)
    assert unseen.round()
    assert bench.store.docs(GAPS) == {}
