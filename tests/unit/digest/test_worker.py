"""The digest is sent once a day, whatever happens to exporter, device, clock and mail server."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.support.clock import Clock
from vv_exporter.digest.worker import BACKOFF_MAX, LONGEST, MARK, DigestWorker
from vv_exporter.messages.smtp import MailError
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.state.store import Store

HOUR, DAY = 3600.0, 86400.0
LISBON = ZoneInfo("Europe/Lisbon")


def at(day: int, hour: int, minute: int = 0, month: int = 11, zone: ZoneInfo | None = None) -> float:
    return datetime(2026, month, day, hour, minute, tzinfo=zone or UTC).timestamp()


class Bench:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock(at(10, 12))
        self.uptime = Clock(0.0)
        self.down = False
        self.tries = 0
        self.sent: list[tuple[float, float]] = []
        self.zone = "UTC"
        self.start()

    def start(self) -> None:
        self.store = Store(self.path, self.clock)
        self.worker = DigestWorker(self.store, self.send, "0 7 * * *", self.zone, self.clock, self.uptime)

    def restart(self) -> None:
        self.store.close()
        self.start()

    def send(self, since: float, until: float) -> None:
        self.tries += 1
        if self.down:
            raise MailError("mail.example.org:587: ConnectionRefusedError")
        self.sent.append((since, until))

    def pass_time(self, until: float, step: float = 300.0) -> None:
        """Let the time pass in steps, with a look at the clock at each."""
        while self.clock.now < until:
            self.clock.advance(step)
            self.uptime.advance(step)
            self.worker.round()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state.db")
    bench.worker.round()
    yield bench
    bench.store.close()


def test_it_is_sent_each_day_at_its_time_and_leaves_nothing_out(bench: Bench) -> None:
    bench.pass_time(at(13, 12))

    assert bench.sent == [
        (at(10, 12), at(11, 7)),
        (at(11, 7), at(12, 7)),
        (at(12, 7), at(13, 7)),
    ]
    assert bench.store.value(RELAY_DELIVERIES, ("digest", "ok")) == 3


def test_nothing_is_sent_when_it_is_new(bench: Bench) -> None:
    bench.worker.round()

    assert bench.sent == []
    assert bench.worker.next() == at(11, 7)


def test_restarts_send_it_no_second_time(bench: Bench) -> None:
    bench.pass_time(at(11, 7))
    for _ in range(5):
        bench.restart()
        bench.worker.round()

    assert len(bench.sent) == 1


def test_a_day_off_is_caught_up_in_one(bench: Bench) -> None:
    bench.pass_time(at(11, 8))
    bench.clock.now = at(14, 9)
    bench.restart()
    bench.worker.round()
    bench.worker.round()

    assert bench.sent[1:] == [(at(11, 7), at(14, 7))]


def test_after_very_long_it_is_about_a_week(bench: Bench) -> None:
    bench.clock.now = at(20, 9, month=12)
    bench.worker.round()

    assert bench.sent == [(at(20, 7, month=12) - LONGEST, at(20, 7, month=12))]


def test_a_clock_that_is_set_back_over_its_time_sends_it_no_second_time(bench: Bench) -> None:
    bench.pass_time(at(11, 7, 5))
    bench.clock.now = at(11, 6)
    bench.pass_time(at(11, 12))
    bench.pass_time(at(12, 12))

    assert [until for _, until in bench.sent] == [at(11, 7), at(12, 7)]


def test_a_clock_that_is_not_set_yet_changes_nothing(bench: Bench) -> None:
    bench.pass_time(at(11, 8))
    bench.clock.now = 30.0
    bench.restart()
    bench.worker.round()
    bench.clock.now = at(11, 9)
    bench.worker.round()

    assert len(bench.sent) == 1


def test_a_clock_that_was_years_ahead_does_not_silence_it(bench: Bench) -> None:
    bench.clock.now = at(1, 8) + 4 * 365 * DAY
    bench.worker.round()
    bench.clock.now = at(11, 12)
    bench.pass_time(at(12, 12))

    assert bench.sent[-1] == (at(11, 12) + 300, at(12, 7))
    assert len(bench.sent) == 2


@pytest.mark.parametrize(("month", "day"), [(3, 29), (10, 25)])
def test_where_clocks_change_there_is_one_a_day(tmp_path: Path, month: int, day: int) -> None:
    bench = Bench(tmp_path / "state.db")
    bench.zone = "Europe/Lisbon"
    bench.clock.now = at(day - 1, 12, month=month)
    bench.restart()
    bench.worker.round()
    bench.pass_time(at(day + 1, 12, month=month))
    bench.store.close()

    assert [until for _, until in bench.sent] == [
        at(day, 7, month=month, zone=LISBON),
        at(day + 1, 7, month=month, zone=LISBON),
    ]


def test_a_mail_server_that_is_away_is_tried_again_with_growing_pauses(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.down = True
    bench.pass_time(at(11, 13), step=60)
    bench.down = False
    bench.pass_time(at(11, 13) + BACKOFF_MAX + 60, step=60)

    assert bench.sent == [(at(10, 12), at(11, 7))]
    assert 15 < bench.tries < 25
    assert bench.store.value(RELAY_DELIVERIES, ("digest", "failed")) == bench.tries - 1
    assert caplog.text.count("mail.example.org:587: ConnectionRefusedError") == 1


def test_a_mail_server_that_is_away_for_days_gets_one_about_all_of_them(bench: Bench) -> None:
    bench.down = True
    bench.pass_time(at(13, 6))
    bench.down = False
    bench.pass_time(at(13, 8))

    assert bench.sent == [(at(10, 12), at(12, 7)), (at(12, 7), at(13, 7))]


def test_the_mark_moves_only_after_the_mail_was_taken(bench: Bench) -> None:
    bench.down = True
    bench.pass_time(at(11, 8))
    before = bench.store.document(MARK, "")
    bench.down = False
    bench.restart()
    bench.worker.round()
    after = bench.store.document(MARK, "")

    assert before is not None
    assert after is not None
    assert (before.until, before.sent) == (at(10, 12), 0.0)
    assert (after.until, after.sent) == (at(11, 7), bench.clock.now)
