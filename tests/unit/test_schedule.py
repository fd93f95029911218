"""When a job is due, also where the clock is set forward or back."""

from datetime import UTC, datetime

import pytest

from vv_exporter.schedule import next_due


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
    ],
)
def test_next_due(schedule: str, timezone: str, after: str, expected: str) -> None:
    assert due(schedule, timezone, after) == expected
