"""Times, durations and schedules at their edges."""

from __future__ import annotations

import math

import msgspec
import pytest

from vv_core.common.units import parse_duration, parse_size
from vv_exporter.common.clock import isoformat, moment, span, utc
from vv_exporter.common.schedule import comes_twice_an_hour, longest_pause, next_due, problem_of
from vv_exporter.common.times import (
    EARLIEST,
    LONGEST_SECONDS,
    Deadline,
    Move,
    UnixTime,
    admitted,
    admitted_seconds,
    is_later,
)

NOW = 1_795_900_000.0
DAY = 86_400.0


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (math.inf, "an unknown time"),
        (math.nan, "an unknown time"),
        (-5, "0 s"),
        (0, "0 s"),
        (0.0994, "99 ms"),
        (0.1, "0.1 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "120 min"),
        (7_200, "2 h"),
        (172_799, "48 h"),
        (172_800, "2 d"),
    ],
)
def test_a_duration_is_told_in_one_unit(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_a_time_is_shown_in_seconds_within_the_years_of_the_calendar() -> None:
    assert isoformat(1.999) == "1970-01-01T00:00:01Z"
    assert isoformat(math.nan) == "1970-01-01T00:00:00Z"
    assert isoformat(math.inf) == isoformat(253_402_300_800.0) == "9999-12-31T23:59:59Z"
    assert isoformat(-math.inf) == isoformat(-62_135_596_801.0) == "0001-01-01T00:00:00Z"
    assert isoformat(-62_135_596_799.0) == "0001-01-01T00:00:01Z"
    assert isoformat(253_402_300_798.0) == "9999-12-31T23:59:58Z"
    assert utc(0.5).microsecond == 500_000


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01", 1.0),
        ("1970-01-01T01:00:01+01:00", 1.0),
        ("1970-01-01T00:00:00.123456789Z", 0.123456),
        ("", None),
        (7, None),
    ],
)
def test_a_text_is_read_in_utc_unless_it_names_a_zone(text: str, found: float | None) -> None:
    assert moment(text) == found


def test_limits_of_what_is_believed() -> None:
    assert (EARLIEST, LONGEST_SECONDS) == (946_684_800.0, 366 * DAY)
    assert admitted(EARLIEST, NOW) == EARLIEST
    assert admitted(EARLIEST - 0.1, NOW) == NOW
    assert admitted(NOW + 0.1, NOW) == NOW
    assert [admitted_seconds(one) for one in (-1.0, 0.0, 5.0, math.inf, math.nan)] == [0.0, 0.0, 5.0, 0.0, 0.0]
    assert admitted_seconds(LONGEST_SECONDS + 1) == LONGEST_SECONDS


@pytest.mark.parametrize(
    ("time", "known", "later"),
    [
        (NOW - 5, NOW - 6, True),
        (NOW - 5, NOW - 5, True),
        (NOW - 6, NOW - 5, False),
        (NOW - 5, NOW, False),
        (NOW - 5, NOW + 0.1, True),
    ],
)
def test_what_lies_in_the_future_came_before(time: float, known: float, later: bool) -> None:
    assert is_later(time, known, NOW) == later


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    began: UnixTime
    ends: Deadline = 0.0
    often: tuple[UnixTime, ...] = ()
    parts: tuple[Kept, ...] = ()
    by: dict[str, UnixTime] = {}
    either: Kept | Other | None = None
    number: float = 0.0


class Other(msgspec.Struct, frozen=True, tag="other"):
    at: UnixTime = 0.0


class Plain(msgspec.Struct, frozen=True):
    number: float
    text: str = ""


class TestMove:
    """A clock that was set back by an hour: times after `since`, up to `until`, go along."""

    MOVE = Move(NOW, since=NOW - 2 * DAY, until=NOW + DAY, by=-3600.0, begun=NOW - DAY)

    @pytest.mark.parametrize(
        ("time", "after"),
        [
            (NOW - 2 * DAY, NOW - 2 * DAY),
            (NOW - 2 * DAY + 1, NOW - 2 * DAY + 1 - 3600),
            (NOW + 3600, NOW),
            (NOW - 3 * DAY, NOW - 3 * DAY),
            (0.0, 0.0),
            (EARLIEST, EARLIEST),
            (EARLIEST - 1, NOW),
            (NOW + 3601, NOW),
            (NOW + DAY + 1, NOW),
        ],
    )
    def test_a_time_that_was(self, time: float, after: float) -> None:
        assert self.MOVE.past(time) == after

    def test_what_may_be_true_is_within_the_years_and_not_to_come(self) -> None:
        for time, possible in (
            (0.0, True), (EARLIEST, True), (NOW, True), (EARLIEST - 1, False), (NOW + 1, False), (-1.0, False)
        ):  # fmt: skip
            assert self.MOVE.possible(time) == possible

    @pytest.mark.parametrize(
        ("time", "ahead", "after"),
        [
            (NOW + 50, 100.0, NOW - 50),
            (NOW + 50, 50.0, NOW),
            (NOW + 50, 49.0, NOW),
            (NOW + 50, 2 * DAY, NOW - DAY),  # not before the start of the device
            (NOW + 50, NOW - EARLIEST + 51, NOW),  # before the year 2000
            (NOW - 5, 100.0, NOW - 5),
            (EARLIEST - 5, 100.0, NOW),
        ],
    )
    def test_times_that_belong_together_keep_their_distances(self, time: float, ahead: float, after: float) -> None:
        assert Move(NOW, begun=NOW - DAY, ahead=ahead).past(time) == after

    @pytest.mark.parametrize(
        ("ahead", "along", "after"),
        [(0.0, False, NOW + 900), (0.0, True, NOW + 900 - 3600), (100.0, False, NOW + 800), (1000.0, False, NOW)],
    )
    def test_a_deadline_comes_sooner_but_not_before_now(self, ahead: float, along: bool, after: float) -> None:
        move = self.MOVE._replace(ahead=ahead, along_too=along)

        assert move.deadline(NOW + 900) == after

    def test_what_goes_along_lies_after_the_first_moment_and_up_to_the_last(self) -> None:
        for time, moves in (
            (NOW - 2 * DAY, False), (NOW - 2 * DAY + 0.1, True), (NOW + DAY, True), (NOW + DAY + 0.1, False)
        ):  # fmt: skip
            assert (self.MOVE.along(time) == time - 3600) == moves

    def test_by_itself_it_moves_nothing_that_can_be_true(self) -> None:
        assert Move(NOW).deadline(NOW + 9) == NOW + 9
        assert [Move(NOW).past(time) for time in (NOW - 9, NOW, EARLIEST, 0.0)] == [NOW - 9, NOW, EARLIEST, 0.0]

    def test_a_document_and_all_that_it_holds(self) -> None:
        kept = Kept(
            NOW - 60,
            ends=NOW + 900,
            often=(NOW - 60, NOW + 2 * DAY, 0.0),
            parts=(Kept(NOW - 60, ends=NOW + 60), Kept(NOW - 3 * DAY, ends=NOW + 60)),
            by={"a": NOW - 60, "b": NOW + 2 * DAY},
            either=Kept(NOW - 60, ends=NOW + 60),
            number=NOW - 60,
        )

        assert self.MOVE.document(kept) == Kept(
            NOW - 3660,
            ends=NOW - 2700,
            often=(NOW - 3660, 0.0),
            parts=(Kept(NOW - 3660, ends=NOW - 3540), Kept(NOW - 3 * DAY, ends=NOW + 60)),
            by={"a": NOW - 3660, "b": NOW},
            either=Kept(NOW - 3660, ends=NOW - 3540),
            number=NOW - 60,
        )

    def test_what_has_no_times_or_none_that_move_is_the_very_same(self) -> None:
        for document in (Plain(NOW), Kept(0.0), Kept(NOW - 3 * DAY, either=None), Other(0.0)):
            assert self.MOVE.document(document) is document

    def test_a_document_whose_times_lie_in_the_future_moves_as_one(self) -> None:
        kept = Kept(NOW + 40, ends=NOW + 100, either=None)

        assert Move(NOW).document(kept) == Kept(NOW, ends=NOW + 60)


@pytest.mark.parametrize(
    ("schedule", "twice"),
    [
        ("0 * * * *", False),
        ("*/30 * * * *", True),
        ("0,59 10 * * *", True),
        ("59 9,10 * * *", False),
        ("59 * * * *", False),
        ("30,29 10,11 * * *", True),
    ],
)
def test_what_comes_more_often_than_once_an_hour(schedule: str, twice: bool) -> None:
    assert comes_twice_an_hour(schedule) == twice


@pytest.mark.parametrize(
    ("schedule", "pause"),
    [
        ("0 * * * *", 3600.0),
        ("0 10 * * *", DAY),
        ("0 10 * * 1", 7 * DAY),
        ("0 10 1 * *", 31 * DAY),
        ("0 10 1,2 * *", 30 * DAY),
        ("0 0 1 1 *", 365 * DAY),
        ("0 0 29 2 *", 1461 * DAY),
    ],
)
def test_the_longest_pause_of_a_year(schedule: str, pause: float) -> None:
    assert longest_pause(schedule) == pause


def test_a_schedule_that_is_none_says_why() -> None:
    assert problem_of("0 3 * * *") == ""
    assert problem_of("x").startswith("'x' is not a cron expression (")


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "due"),
    [
        ("0 3 * * *", "UTC", "2026-01-01T02:59:59", "2026-01-01T03:00:00"),
        ("0 3 * * *", "UTC", "2026-01-01T03:00:00", "2026-01-02T03:00:00"),
        ("0 3 * * *", "Asia/Kolkata", "2026-01-01T00:00:00", "2026-01-01T21:30:00"),
        # Lisbon, 29 March 2026, 01:00 UTC: from 01:00 to 02:00.
        ("59 0 * * *", "Europe/Lisbon", "2026-03-29T00:00:00", "2026-03-29T00:59:00"),
        ("0 1 * * *", "Europe/Lisbon", "2026-03-29T00:00:00", "2026-03-29T01:00:00"),
        ("59 1 * * *", "Europe/Lisbon", "2026-03-29T00:00:00", "2026-03-29T01:00:00"),
        ("0 2 * * *", "Europe/Lisbon", "2026-03-29T00:00:00", "2026-03-29T01:00:00"),
        ("30 * * * *", "Europe/Lisbon", "2026-03-29T00:30:00", "2026-03-29T01:30:00"),
        # Lisbon, 25 October 2026, 01:00 UTC: from 02:00 to 01:00.
        ("30 1 * * *", "Europe/Lisbon", "2026-10-25T00:00:00", "2026-10-25T00:30:00"),
        ("30 1 * * *", "Europe/Lisbon", "2026-10-25T00:30:00", "2026-10-26T01:30:00"),
        ("30 1 * * *", "Europe/Lisbon", "2026-10-25T01:29:00", "2026-10-26T01:30:00"),
        ("*/30 1 * * *", "Europe/Lisbon", "2026-10-25T00:30:00", "2026-10-25T01:00:00"),
        ("0 2 * * *", "Europe/Lisbon", "2026-10-25T00:00:00", "2026-10-25T02:00:00"),
        ("0 30 1 * * *", "Europe/Lisbon", "2026-10-25T00:30:00", "2026-10-26T01:30:00"),  # six fields
    ],
)
def test_when_it_is_due_where_the_clock_is_set(schedule: str, zone: str, after: str, due: str) -> None:
    assert isoformat(next_due(schedule, zone, moment(after) or 0.0)) == f"{due}Z"


@pytest.mark.parametrize(
    ("text", "seconds"), [("1ms", 0.001), ("1s", 1), ("1m", 60), ("1h", 3600), ("1d", 86_400), ("1w", 604_800)]
)
def test_a_unit_of_time(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(f"{text}{text}") == 2 * seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1), ("1b", 1), ("1kb", 1000), ("1mb", 10**6), ("1gb", 10**9), ("1tb", 10**12), ("1kib", 1024),
        ("1mib", 1024**2), ("1gib", 1024**3), ("1tib", 1024**4), ("1.5kb", 1500), ("0.0006kb", 1),
    ],
)  # fmt: skip
def test_a_unit_of_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("digits", ["9" * 15, "0." + "1" * 15])
def test_fifteen_digits_are_read_and_sixteen_are_not(digits: str) -> None:
    assert parse_duration(digits) == parse_duration(f"{digits}s") == float(digits)
    assert parse_size(digits) == round(float(digits))
    for parse in (parse_duration, parse_size):
        with pytest.raises(ValueError, match="is not a"):
            parse(f"{digits}0")
