"""When footage of a camera is expected: always, or in the minutes of a cron expression (`* 8-17 * * 1-5`)."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

from vv_exporter.common.clock import utc
from vv_exporter.footage.intervals import Span, Spans, clipped, union
from vv_exporter.footage.ledger import DAY

ALWAYS = "always"
_MINUTE = 60_000
_QUARTER = 15 * _MINUTE
"""All zones of today are set by whole quarters of an hour from UTC."""


def expected(schedule: str, timezone: str, start: int, end: int) -> Spans:
    """When footage is expected between two times. The expression is read in the time zone, as its clock shows: an hour
    that comes twice counts twice, one that is left out not at all."""
    if schedule == ALWAYS:
        return ((start, end),) if start < end else ()
    days = range(start // DAY, (end - 1) // DAY + 1)
    return clipped(union(span for day in days for span in _expected_on_day(schedule, timezone, day)), start, end)


@lru_cache(maxsize=4096)
def _expected_on_day(schedule: str, timezone: str, day: int) -> Spans:
    """When it is expected on a day, UTC."""
    cron, zone = CronSim(schedule, utc(0.0)), ZoneInfo(timezone)
    found: list[Span] = []
    for quarter in range(day * DAY, (day + 1) * DAY, _QUARTER):
        shown = utc(quarter / 1000).astimezone(zone)
        if shown.hour in cron.hours and shown.month in cron.months and cron.match_day(shown.date()):
            minutes = (minute for minute in range(15) if shown.minute + minute in cron.minutes)
            found += ((quarter + minute * _MINUTE, quarter + (minute + 1) * _MINUTE) for minute in minutes)
    return union(found)
