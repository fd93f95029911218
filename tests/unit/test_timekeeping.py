"""A clock that is set: noticed in one place, and all that is kept follows it, whatever is restarted when."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from vv_exporter.journal.configured_jobs import SCHEDULED, ScheduledJob
from vv_exporter.metrics.exporter import CLOCK_STEPS
from vv_exporter.metrics.jobs import JOB_LAST_SUCCESS, JOB_RUNS
from vv_exporter.state.dvrs import LINKS, Link
from vv_exporter.state.failures import FAILURES, Failure
from vv_exporter.state.horizon import Horizon
from vv_exporter.state.openalerts import ALERTS, OpenAlert
from vv_exporter.state.store import Store
from vv_exporter.state.timekeeping import Timekeeper
from vv_exporter.state.timeline import RATES, Entry, Filter, Rate, add_to_timeline, read
from vv_exporter.supervisor.state import SUPERVISED, Attempt, Supervised

DAY = 86400.0


class Device:
    """A machine with a clock that can be set, and the store of one program on it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.db"
        self.wall, self.up, self.boot = 1_795_900_000.0, 1000.0, "first"
        self.start()

    def start(self) -> None:
        self.store = Store(self.path, lambda: self.wall, timekeeper=Timekeeper(lambda: self.up, self.boot))

    def restart(self) -> None:
        self.store.close()
        self.start()

    def reboot(self, off: float, error: float = 0.0) -> None:
        """Power off for so many seconds; then the clock is wrong by `error`."""
        self.boot += "'"
        self.wall += off + error
        self.up = 20.0
        self.restart()

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.up += seconds

    def set_clock(self, by: float) -> None:
        self.wall += by

    def success(self) -> None:
        with self.store.transaction() as tx:
            tx.set(JOB_LAST_SUCCESS, ("j",), tx.now)

    def age(self) -> float:
        self.store.follow_clock()
        value = self.store.value(JOB_LAST_SUCCESS, ("j",))
        assert value is not None
        return self.wall - value


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path)
    yield device
    device.store.close()


@pytest.mark.parametrize("step", [-DAY, -3600, -10, 10, 3600, DAY, 30 * DAY])
@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_kept_keeps_its_age_over_a_step(device: Device, step: float, restarted: bool) -> None:
    device.success()
    device.advance(60)
    device.set_clock(step)
    if restarted:
        device.restart()

    assert device.age() == 60
    assert device.store.value(CLOCK_STEPS, ("forward" if step > 0 else "back",)) == 1


def test_slewing_is_no_step(device: Device) -> None:
    device.success()
    for _ in range(100):
        device.advance(60)
        device.set_clock(0.03)
        device.store.follow_clock()
    device.restart()

    assert device.age() == pytest.approx(6003)
    assert device.store.series(CLOCK_STEPS) == []


def test_sleep_is_no_step(device: Device) -> None:
    device.success()
    device.advance(8 * 3600)  # CLOCK_BOOTTIME goes on

    assert device.age() == 8 * 3600


def test_what_is_of_before_the_boot_stays_when_the_clock_is_set_forward(device: Device) -> None:
    device.success()
    device.reboot(off=2 * DAY, error=-2 * DAY + 60)  # the clock goes on where it was
    device.set_clock(2 * DAY - 60)

    assert device.age() == 2 * DAY


def test_a_clock_that_is_behind_at_the_start_makes_nothing_old_when_it_is_set(device: Device) -> None:
    device.reboot(off=3600, error=-5 * 3600)
    device.success()
    device.advance(120)
    device.set_clock(5 * 3600)

    assert device.age() == 120


@pytest.mark.parametrize("ahead", [DAY, 365 * DAY])
def test_a_clock_that_was_ahead_before_the_reboot_hides_nothing_after_it(device: Device, ahead: float) -> None:
    device.set_clock(ahead)
    device.success()
    device.reboot(off=60, error=-ahead)

    assert device.age() == 0


def test_all_documents_follow(device: Device) -> None:
    with device.store.transaction() as tx:
        now = tx.now
        tx.put(ALERTS, "k", OpenAlert("1", "k", "error", "t", "c", now, now, now + 900))
        tx.put(LINKS, "agent\nd", Link("d", "agent", "timeout", now, 3, now - 30))
        tx.put(FAILURES, "c\nk", Failure("c", "k", now))
        tx.put(RATES, "k", Rate(0.0, now))
        tx.put(SCHEDULED, "j", ScheduledJob(now, "* * * * *", "UTC"))
        restarts = (now - 30, now - 20, now)
        tx.put(SUPERVISED, "web", Supervised("1", restarts, attempt=Attempt("a", now, 0), failing_since=now))
    device.set_clock(-DAY)
    device.store.follow_clock()

    now, store = device.wall, device.store
    alert, link, history = store.docs(ALERTS)["k"], store.docs(LINKS)["agent\nd"], store.docs(SUPERVISED)["web"]
    assert (alert.first, alert.last, alert.ends) == (now, now, now + 900)
    assert (link.time, link.since) == (now, now - 30)
    assert store.docs(FAILURES)["c\nk"].time == store.docs(RATES)["k"].at == store.docs(SCHEDULED)["j"].since == now
    assert history.restarts == (now - 30, now - 20, now)
    assert history.attempt is not None
    assert history.attempt.at == history.failing_since == now


def test_the_timeline_follows_and_says_so(device: Device) -> None:
    with device.store.transaction() as tx:
        add_to_timeline(tx, tx.now, Entry("job.failed", "Job failed"))
    device.advance(60)
    device.set_clock(-DAY)
    device.store.follow_clock()

    moments = read(device.store, Filter()).moments
    assert [(one.title, one.time) for one in moments] == [
        ("The clock was set back by 24 h", device.wall),
        ("Job failed", device.wall - 60),
    ]


def test_a_step_is_followed_in_the_very_transaction_that_comes_next(device: Device) -> None:
    device.success()
    device.set_clock(-DAY)

    with device.store.transaction() as tx:
        assert tx.value(JOB_LAST_SUCCESS, ("j",)) == tx.now


def test_a_transaction_that_fails_leaves_the_step_for_the_next(device: Device) -> None:
    device.success()
    device.set_clock(-DAY)
    with pytest.raises(ZeroDivisionError), device.store.transaction():
        _ = 1 / 0
    device.advance(5)

    assert device.age() == 5
    assert device.store.value(CLOCK_STEPS, ("back",)) == 1


@pytest.mark.parametrize("poison", [1.7959e12, 1e308, -4e10, 1.0])
def test_what_an_older_version_believed_is_mended_at_the_start(device: Device, poison: float) -> None:
    with device.store.transaction() as tx:
        tx.set(JOB_LAST_SUCCESS, ("j",), poison)
        tx.inc(JOB_RUNS, ("j", "success"))
        tx.put(ALERTS, "k", OpenAlert("1", "k", "error", "t", "c", poison, poison, poison + 900))
        tx.put(LINKS, "agent\nd", Link("d", "agent", "timeout", poison, 3, poison))
    device.restart()

    assert device.age() == 0
    alert, link = device.store.docs(ALERTS)["k"], device.store.docs(LINKS)["agent\nd"]
    assert alert.first == alert.last == link.time == link.since == device.wall
    assert math.isfinite(alert.ends)
    assert alert.ends <= device.wall + 900


class TestHorizon:
    """History of 30 days."""

    def test_a_clock_that_is_years_ahead_for_an_hour_deletes_next_to_nothing(self, device: Device) -> None:
        for days in range(29):
            with device.store.transaction() as tx:
                tx.append("timeline", tx.now - days * DAY, {})
        horizon = Horizon(device.store, 30 * DAY, lambda: device.up)
        horizon.advance(device.wall)
        device.set_clock(3 * 365 * DAY)
        for _ in range(2):
            device.advance(1800)
            horizon.advance(device.wall)
        device.set_clock(-3 * 365 * DAY)
        device.store.follow_clock()

        assert len(device.store.history("timeline")) >= 28

    def test_what_is_old_goes_in_time(self, device: Device) -> None:
        with device.store.transaction() as tx:
            tx.append("timeline", tx.now - 40 * DAY, {})
            tx.append("timeline", tx.now - 29 * DAY, {})
            tx.append("timeline", -4e10, {})
        horizon = Horizon(device.store, 30 * DAY, lambda: device.up)
        horizon.advance(device.wall)
        assert len(device.store.history("timeline", -1e11)) == 2
        for _ in range(11 * 24):
            device.advance(3600)
            horizon.advance(device.wall)

        assert device.store.history("timeline") == []
