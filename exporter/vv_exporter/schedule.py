"""When a job is due."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from cronsim import CronSim

from vv_exporter._clock import utc


def next_due(schedule: str, timezone: str, after: float) -> float:
    """The first time of a cron expression after a time, Unix seconds.

    The expression is read in the time zone; where its clock is set forward or back, jobs run as Debian's cron runs
    them (https://github.com/cuu508/cronsim).
    """
    moment = next(CronSim(schedule, utc(after).astimezone(ZoneInfo(timezone))))
    return float(moment.timestamp())
