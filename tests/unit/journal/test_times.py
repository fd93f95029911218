"""Events whose clocks are wrong: each is counted, none hides or ends anything, now or after a restart."""

import os

import pytest

from tests.support.journals import RawWriter
from tests.unit.journal.conftest import Journal
from vv_exporter.alertmanager.payload import payload
from vv_exporter.common.schedule import next_due
from vv_exporter.journal.folds import discover
from vv_exporter.journal.reader import Reader
from vv_exporter.metrics.dvr import DVR_LAST_FRAME
from vv_exporter.metrics.exporter import EVENTS_MISTIMED
from vv_exporter.metrics.jobs import JOB_LAST_DURATION, JOB_LAST_SUCCESS, JOB_RUNS
from vv_exporter.metrics.pipeline import STAGE_LAST_SUCCESS
from vv_exporter.state.openalerts import ALERTS
from vv_exporter.state.runs import STAGE_RUNS
from vv_exporter.state.timeline import Filter, read

WRONG = [1.7959e12, 1.7959e15, 1.7959e18, -4e10, -1.0, 0, 1, 1e308, -1e308, 2e9]


@pytest.fixture
def writer(journal: Journal) -> RawWriter:
    return journal.writer()


@pytest.mark.parametrize("ts", WRONG)
class TestWrongTimes:
    def test_an_alert_is_told_as_of_now(self, journal: Journal, writer: RawWriter, ts: float) -> None:
        writer.event("alert", id="1", level="ERROR", title="t", ts=ts)
        journal.read()
        journal.restart()

        (alert,) = journal.store.docs(ALERTS).values()
        now = journal.clock.now
        assert (alert.first, alert.last, alert.ends) == (now, now, now + journal.settings.alert_window)
        assert payload(alert, "d", "", "")["startsAt"].startswith("2023-")

    def test_a_heartbeat_is_a_success_of_now_and_hides_no_missed_run(
        self, journal: Journal, writer: RawWriter, ts: float
    ) -> None:
        writer.event("heartbeat", job="backup", ts=ts)
        journal.read()

        assert journal.value(JOB_LAST_SUCCESS, "backup") == journal.clock.now
        assert next_due("0 * * * *", "UTC", journal.clock.now) - journal.clock.now <= 3600

    def test_frames_do_not_come_from_the_future(self, journal: Journal, writer: RawWriter, ts: float) -> None:
        writer.event("dvr.frames", dvr="front", frames=1, last=ts, ts=journal.clock.now)
        journal.read()

        frame = journal.value(DVR_LAST_FRAME, "front")
        assert frame is not None
        assert frame <= journal.clock.now

    def test_the_timeline_has_it_now_and_says_whose_clock_is_wrong(
        self, journal: Journal, writer: RawWriter, ts: float
    ) -> None:
        writer.event("job.finished", job="j", run="r", result="failure", seconds=ts, exit_code=1, ts=ts)
        journal.read()

        moments = read(journal.store, Filter()).moments
        assert {one.time for one in moments} == {journal.clock.now}
        assert {one.kind for one in moments} == {"job.failed", "clock.odd"}
        assert sum(journal.values(EVENTS_MISTIMED).values()) == 1
        seconds = journal.value(JOB_LAST_DURATION, "j")
        assert seconds is not None
        assert 0 <= seconds < 1e8

    def test_the_next_event_counts_as_ever(self, journal: Journal, writer: RawWriter, ts: float) -> None:
        writer.event("stage.finished", stage="s", run="r", outcome="success", seconds=1, ts=ts)
        journal.read()
        writer.event("stage.finished", stage="s", run="r", outcome="success", seconds=1, ts=journal.clock.now)
        writer.event("alert", id="1", level="CRITICAL", title="t", ts=journal.clock.now)
        journal.read()

        assert journal.value(STAGE_LAST_SUCCESS, "s") == journal.clock.now - 1
        assert len(journal.store.docs(ALERTS)) == 1


def test_a_time_that_is_a_little_ahead_is_no_reason_to_speak(journal: Journal, writer: RawWriter) -> None:
    writer.event("heartbeat", job="j", ts=journal.clock.now + 30)
    journal.read()

    assert journal.values(EVENTS_MISTIMED) == {}


def test_one_writer_is_heard_in_the_order_in_which_it_writes(journal: Journal, writer: RawWriter) -> None:
    """Its clock was a day ahead, and is put right between two attempts."""
    now = journal.clock.now
    writer.event("dvr.attempt", dvr="front", result="ok", ts=now + 86400)
    for _ in range(60):
        writer.event("dvr.attempt", dvr="front", result="timeout", ts=now)
    journal.read()

    from tests.unit.journal.test_dvr import shown

    assert shown(journal, "vv_dvr_up") == {("front", "agent"): 0}
    assert shown(journal, "vv_dvr_consecutive_failures") == {("front", "agent"): 60}


class TestThisBoot:
    """What is known of a writer that runs since this start of the device, 100 seconds ago."""

    @pytest.fixture
    def here(self, journal: Journal) -> Journal:
        clock = journal.clock
        began = clock.now - 100
        journal.reader = Reader(
            journal.directory, journal.store, discover(), journal.settings, clock, clock, lambda: clock.now - began, "b"
        )
        return journal

    def test_it_wrote_nothing_before_the_start(self, here: Journal) -> None:
        here.writer().event("heartbeat", job="j", ts=here.clock.now - 5 * 3600)
        here.read()

        assert here.value(JOB_LAST_SUCCESS, "j") == here.clock.now - 101

    def test_a_writer_of_another_boot_may_have(self, here: Journal) -> None:
        here.writer(boot="another").event("heartbeat", job="j", ts=here.clock.now - 5 * 3600)
        here.read()

        assert here.value(JOB_LAST_SUCCESS, "j") == here.clock.now - 1 - 5 * 3600

    @pytest.mark.parametrize("mono", [1e308, -5.0, 1.9e9])
    def test_a_monotonic_time_to_come_is_none(self, here: Journal, mono: float) -> None:
        here.writer().event("stage.started", stage="s", run="r", mono=mono, ts=here.clock.now - 50)
        here.read()

        (run,) = here.store.docs(STAGE_RUNS).values()
        assert run.mono == 0.0
        assert run.age(here.clock.now, here.clock.now, "b") == 51


@pytest.mark.parametrize("mtime", [0.0, 4e9])
def test_a_file_with_a_time_to_come_is_still_finished(journal: Journal, mtime: float) -> None:
    writer = journal.writer(lock=False)
    writer.event("job.started", job="j", run="r", ts=journal.clock.now)
    os.utime(writer.path, (mtime, mtime))
    journal.read()

    assert journal.value(JOB_RUNS, "j", "crashed") == 1
    assert journal.names() == []


def test_any_number_at_all_is_read(journal: Journal, writer: RawWriter) -> None:
    for number in ("1e400", "-0", "1e-400", "9" * 300, "NaN", "Infinity"):
        writer.raw(b'{"v":1,"type":"heartbeat","ts":%s,"job":"j"}\n' % number.encode())
    writer.event("alert", id="1", level="ERROR", title="t")
    journal.read()

    assert len(journal.store.docs(ALERTS)) == 1
