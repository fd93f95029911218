"""When people are told that the alert path is broken, and when not: an hour of a simulated path at a time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.clock import Clock
from vv_exporter.alert_path.beats import LONGEST_STEP_SECONDS, Beats
from vv_exporter.alert_path.direct_alerts import DIRECT_ALERTS, DirectAlerts
from vv_exporter.alert_path.hops import (
    AlertmanagerState,
    Observation,
    PrometheusState,
)
from vv_exporter.alert_path.loop import AlertPath
from vv_exporter.alert_path.state import PATH
from vv_exporter.alert_path.unseen import GAPS
from vv_exporter.delivery import webhook
from vv_exporter.delivery.accounts import Alert, fired, taken
from vv_exporter.delivery.accounts import ended as account_ended
from vv_exporter.delivery.direct import OUTGOING
from vv_exporter.delivery.notifications import Notification, NotifiedAlert
from vv_exporter.delivery.received import receive
from vv_exporter.messages.message import Message
from vv_exporter.render.intervals import delivery_interval, resend_delay
from vv_exporter.settings import Secret, load
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store, Transaction
from vv_exporter.state.timeline import HISTORY

HOUR = 3600
WORKS = "works"
LOOKBACK = 300.0  # seconds, Prometheus' own


class Simulation:
    """Exporter, Prometheus and Alertmanager, second by second. `resend` is Prometheus' flag."""

    def __init__(self, path: Path, after: str = "3m", interval: float = 10.0, resend: float | None = None) -> None:
        self.wall, self.monotonic = Clock(), Clock(1000.0)
        self.settings = load(
            {
                "VV_STATE_DIR": "/nonexistent",
                "VV_DEVICE_ID": "edge-7",
                "VV_ALERT_PATH_AFTER": after,
                "VV_SCRAPE_INTERVAL": f"{interval:.0f}s",
                "VV_PROMETHEUS_URL": "http://p:9090",
            }
        )
        self.channels = ["slack"]
        self.held_back: list[Message] = []
        self.interval = interval
        self.resend = resend_delay(self.settings.alert_path_after) if resend is None else resend
        self.deliveries = delivery_interval(self.settings.alert_path_after)
        self.path = path
        self.prometheus_up = self.alertmanager_up = self.exporter_up = True
        self.delivers = self.sends = self.scrapes = True
        self.prometheus_started = self.alertmanager_started = self.monotonic.now - 86_400
        self.stored: float | None = None
        self.fired: float | None = None
        self.held: float | None = None
        self.sent = self.delivered = float("-inf")
        self.writes = 0
        self.holding = ""
        self.holds: list[float] = []
        self.room = True
        self.asked = 0
        self.begin()

    def begin(self) -> None:
        self.store = Store(self.path, self.wall)
        self.beats = Beats(self.wall, self.monotonic)
        self.loop = AlertPath(
            self.store, self.beats, self.ask, self.channels, self.settings, self.wall, self, self.held_back.append
        )
        self.looked = float("-inf")

    def hold(self, blind: bool) -> None:
        self.holding = "blind" if blind else "slow"
        self.holds.append(self.monotonic.now)

    def release(self) -> None:
        self.holding = ""

    def restart_exporter(self) -> None:
        self.store.close()
        self.begin()

    def restart_prometheus(self) -> None:
        self.prometheus_started, self.fired, self.sent = self.monotonic.now, None, float("-inf")

    def restart_alertmanager(self) -> None:
        self.alertmanager_started, self.held = self.monotonic.now, None

    def ask(self) -> Observation:
        self.asked += 1
        scraped = self.beats.scraped_age()
        age: Callable[[float | None], float | None] = lambda beat: None if beat is None else self.beats.age(beat)  # noqa: E731
        prometheus: PrometheusState | str = "Prometheus does not answer"
        if self.prometheus_up:
            prometheus = PrometheusState(
                uptime=self.monotonic.now - self.prometheus_started,
                scrape_interval=self.interval,
                evaluation_interval=self.interval,
                resend_delay=self.resend,
                is_target=True,
                scrape_error="",
                stored_age=age(self.stored),
                stored_error="",
                has_rule=True,
                rule_error="",
                fired_age=age(self.fired),
                alertmanagers=1,
                sending_fails=False,
            )
        alertmanager: AlertmanagerState | str = "Alertmanager does not answer"
        if self.alertmanager_up:
            alertmanager = AlertmanagerState(self.monotonic.now - self.alertmanager_started, age(self.held), False)
        return Observation(
            self.settings.alert_path_after,
            self.interval,
            self.beats.now(),
            scraped,
            prometheus,
            alertmanager,
        )

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self._second(self.monotonic.now)
            self.wall.advance(1)
            self.monotonic.advance(1)

    def _second(self, now: float) -> None:
        if self.scrapes and self.prometheus_up and self.exporter_up and now % self.interval == 3 % self.interval:
            beat = self.beats.show()
            if not self.room and self.stored is not None and self.beats.age(self.stored) > LOOKBACK:
                self.stored = None
            self.stored = beat if self.room else self.stored
            self.beats.scraped()
        if self.prometheus_up and now % self.interval == 7 % self.interval:
            self.fired = self.stored
            if now - self.sent > self.resend and self.alertmanager_up and self.sends:
                self.held, self.sent = self.fired, now
        if self.alertmanager_up and self.held is not None and now - self.delivered >= self.deliveries:
            self.delivered = now
            if self.delivers and self.exporter_up:
                self.beats.arrived(self.held)
        if self.exporter_up and now - self.looked >= self.loop.interval:
            self.looked = now
            self.loop.round()

    def told(self) -> list[Message]:
        return [one.message for one in sorted(self.store.docs(OUTGOING).values(), key=lambda one: one.id)]

    def titles(self) -> list[str]:
        return [message.title for message in self.told()]

    @property
    def up(self) -> bool | None:
        verdict = self.beats.verdict
        assert verdict is not None
        return verdict.up


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Simulation]]:
    made: list[Simulation] = []

    def begin(**options: object) -> Simulation:
        made.append(Simulation(tmp_path / f"{len(made)}.db", **options))  # type: ignore[arg-type]
        return made[-1]

    yield begin
    for one in made:
        one.store.close()


Make = Callable[..., Simulation]


@pytest.mark.parametrize("after", ["20s", "3m"])
@pytest.mark.parametrize("interval", [1.0, 10.0, 60.0])
@pytest.mark.parametrize("resend", [None, 60.0])
def test_an_hour_of_health_brings_no_word(make: Make, after: str, interval: float, resend: float | None) -> None:
    path = make(after=after, interval=interval, resend=resend)
    path.run(HOUR)

    assert path.titles() == []
    assert path.up


def test_in_health_nobody_is_asked_and_nothing_written(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make()
    path.run(600)

    def write(changes: Transaction) -> None:
        raise AssertionError("something was written")

    monkeypatch.setattr(path.store, "_write_transaction", write)
    path.run(HOUR)
    assert path.asked == 0


@pytest.mark.parametrize("interval", [1.0, 10.0, 60.0])
def test_restarts_bring_no_word(make: Make, interval: float) -> None:
    path = make(interval=interval)
    path.run(600)
    for restart in (path.restart_prometheus, path.restart_alertmanager, path.restart_exporter) * 3:
        restart()
        path.run(400)

    assert path.titles() == []
    assert path.up


def test_a_server_that_is_away_for_less_than_the_limit_is_no_word(make: Make) -> None:
    path = make()
    path.run(600)
    path.prometheus_up = False
    path.run(70)
    path.prometheus_up = True
    path.restart_prometheus()
    path.run(600)

    assert path.titles() == []


@pytest.mark.parametrize("after", ["20s", "3m"])
@pytest.mark.parametrize(
    ("part", "hop"),
    [("prometheus_up", "not scraped"), ("alertmanager_up", "not sent on"), ("delivers", "not delivered")],
)
def test_what_is_away_is_told_in_time_once_and_once_when_it_is_back(
    make: Make, part: str, hop: str, after: str
) -> None:
    path = make(after=after)
    path.run(600)
    began = path.wall.now
    setattr(path, part, False)
    path.run(60 if after == "20s" else 240)

    (broken,) = path.told()
    assert broken.title == f"The alert path is broken: {hop}"
    assert (broken.severity, broken.alertname, broken.resolved) == ("critical", "AlertPathBroken", False)
    assert began - 100 < broken.time <= began + 30  # since when: the last beat
    assert broken.runbook_url.endswith("AlertPathBroken.md")
    assert broken.suggested_actions.startswith("1. ")
    assert path.up is False
    path.run(HOUR)
    path.restart_exporter()
    path.run(HOUR)
    assert len(path.told()) == 1

    setattr(path, part, True)
    path.run(300)
    assert path.titles()[1:] == ["The alert path works again"]
    assert (path.told()[1].resolved, path.told()[1].key) == (True, broken.key)
    assert path.up


EXPORTER_DOWN = {"alertname": "ExporterDown", "severity": "critical", "component": "exporter", "device": "edge-7"}


def tell_exporter_down(path: Simulation, *channels: str, ended: bool = False) -> None:
    """Its rule fires; `channels` have told people of it."""
    alert = Alert("ab", EXPORTER_DOWN, {"summary": "The exporter does not answer"}, path.wall.now)
    with path.store.transaction() as tx:
        fired(tx, alert)
        for channel in channels:
            taken(tx, alert, channel, path.wall.now)
        if ended:
            account_ended(tx, alert, path.wall.now)


def cut_scrapes(path: Simulation) -> None:
    """Prometheus and Alertmanager work; only the exporter is not reached by it."""
    path.scrapes = False


def test_where_the_rule_has_told_that_the_exporter_is_not_reached_nobody_is_told_again(make: Make) -> None:
    path = make()
    path.run(600)
    cut_scrapes(path)
    path.run(100)
    tell_exporter_down(path, "slack")
    path.run(600)
    path.restart_exporter()
    path.run(600)

    assert path.up is False  # page, status and exit code say so all the same
    assert path.told() == []
    path.scrapes = True
    path.run(300)
    assert path.up
    assert path.told() == []


def test_where_the_rule_told_nobody_the_exporter_does(make: Make) -> None:
    for channels, ended in (((), False), (("slack",), True)):
        path = make()
        path.run(600)
        cut_scrapes(path)
        path.run(100)
        tell_exporter_down(path, *channels, ended=ended)
        path.run(600)

        assert path.titles() == ["The alert path is broken: not scraped"]


def test_what_people_were_told_first_keeps_the_rule_from_telling_it_again(make: Make) -> None:
    path = make(after="20s")
    path.run(600)
    cut_scrapes(path)
    path.run(60)

    assert path.titles() == ["The alert path is broken: not scraped"]
    (one,) = path.store.docs(DIRECT_ALERTS).values()
    assert one.labels.items() >= EXPORTER_DOWN.items()
    assert not one.ended
    path.scrapes = True
    path.run(300)
    (one,) = path.store.docs(DIRECT_ALERTS).values()
    assert one.ended


def test_when_it_is_broken_elsewhere_than_the_rule_has_told_people_hear_of_it(make: Make) -> None:
    path = make()
    path.run(600)
    cut_scrapes(path)
    path.run(100)
    tell_exporter_down(path, "slack")
    path.run(300)
    path.scrapes = True
    path.alertmanager_up = False
    path.run(300)

    assert path.titles() == ["The alert path is broken: not sent on"]
    path.alertmanager_up = True
    path.run(300)
    assert path.titles()[1:] == ["The alert path works again"]


def test_when_the_rule_says_that_it_is_over_and_it_is_not_people_hear_of_it(make: Make) -> None:
    """Prometheus is gone as well: Alertmanager takes what was not sent again for resolved, and tells that."""
    path = make()
    path.run(600)
    cut_scrapes(path)
    path.run(100)
    tell_exporter_down(path, "slack")
    path.run(300)
    path.prometheus_up = False
    tell_exporter_down(path, "slack", ended=True)
    path.run(200)

    assert path.titles() == ["The alert path is broken: not scraped"]
    path.scrapes = path.prometheus_up = True
    path.restart_prometheus()
    path.run(300)
    assert path.titles()[1:] == ["The alert path works again"]


def test_a_server_that_ends_again_and_again_is_told_of_once(make: Make) -> None:
    path = make(after="20s", interval=1.0)
    path.run(600)
    for _ in range(20):
        path.prometheus_up = False
        path.run(60)
        path.prometheus_up = True
        path.restart_prometheus()
        path.run(6)  # a beat gets round in it

    assert path.titles() == ["The alert path is broken: not scraped"]


def test_restarts_of_the_exporter_do_not_hide_a_path_that_is_broken(make: Make) -> None:
    path = make()
    path.run(600)
    path.alertmanager_up = False
    for _ in range(4):
        path.run(100)
        path.restart_exporter()
    path.run(60)

    assert path.titles() == ["The alert path is broken: not sent on"]


def test_a_silence_that_ended_is_not_carried_over_a_restart(make: Make) -> None:
    path = make()
    path.run(600)
    path.delivers = False  # not certain: it is given half a minute more
    while path.loop.unheard() < 190:
        path.run(1)
    assert path.asked > 0
    path.delivers = True
    path.run(600)

    assert path.titles() == []
    state = path.store.document(PATH, "")
    assert state is not None
    assert state.unheard == 0


def test_a_machine_that_slept_and_a_clock_that_is_set_bring_no_word(make: Make) -> None:
    path = make()
    path.run(600)
    path.wall.advance(8 * HOUR)  # suspended: CLOCK_MONOTONIC stood still
    path.run(300)
    path.wall.advance(-3 * HOUR)
    path.run(300)
    path.monotonic.advance(8 * HOUR)  # a virtual machine that was halted, or an exporter: it went on
    path.wall.advance(8 * HOUR)
    path.run(600)

    assert path.titles() == []
    assert path.up


def test_beats_that_were_under_way_when_it_broke_do_not_mend_it(make: Make) -> None:
    path = make(after="20s", interval=1.0)
    path.run(600)
    path.delivers = False
    path.run(60)
    assert len(path.told()) == 1
    assert path.held is not None
    path.beats.arrived(path.held)
    path.run(10)

    assert len(path.told()) == 1


def test_without_any_prometheus_it_is_not_known_and_nobody_is_told(make: Make) -> None:
    path = make()
    path.settings = load({"VV_STATE_DIR": "/nonexistent"})
    path.restart_exporter()
    path.prometheus_up = path.alertmanager_up = False
    path.run(HOUR)

    assert path.up is None
    assert path.told() == []


def test_one_that_is_configured_and_never_comes_is_told(make: Make) -> None:
    path = make()
    path.prometheus_up = False
    path.run(300)

    assert path.titles() == ["The alert path is broken: not scraped"]


def test_on_a_full_disk_it_is_shown_and_told_all_the_same_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make()
    path.run(600)
    path.prometheus_up = False

    def no_space(changes: Transaction) -> None:
        raise StoreError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(path.store, "_write_transaction", no_space)
        for _ in range(240):
            try:
                path.run(1)
            except StoreError:
                path.wall.advance(1)
                path.monotonic.advance(1)
        assert path.up is False
    path.run(100)

    assert [message.title for message in path.held_back] == ["The alert path is broken: not scraped"]
    assert path.titles() == []
    path.prometheus_up = True
    path.restart_prometheus()
    path.run(300)
    assert path.titles() == ["The alert path works again"]


def test_that_nothing_is_stored_is_told_within_two_minutes_and_named_to_the_end(make: Make) -> None:
    path = make()
    path.run(600)
    began = path.monotonic.now
    path.room = False
    path.run(115)
    assert path.titles() == ["The alert path is broken: not stored"]
    path.run(600)
    path.room = True
    path.run(300)

    assert path.titles()[1:] == ["The alert path works again"]
    assert "(not stored)" in path.told()[1].details
    assert path.holds[0] - began <= 115
    assert path.holding == ""


def test_where_the_exporter_cannot_write_either_what_fires_is_held_at_once(make: Make) -> None:
    """Prometheus that was just started on a full disk says within a minute that everything is down."""
    path = make()
    path.run(600)
    path.room = False
    path.store.unwritable = "database or disk is full"
    path.restart_exporter()
    path.store.unwritable = "database or disk is full"
    path.restart_prometheus()
    path.stored = None
    path.run(30)
    assert path.holding == "blind"
    assert path.titles() == []

    path.run(90)
    assert path.holding == "blind"


def test_the_path_is_not_whole_while_the_exporter_cannot_write(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make()
    path.run(600)
    path.room = False
    path.run(300)
    assert path.titles() == ["The alert path is broken: not stored"]
    path.room = True  # a little of it, for a sample now and then
    path.store.unwritable = "database or disk is full"
    with monkeypatch.context() as patch:
        patch.setattr(path.store, "_write_transaction", lambda _: None)
        path.run(300)
    assert path.up is False
    path.store.unwritable = ""
    path.run(120)
    assert path.titles()[1:] == ["The alert path works again"]


@pytest.mark.parametrize(
    ("part", "kind"),
    [("prometheus_up", "blind"), ("room", "blind"), ("sends", "slow"), ("delivers", ""), ("alertmanager_up", "slow")],
)
def test_what_fires_is_held_before_it_could_time_out(make: Make, part: str, kind: str) -> None:
    """Alertmanager has it for four times the resend delay after it was sent last, which may be a resend delay ago."""
    path = make()
    path.run(600)
    began = path.monotonic.now
    setattr(path, part, False)
    path.run(900)
    assert path.holding == kind
    if kind == "blind":
        assert path.holds[0] - began <= 3 * path.resend
    if kind:
        assert path.monotonic.now - path.holds[-1] <= path.loop.interval
    path.holds.clear()
    setattr(path, part, True)
    path.run(300)
    assert path.holding == ""


def test_in_health_and_over_restarts_nothing_is_held(make: Make) -> None:
    path = make()
    path.run(600)
    for restart in (path.restart_prometheus, path.restart_alertmanager, path.restart_exporter) * 3:
        restart()
        path.run(400)

    assert path.holds == []


def test_that_alertmanager_was_away_is_for_the_record_when_it_is_back(make: Make) -> None:
    path = make()
    path.run(600)
    began = path.wall.now
    path.alertmanager_up = False
    path.run(300)
    (one,) = path.store.docs(DIRECT_ALERTS).values()
    assert (one.alertname, one.subject, one.ended) == ("AlertmanagerDown", "", 0.0)

    path.alertmanager_up = True
    path.run(300)
    (one,) = path.store.docs(DIRECT_ALERTS).values()
    assert one.ended > 0
    (gap,) = path.store.docs(GAPS).values()
    assert began - 100 < gap.since <= began + 30
    assert began + 300 <= gap.until <= began + 500


def test_a_device_with_a_webhook_only_hears_of_it(make: Make) -> None:
    path = make()
    environ = {
        "VV_STATE_DIR": "/nonexistent",
        "VV_PROMETHEUS_URL": "http://p",
        "WEBHOOK_URL": "http://127.0.0.1:9/hook",
    }
    path.settings = load(environ)
    path.channels = []
    path.restart_exporter()
    path.run(600)
    path.prometheus_up = False
    path.run(300)
    path.prometheus_up = True
    path.restart_prometheus()
    path.run(300)

    parcels = webhook.OUTBOX.waiting(path.store).values()
    broken, mended = [(one.headers["VV-Alert-Status"], json.loads(one.body)) for one in parcels]
    assert (broken[0], broken[1]["title"]) == ("firing", "The alert path is broken: not scraped")
    assert (mended[0], mended[1]["title"]) == ("resolved", "Resolved: The alert path works again")
    assert broken[1]["alert_id"] == mended[1]["alert_id"]
    assert path.told() == []


@pytest.mark.parametrize("breaks", ["prometheus_up", "alertmanager_up"])
@pytest.mark.parametrize("is_again", [False, True])
def test_the_webhook_does_not_hear_of_it_again_from_alertmanager(make: Make, breaks: str, is_again: bool) -> None:
    """Which gets it with the labels of the rule that it inhibits; once more after a restart of its own."""
    path = make()
    path.settings = dataclasses.replace(path.settings, webhook_url=Secret("http://127.0.0.1:9/hook"))
    path.restart_exporter()
    sent: list[dict[str, Any]] = []
    told = DirectAlerts(path.store, SimpleNamespace(send=sent.extend), path.settings, path.wall, path.monotonic)

    def notify(status: str) -> None:
        told.round()
        twin = sent[-1]
        alert = NotifiedAlert(
            status, twin["labels"], twin["annotations"], twin["startsAt"], twin["endsAt"],
            webhook.fingerprint(twin["labels"]),
        )  # fmt: skip
        with path.store.transaction() as tx:
            receive(tx, Notification((alert,)), path.settings)

    path.run(600)
    setattr(path, breaks, False)
    path.run(300)
    notify("firing")
    setattr(path, breaks, True)
    path.restart_prometheus()
    path.run(300)
    if is_again:
        notify("firing")
    path.run(600)
    notify("resolved")

    parcels = webhook.OUTBOX.waiting(path.store).values()
    assert [one.headers["VV-Alert-Status"] for one in parcels] == ["firing", "resolved"]


def test_the_timeline_tells_of_it(make: Make) -> None:
    path = make()
    path.run(600)
    path.delivers = False
    path.run(300)
    path.delivers = True
    path.run(300)

    kinds = [record.body["kind"] for record in path.store.history(HISTORY)]
    assert kinds == ["alert_path.mended", "alert_path.broken"]


def test_a_beat_is_known_again_once_and_its_age_follows_no_clock() -> None:
    wall, monotonic = Clock(), Clock(5.0)
    beats = Beats(wall, monotonic)
    first = beats.show()
    monotonic.advance(2)
    wall.advance(-10_000)
    second = beats.show()
    monotonic.advance(3)

    assert first == 1_700_000_000.0
    assert beats.arrived(second)
    assert beats.newest is not None
    assert beats.newest.latency == 3
    assert not beats.arrived(second)
    assert not beats.arrived(first)  # older than what came
    assert not beats.arrived(123.0)  # of another life
    monotonic.advance(10 * LONGEST_STEP_SECONDS)
    assert beats.now() == LONGEST_STEP_SECONDS
