"""What rules are told of footage: missing by cause with its true edges, unsigned; what is over is told once."""

import random

import pytest

from tests.support.clock import Clock
from tests.unit.footage.test_missing import FAULTS, Device
from vv_exporter.footage.accounts import FootageAccounts, Limits, record_hole
from vv_exporter.footage.causes import Part
from vv_exporter.footage.ledger import add_footage, milliseconds
from vv_exporter.footage.report import DUE_AFTER
from vv_exporter.footage.segments import done, recorded
from vv_exporter.footage.words import length as length_in_words
from vv_exporter.language import speaking
from vv_exporter.metrics import Metric
from vv_exporter.metrics.footage import (
    FOOTAGE_DAY_RATIO,
    FOOTAGE_HOLE_END,
    FOOTAGE_HOLE_START,
    FOOTAGE_OPEN,
    FOOTAGE_RECENT,
    FOOTAGE_UNSIGNED,
    FOOTAGE_UNSIGNED_END,
    FOOTAGE_UNSIGNED_START,
)
from vv_exporter.settings import Duration, FootageSettings
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import HISTORY, Filter, read


def shown(store: Store, metric: Metric) -> dict[str, float]:
    return {labels[-1]: one.value for labels, one in store.series(metric)}


def told(store: Store) -> list[str]:
    entries = [record.body for record in store.history(HISTORY)]
    return [str(entry["title"]) for entry in reversed(entries) if entry["kind"] == "footage.missing"]


@pytest.mark.parametrize("cause", ["clock_stepped", "dvr_down", "power_lost", "storage_missing"])
def test_a_hole_is_shown_with_its_cause_and_edges(store: Store, clock: Clock, cause: str) -> None:
    device = Device(store, clock)
    device.tell("dvr_connected")
    device.record(120)
    start = clock()
    FAULTS[cause](device, 300)
    end = clock()
    device.record(300)

    assert shown(store, FOOTAGE_RECENT) == {cause: 300}
    assert (shown(store, FOOTAGE_HOLE_START), shown(store, FOOTAGE_HOLE_END)) == ({cause: start}, {cause: end})


def test_a_hole_is_shown_until_an_hour_is_over(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    device.record(60)
    device.wait(300)
    device.record(3600)
    assert shown(store, FOOTAGE_RECENT) == {"unknown": 300 - 120}
    device.record(180)

    assert shown(store, FOOTAGE_RECENT) == {}
    assert shown(store, FOOTAGE_HOLE_START) == shown(store, FOOTAGE_HOLE_END) == {}


def test_a_hole_that_lasts_is_shown_from_its_beginning_hours_ago(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    device.tell("dvr_connected")
    device.record(120)
    start = clock()
    device.wait(2 * 3600)

    assert shown(store, FOOTAGE_RECENT) == {"dvr_frozen": 3600}
    assert shown(store, FOOTAGE_HOLE_START) == {"dvr_frozen": start}
    late = (DUE_AFTER + 60_000) / 1000
    assert shown(store, FOOTAGE_HOLE_END)["dvr_frozen"] == pytest.approx(clock() - late, abs=60)


def test_a_hole_that_goes_on_is_shown_with_its_beginning_and_its_cause_of_now(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    device.tell("dvr_connected")
    device.record(120)
    start = clock()
    device.tell("dvr_failed", "refused")
    device.wait(600)
    device.tell("agent_crashed")
    device.wait(600)
    assert shown(store, FOOTAGE_OPEN) == {"agent_crashed": start}
    device.tell("dvr_connected")
    device.record(300)

    assert shown(store, FOOTAGE_OPEN) == {}


def test_the_share_of_a_day_is_of_what_was_expected(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    assert shown(store, FOOTAGE_DAY_RATIO) == {}
    device.record(300)
    device.wait(600)
    device.record(480)
    late = (DUE_AFTER + 60_000) / 1000
    assert shown(store, FOOTAGE_DAY_RATIO)["gate"] == pytest.approx(1 - 600 / (1380 - late))

    device.plans["gate"] = FootageSettings(expected="0 0 29 2 *")
    device.wait(60)
    assert shown(store, FOOTAGE_DAY_RATIO) == {}


@pytest.mark.parametrize("plan", [None, FootageSettings()])
def test_an_agent_that_was_ended_is_missed_only_where_footage_is_asked_for(
    store: Store, clock: Clock, plan: FootageSettings | None
) -> None:
    device = Device(store, clock, plans={"gate": plan} if plan is not None else {})
    device.record(120)
    device.tell("agent_stopped")
    device.wait(600)

    assert ("agent_stopped" in shown(store, FOOTAGE_RECENT)) == (plan is not None)


def test_footage_that_comes_late_is_not_missing_any_more(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    device.record(60)
    start = milliseconds(clock())
    device.wait(1000)
    device.record(300)
    assert shown(store, FOOTAGE_RECENT) == {"unknown": 1000}
    with store.transaction() as tx:
        recorded(tx, "gate", start, start + 1_000_000)
    device.wait(60)

    assert shown(store, FOOTAGE_RECENT) == {}


@pytest.mark.parametrize("seed", range(3))
def test_each_hole_that_is_over_is_told_once_with_its_sum_and_edges(store: Store, clock: Clock, seed: int) -> None:
    chance, device = random.Random(seed), Device(store, clock)
    device.tell("dvr_connected")
    device.record(300)
    lengths = [chance.randrange(200, 500) for _ in range(4)]
    for length in lengths:
        FAULTS[chance.choice(["dvr_down", "agent_crashed", "agent_stopped"])](device, length)
        device.record(chance.randrange(60, 300))
        device.accounts = FootageAccounts(store, {}, clock)  # the exporter is restarted
    FAULTS["dvr_down"](device, 30)  # too short to be told
    device.record(900)

    assert told(store) == [f"{length_in_words(length)} of gate are missing" for length in lengths]


def test_a_hole_is_told_in_the_readers_language(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    device.tell("dvr_connected")
    device.record(300)
    FAULTS["dvr_down"](device, 200)
    device.record(600)
    with speaking("pt-BR"):
        (moment,) = (one for one in read(store, Filter()).moments if one.kind == "footage.missing")

    assert moment.title == "Faltam 3 min 20 s de gate"
    assert moment.details.endswith("(3 min 20 s): o DVR estava sem stream (refused)")


def test_of_a_hole_of_many_parts_the_longest_are_told(store: Store, clock: Clock) -> None:
    parts = tuple(Part(60_000 * n, 60_000 * n + 50_000 + n, "dvr_down", f"no {n}") for n in range(30))
    with store.transaction() as tx:
        record_hole(tx, "gate", parts, Limits())
    (moment,) = read(store, Filter()).moments

    lines = moment.details.splitlines()
    assert [line.rpartition("(")[2] for line in lines[:10]] == [f"no {n})" for n in range(20, 30)]
    assert lines[10:] == ["and 20 shorter parts"]


def test_a_hole_that_lasts_is_not_told_as_over(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    device.record(120)
    device.wait(4000)

    assert told(store) == []


class TestSigning:
    def device(self, store: Store, clock: Clock, plan: FootageSettings | None, default: float = 0.0) -> Device:
        device = Device(store, clock, plans={"gate": plan} if plan is not None else {})
        device.accounts = FootageAccounts(store, device.plans, clock, Limits(signed_within=default))
        return device

    def record(self, device: Device, minutes: int, *, signed: bool) -> None:
        for _ in range(minutes):
            begin = device.clock()
            device.record(60)
            if signed:
                with device.store.transaction() as tx:
                    done(tx, "signed", f"/v/{begin}.mp4", "")

    def shown(self, store: Store) -> list[dict[str, float]]:
        return [shown(store, metric) for metric in (FOOTAGE_UNSIGNED, FOOTAGE_UNSIGNED_START, FOOTAGE_UNSIGNED_END)]

    @pytest.mark.parametrize(
        ("plan", "default"),
        [
            (FootageSettings(signed_within=Duration(600)), 0.0),
            (None, 600.0),
            (FootageSettings(), 600.0),
            (FootageSettings(signed_within=Duration(600)), 86_400.0),
        ],
    )
    def test_what_is_not_signed_in_time_is_shown_and_not_before(
        self, store: Store, clock: Clock, plan: FootageSettings | None, default: float
    ) -> None:
        device = self.device(store, clock, plan, default)
        self.record(device, 5, signed=True)
        start = clock()
        self.record(device, 3, signed=False)
        end = clock()
        self.record(device, 10, signed=True)
        assert self.shown(store) == [{}, {}, {}]  # the first of them is not yet late
        self.record(device, 8, signed=True)

        assert self.shown(store) == [{"gate": 180}, {"gate": start}, {"gate": end}]

    def test_what_is_signed_late_is_not_shown_any_more(self, store: Store, clock: Clock) -> None:
        device = self.device(store, clock, None, 600.0)
        begin = clock()
        self.record(device, 1, signed=False)
        self.record(device, 20, signed=True)
        assert self.shown(store)[0] == {"gate": 60}
        with store.transaction() as tx:
            done(tx, "signed", f"/v/{begin}.mp4", "")
        device.wait(60)

        assert self.shown(store) == [{}, {}, {}]

    def test_where_nobody_says_within_what_time_nothing_is_late(self, store: Store, clock: Clock) -> None:
        device = self.device(store, clock, None)
        self.record(device, 20, signed=False)

        assert self.shown(store) == [{}, {}, {}]

    def test_frames_that_are_not_recorded_need_not_be_signed(self, store: Store, clock: Clock) -> None:
        device = self.device(store, clock, None, 600.0)
        with store.transaction() as tx:
            add_footage(tx, "gate", "received", milliseconds(clock()) - 1000, milliseconds(clock()))
        device.wait(3600, with_frames=True)

        assert self.shown(store) == [{}, {}, {}]
