"""What is missing, and why: of a simulated device with faults at known times, of plans, and counted once."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.clock import Clock
from vv_exporter.footage import states
from vv_exporter.footage.accounts import FootageAccounts, watched_since
from vv_exporter.footage.calendar import expected
from vv_exporter.footage.causes import CAUSES
from vv_exporter.footage.device import ALIVE_SECONDS, DeviceStates, note_start
from vv_exporter.footage.intervals import total, union
from vv_exporter.footage.ledger import DAY, add_footage, milliseconds
from vv_exporter.footage.report import DUE_AFTER, FORGOTTEN_AFTER, Account, View, account, lost
from vv_exporter.footage.segments import recorded
from vv_exporter.metrics.footage import FOOTAGE_MISSING
from vv_exporter.settings import FootageSettings
from vv_exporter.state.starts import RUNNING, Running
from vv_exporter.state.store import Store

HOUR = 3_600_000


@dataclass
class Device:
    """A device with one camera, as the exporter sees it: a second at a time, or many at once."""

    store: Store
    clock: Clock
    storage: frozenset[str] | None = frozenset()
    boot: str = "first"
    started: float = 0.0
    up: float = 1000.0
    frames: bool = True
    plans: dict[str, FootageSettings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.begun = milliseconds(self.clock())
        self.accounts = FootageAccounts(self.store, self.plans, self.clock)
        self._boot()

    def _boot(self) -> None:
        note_start(self.store, self.boot, self.up)
        with self.store.transaction() as tx:
            tx.put(RUNNING, "", Running(tx.now))
        self.states = DeviceStates(self.store, lambda: self.storage, self.clock, lambda: self.up, self.boot)
        self.states.round()

    def wait(self, seconds: float, *, with_frames: bool = False) -> None:
        end = self.clock() + seconds
        while self.clock() < end:
            step = min(end - self.clock(), 60.0)
            self.clock.advance(step)
            self.up += step
            self.states.round()
            if with_frames:
                now = milliseconds(self.clock())
                with self.store.transaction() as tx:
                    add_footage(tx, "gate", "received", now - milliseconds(step), now)
            self.accounts.round()

    def record(self, seconds: float) -> None:
        """Files of a minute, the last one cut off."""
        left = seconds
        while left > 0:
            length = min(left, 60.0)
            start = self.clock()
            self.wait(length, with_frames=self.frames)
            with self.store.transaction() as tx:
                recorded(tx, "gate", milliseconds(start), milliseconds(self.clock()), f"/v/{start}.mp4")
            left -= length

    def account(self) -> Account:
        now = milliseconds(self.clock())
        since = watched_since(self.store).get("gate")
        asked = View(self.store), "gate", self.plans.get("gate"), self.begun, now, now, since
        found, without_causes = account(*asked), lost(*asked)
        assert union(part[:2] for part in found.missing) == union(without_causes.missing)
        assert found.expected == without_causes.expected
        return found

    def tell(self, what: str, *details: str) -> None:
        with self.store.transaction() as tx:
            getattr(states, what)(tx, "gate", *details, tx.now)


def dvr_down(device: Device, seconds: float) -> None:
    device.wait(10)
    device.tell("dvr_failed", "refused")
    device.wait(seconds - 12)
    device.tell("dvr_connected")
    device.wait(2)


def dvr_frozen(device: Device, seconds: float) -> None:
    device.tell("dvr_connected")
    device.wait(seconds)
    device.tell("dvr_connected")


def agent_crashed(device: Device, seconds: float) -> None:
    device.wait(1)
    device.tell("agent_crashed")
    device.wait(seconds - 1)
    device.tell("dvr_connected")


def agent_stopped(device: Device, seconds: float) -> None:
    device.tell("agent_stopped")
    device.wait(seconds)
    device.tell("dvr_connected")


def of_storage(state: str) -> Callable[[Device, float], None]:
    def happen(device: Device, seconds: float) -> None:
        device.wait(30, with_frames=True)
        device.storage = frozenset({state})
        device.states.round()
        device.wait(seconds - 40, with_frames=True)
        device.storage = None  # nobody knows for a while
        device.wait(5, with_frames=True)
        device.storage = frozenset()
        device.states.round()
        device.wait(5, with_frames=True)

    return happen


def power_lost(device: Device, seconds: float) -> None:
    device.clock.advance(seconds - 45)
    device.up, device.boot = 20.0, f"boot {device.clock()}"
    device._boot()
    device.tell("agent_crashed")
    device.wait(45)
    device.tell("dvr_connected")


def device_off(device: Device, seconds: float) -> None:
    device.tell("agent_stopped")
    with device.store.transaction() as tx:
        tx.delete(RUNNING, "")
    power_lost(device, seconds)


def clock_stepped(device: Device, seconds: float) -> None:
    device.clock.advance(seconds)
    device.states.round()


FAULTS: dict[str, Callable[[Device, float], None]] = {
    "dvr_down": dvr_down,
    "dvr_frozen": dvr_frozen,
    "agent_crashed": agent_crashed,
    "agent_stopped": agent_stopped,
    "storage_missing": of_storage("storage_missing"),
    "storage_readonly": of_storage("storage_readonly"),
    "ingest_paused": of_storage("ingest_paused"),
    "power_lost": power_lost,
    "device_off": device_off,
    "clock_stepped": clock_stepped,
}


@pytest.mark.parametrize("seed", range(2))
def test_each_fault_is_found_where_it_was_with_its_cause_and_counted_once(
    store: Store, clock: Clock, seed: int
) -> None:
    """Faults in any order, between recordings of any length: nothing else is missing, and each has its own cause."""
    chance = random.Random(seed)
    device, wanted = Device(store, clock), list[tuple[int, int, str]]()
    device.tell("dvr_connected")
    device.record(600)
    for cause in chance.sample(list(FAULTS), len(FAULTS)):
        start = milliseconds(clock())
        FAULTS[cause](device, chance.randrange(200, 600))
        wanted.append((start, milliseconds(clock()), cause))
        device.record(chance.randrange(100, 500))
    device.record(400)

    assert [part[:3] for part in device.account().missing] == wanted
    device.accounts.round()
    counted = {cause: store.value(FOOTAGE_MISSING, ("gate", cause)) for cause in FAULTS}
    assert counted == pytest.approx({cause: (end - start) / 1000 for start, end, cause in wanted})
    assert store.value(FOOTAGE_MISSING, ("gate", "unknown")) == 0


def test_what_nobody_knows_is_unknown_and_counted(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    device.record(120)
    start = milliseconds(clock())
    device.wait(500)
    device.record(600)

    assert [part[:3] for part in device.account().missing] == [(start, start + 500_000, "unknown")]
    assert store.value(FOOTAGE_MISSING, ("gate", "unknown")) == 500


def test_an_agent_that_reports_no_frames_is_not_said_to_have_a_frozen_dvr(store: Store, clock: Clock) -> None:
    device = Device(store, clock, frames=False)
    device.tell("dvr_connected")
    device.record(120)
    start = milliseconds(clock())
    device.wait(300)
    device.record(300)

    assert [part[:3] for part in device.account().missing] == [(start, start + 300_000, "unknown")]


def test_frames_without_a_recording_are_the_recorders_fault(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    device.tell("dvr_connected")
    device.record(120)
    start = milliseconds(clock())
    device.wait(300, with_frames=True)
    device.record(300)

    assert [part[:3] for part in device.account().missing] == [(start, start + 300_000, "recorder")]


def probe(device: Device, result: str) -> None:
    with device.store.transaction() as tx:
        states.dvr_probed(tx, "gate", result)


def test_where_nobody_reports_the_exporters_own_probe_tells_the_recorder_from_the_dvr(
    store: Store, clock: Clock
) -> None:
    device = Device(store, clock)
    probe(device, "ok")
    device.record(120)
    killed = milliseconds(clock())
    device.wait(300)
    probe(device, "ok")
    device.record(300)
    cut = milliseconds(clock())
    device.wait(20)
    probe(device, "refused")
    device.wait(300)
    probe(device, "ok")
    device.record(400)

    assert device.account().missing == (
        (killed, killed + 300_000, "recorder", ""),
        (cut, cut + 320_000, "dvr_down", "refused"),
    )


def test_a_stream_that_only_the_probe_gets_is_no_fault_of_a_recorder_that_is_not_there(
    store: Store, clock: Clock
) -> None:
    device = Device(store, clock)
    probe(device, "ok")
    device.wait(200, with_frames=True)
    start = milliseconds(clock())
    device.wait(300)
    device.wait(400, with_frames=True)

    assert [part[:3] for part in device.account().missing] == [(start, start + 300_000, "unknown")]


def test_what_was_probed_before_a_time_without_an_exporter_says_nothing_of_it(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    probe(device, "ok")
    device.record(120)
    start = milliseconds(clock())
    clock.advance(500)
    device.up += 500
    device._boot()
    probe(device, "ok")
    device.record(400)

    assert [part[:3] for part in device.account().missing] == [(start, start + 500_000, "unknown")]


def test_what_may_still_come_is_not_missing(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    device.record(120)
    device.wait(DUE_AFTER / 1000 + 60)
    assert device.account().missing == ()

    device.wait(10)
    assert [part[1] - part[0] for part in device.account().missing] == [10_000]


def test_a_recording_that_comes_late_mends_the_ledger_and_not_the_count(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    device.record(60)
    start = milliseconds(clock())
    device.wait(1000)
    device.record(300)
    assert store.value(FOOTAGE_MISSING, ("gate", "unknown")) == 1000
    with store.transaction() as tx:
        recorded(tx, "gate", start, start + 1_000_000)
    device.wait(60)

    assert device.account().missing == ()
    assert store.value(FOOTAGE_MISSING, ("gate", "unknown")) == 1000


def test_a_camera_of_which_there_never_was_footage_is_missed_if_it_is_configured(store: Store, clock: Clock) -> None:
    device = Device(store, clock, plans={"gate": FootageSettings(files="{dvr}_{start:%s}.mp4")})
    device.wait(1060)

    late = DUE_AFTER + 60_000  # as long as a file, besides
    assert total(part[:2] for part in device.account().missing) == 1_000_000 - late
    assert store.value(FOOTAGE_MISSING, ("gate", "unknown")) == pytest.approx((1_000_000 - late) / 1000)


@pytest.mark.parametrize(("late", "missing"), [(0.1, 0), (2.0, 0), (2.5, 2500)])
def test_a_recorder_that_begins_a_moment_after_the_exporter_misses_nothing(
    store: Store, clock: Clock, late: float, missing: int
) -> None:
    """Names of files hold whole seconds: so much is no hole between two files either."""
    device = Device(store, clock, plans={"gate": FootageSettings(files="{dvr}_{start:%s}.mp4")})
    device.accounts.round()
    clock.advance(late)
    device.up += late
    device.record(600)

    assert total(part[:2] for part in device.account().missing) == missing
    assert store.value(FOOTAGE_MISSING, ("gate", "unknown")) == pytest.approx(missing / 1000)


def test_a_camera_that_is_not_configured_is_forgotten(store: Store, clock: Clock) -> None:
    device = Device(store, clock)
    device.record(60)
    clock.advance(10 * DAY / 1000)
    device.wait(60)

    assert total(part[:2] for part in device.account().missing) == FORGOTTEN_AFTER


def test_footage_that_is_not_expected_is_not_missing(store: Store, clock: Clock) -> None:
    """The camera records from 8 to 18 h on weekdays; of a fault that lasts longer these hours count."""
    friday = datetime(2023, 11, 10, 17, tzinfo=UTC).timestamp()
    clock.now = friday
    device = Device(store, clock, plans={"gate": FootageSettings(expected="* 8-17 * * 1-5")})
    device.record(60)
    device.tell("dvr_failed", "refused")
    clock.advance(3 * DAY / 1000)
    device.up += 3 * DAY / 1000
    device.wait(DUE_AFTER / 1000 + 60)

    begun = milliseconds(friday)
    monday = begun + 3 * DAY - 9 * HOUR
    assert [part[:3] for part in device.account().missing] == [
        (begun + 60_000, begun + HOUR, "dvr_down"),
        (monday, begun + 3 * DAY + 60_000, "dvr_down"),
    ]


@pytest.mark.parametrize(
    ("schedule", "timezone", "day", "hours"),
    [
        ("always", "UTC", "2023-10-29", [(0, 24)]),
        ("* * * * *", "Europe/Lisbon", "2023-10-29", [(0, 24)]),
        ("* 1 * * *", "Europe/Lisbon", "2023-10-29", [(0, 2)]),  # comes twice
        ("* 1 * * *", "Europe/Lisbon", "2023-03-26", []),  # is left out
        ("* 0-1 * * *", "Europe/Lisbon", "2023-07-01", [(0, 1), (23, 24)]),
        ("30-59 9 * * 1-5", "UTC", "2023-11-13", [(9.5, 10)]),
        ("30-59 9 * * 1-5", "UTC", "2023-11-12", []),
        ("* 6-7 * * *", "Asia/Kathmandu", "2023-11-13", [(0.25, 2.25)]),
    ],
)
def test_when_footage_is_expected(schedule: str, timezone: str, day: str, hours: list[tuple[float, float]]) -> None:
    begin = milliseconds(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())

    found = expected(schedule, timezone, begin, begin + DAY)

    assert [((a - begin) / HOUR, (b - begin) / HOUR) for a, b in found] == hours


class TestTheDevice:
    def lasted(self, store: Store) -> Counter[str]:
        return Counter(past.state for kept in store.docs(states.ENDED).values() for past in kept.ended)

    def test_a_restart_of_the_exporter_is_none_of_the_device(self, store: Store, clock: Clock) -> None:
        device = Device(store, clock)
        device.wait(ALIVE_SECONDS)
        clock.advance(500)
        device.up += 500
        device._boot()

        assert not self.lasted(store)

    def test_a_clock_that_is_slewed_or_set_back_leaves_no_time_out(self, store: Store, clock: Clock) -> None:
        device = Device(store, clock)
        clock.advance(2)
        device.states.round()
        clock.advance(-1000)
        device.states.round()
        device.wait(60)

        assert not self.lasted(store)

    def test_a_clock_that_was_wrong_at_the_start_says_nothing_of_when_the_device_was_off(
        self, store: Store, clock: Clock
    ) -> None:
        device = Device(store, clock)
        clock.advance(-500)
        device.boot, device.up = "second", 10.0
        device._boot()

        assert not self.lasted(store)

    def test_a_clock_that_is_set_forward_while_the_exporter_starts_anew_leaves_its_time_out(
        self, store: Store, clock: Clock
    ) -> None:
        device = Device(store, clock)
        device.wait(ALIVE_SECONDS)
        clock.advance(30 + 500)
        device.up += 30
        device._boot()

        assert self.lasted(store) == {"clock_stepped": 1}

    def test_of_a_clock_that_is_set_in_a_long_time_without_an_exporter_nobody_knows_when(
        self, store: Store, clock: Clock
    ) -> None:
        device = Device(store, clock)
        device.wait(ALIVE_SECONDS)
        clock.advance(3600 + 500)
        device.up += 3600
        device._boot()

        assert not self.lasted(store)

    def test_a_kernel_without_an_id_of_its_start_says_nothing_either(self, store: Store, clock: Clock) -> None:
        device = Device(store, clock)
        clock.advance(500)
        device.boot = ""
        device._boot()

        assert not self.lasted(store)


def test_of_too_many_states_of_a_day_the_shortest_go(store: Store) -> None:
    with store.transaction() as tx:
        for n in range(states.MAX_A_DAY + 5):
            states.lasted(tx, "gate", "dvr_down", tx.now - 5000 - n, tx.now - 4000)
    (kept,) = store.docs(states.ENDED).values()

    assert len(kept.ended) == states.MAX_A_DAY
    assert min(one.end - one.start for one in kept.ended) == 1_005_000


def test_the_document_has_the_causes_in_their_order() -> None:
    text = (Path(__file__).parents[3] / "docs" / "footage.md").read_text()
    first = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]

    assert [name for name in first if name in CAUSES] == list(CAUSES)
