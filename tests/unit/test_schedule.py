"""When a job is due, also where the clock is set forward or back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vv_exporter.common.schedule import next_due


def due(schedule: str, timezone: str, after: str) -> str:
    seconds = datetime.fromisoformat(after).replace(tzinfo=UTC).timestamp()
    return datetime.fromtimestamp(next_due(schedule, timezone, seconds), UTC).isoformat()[:16]


@pytest.mark.parametrize(
    ("schedule", "timezone", "after", "expected"),
    [
        ("0 3 * * *", "UTC", "2026-01-01T02:59:59", "2026-01-01T03:00"),
        ("0 3 * * *", "UTC", "2026-01-01T03:00:00", "2026-01-02T03:00"),
        ("*/5 * * * *", "UTC", "2026-01-01T00:03:00", "2026-01-01T00:05"),
        ("0 3 * * *", "Asia/Tokyo", "2026-01-01T00:00:00", "2026-01-01T18:00"),
        # Europe/Lisbon: at 01:00 on 29 March 2026 the clock goes to 02:00, at 02:00 on 25 October to 01:00.
        ("30 1 * * *", "Europe/Lisbon", "2026-03-28T12:00:00", "2026-03-29T01:00"),
        ("30 4 * * *", "Europe/Lisbon", "2026-03-28T12:00:00", "2026-03-29T03:30"),
        ("30 1 * * *", "Europe/Lisbon", "2026-10-24T12:00:00", "2026-10-25T00:30"),
        ("30 1 * * *", "Europe/Lisbon", "2026-10-25T00:30:00", "2026-10-26T01:30"),
        ("30 4 * * *", "Europe/Lisbon", "2026-10-24T12:00:00", "2026-10-25T04:30"),
        # A run of 01:30 that ended at 01:10, when the hour came for the second time.
        ("30 1 * * *", "Europe/Lisbon", "2026-10-25T01:10:00", "2026-10-26T01:30"),
        # Two times in the hour that is left out are one.
        ("15,45 1 * * *", "Europe/Lisbon", "2026-03-29T00:00:00", "2026-03-29T01:00"),
        ("15,45 1 * * *", "Europe/Lisbon", "2026-03-29T01:00:00", "2026-03-30T00:15"),
        # What runs every hour runs in both.
        ("30 * * * *", "Europe/Lisbon", "2026-10-25T00:30:00", "2026-10-25T01:30"),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00", "2028-02-29T00:00"),
    ],
)
def test_next_due(schedule: str, timezone: str, after: str, expected: str) -> None:
    assert due(schedule, timezone, after) == expected


# Where clocks are set, among them by half an hour and at midnight.
CHANGES = [
    ("Europe/Lisbon", "2026-03-29"), ("Europe/Lisbon", "2026-10-25"),
    ("America/New_York", "2026-03-08"), ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-04"), ("Australia/Lord_Howe", "2026-10-03"),
    ("Africa/Casablanca", "2026-02-15"), ("Africa/Casablanca", "2026-03-22"),
    ("America/Santiago", "2026-04-05"), ("America/Santiago", "2026-09-06"),
    ("UTC", "2026-12-31"), ("Asia/Kathmandu", "2026-02-28"),
]  # fmt: skip
HORIZON = timedelta(days=3)


def field(least: int, most: int) -> st.SearchStrategy[str]:
    numbers = st.integers(least, most)
    single = st.one_of(
        numbers.map(str),
        st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        # Not 5-5/2: cronsim takes it for 5/2, which crontab(5) does not know.
        st.tuples(st.integers(least, most - 1), numbers, st.integers(1, 9))
        .filter(lambda t: t[0] < t[1])
        .map(lambda t: f"{t[0]}-{t[1]}/{t[2]}"),
    )
    return st.one_of(
        st.just("*"),
        st.integers(1, most).map("*/{}".format),
        single,
        st.lists(single, min_size=2, max_size=3).map(",".join),
    )


EXPRESSIONS = st.tuples(
    field(0, 59),
    field(0, 23),
    st.one_of(st.just("*"), field(1, 28)),
    st.just("*"),
    st.one_of(st.just("*"), field(0, 7)),
).map(" ".join)


def numbers(text: str, least: int, most: int) -> set[int]:
    """The numbers of one field of a crontab, as crontab(5) has them."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, _, high = (f"{least}-{most}" if span == "*" else span).partition("-")
        found.update(range(int(low), int(high or low) + 1, int(step or 1)))
    return found


def matches(schedule: str, local: datetime) -> bool:
    minute, hour, day, _, weekday = schedule.split()
    by_day = local.day in numbers(day, 1, 31)
    by_weekday = bool({local.isoweekday(), local.isoweekday() % 7} & numbers(weekday, 0, 7))
    either = by_day and by_weekday if day.startswith("*") or weekday.startswith("*") else by_day or by_weekday
    return either and local.hour in numbers(hour, 0, 23) and local.minute in numbers(minute, 0, 59)


def by_the_minute(schedule: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """What a daemon would run that looks at the clock on the wall each minute, as Debian's cron(8) describes it."""
    zone = ZoneInfo(timezone)
    follows_real_time = any(field.startswith("*") for field in schedule.split()[:2])
    minute = after.replace(second=0, microsecond=0)
    before = minute.astimezone(zone)
    while minute - after < HORIZON:
        minute += timedelta(minutes=1)
        local = minute.astimezone(zone)
        shown = local.replace(tzinfo=None)
        left_out = shown - before.replace(tzinfo=None) - timedelta(minutes=1)
        if follows_real_time:
            due = matches(schedule, shown)
        else:
            skipped = (shown - timedelta(minutes=n) for n in range(1, left_out // timedelta(minutes=1) + 1))
            due = (not local.fold and matches(schedule, shown)) or any(matches(schedule, one) for one in skipped)
        if due:
            yield minute
        before = local


@settings(max_examples=200, deadline=None)
@given(
    schedule=EXPRESSIONS,
    change=st.sampled_from(CHANGES),
    seconds=st.integers(0, 2 * 86400),
)
@pytest.mark.exhaustive
def test_the_next_time_is_what_looking_each_minute_finds(schedule: str, change: tuple[str, str], seconds: int) -> None:
    timezone, day = change
    after = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(seconds=seconds - 86400 // 2)

    found = datetime.fromtimestamp(next_due(schedule, timezone, after.timestamp()), UTC)

    expected = next(by_the_minute(schedule, timezone, after), None)
    assert found == expected if expected else found > after + HORIZON
