"""When something is due by a cron expression: a job, a digest, a drill."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from vv_exporter.common.clock import utc

# No clock is set by more than two hours (the time zone database, for the summer time of any country).
_MORE_THAN_A_CHANGE = timedelta(hours=3)

_HOUR, _YEAR = timedelta(hours=1), timedelta(days=366)


def problem_of(schedule: str) -> str:
    """Why a cron expression cannot be followed, as a clause; empty if it can be."""
    try:
        next(CronSim(schedule, utc(0.0)))
    except CronSimError as error:
        return f"{schedule!r} is not a cron expression ({error})"
    except StopIteration:
        return f"{schedule!r} never comes"
    return ""


def comes_twice_an_hour(schedule: str) -> bool:
    """Whether two times of a cron expression are less than an hour apart."""
    times = islice(CronSim(schedule, utc(0.0)), 3)  # two pauses: one of them may lie between two hours
    return any(later - earlier < _HOUR for earlier, later in pairwise(times))


def longest_pause(schedule: str) -> float:
    """The longest pause of a cron expression within a year, or the next one if that is longer; in seconds.

    All of its times within the year are looked at.
    """
    found, earlier = timedelta(), None
    for time in CronSim(schedule, utc(0.0)):
        if earlier is not None:
            found = max(found, time - earlier)
            if time - utc(0.0) > _YEAR:
                break
        earlier = time
    return found.total_seconds()


@lru_cache(maxsize=2048)  # each scrape asks for each job, and mostly for what it asked before
def next_due(schedule: str, timezone: str, after: float) -> float:
    """The first time of a cron expression after a time, Unix seconds.

    The expression is read in the time zone. Where its clock is set, jobs run as Debian's cron runs them (cron(8)): what
    falls into the hour that is left out comes right after it, and what falls into the hour that comes twice comes the
    first time; what has a ``*`` for its minute or hour follows the clock as it is. Raises `ValueError` if it never
    comes.
    """
    zone = ZoneInfo(timezone)
    wall = utc(after).astimezone(zone).replace(tzinfo=None)
    if _is_set_about(after, zone):
        wall -= _MORE_THAN_A_CHANGE  # what the clock showed a while ago it may show again
    once = not any(field.startswith("*") for field in schedule.split()[-5:-3])
    best = float("inf")
    # cronsim walks over a clock that is never set: it errs where one is set at midnight or by half an hour.
    for shown in CronSim(schedule, wall.replace(tzinfo=UTC)):
        times = _times_shown(shown.replace(tzinfo=zone), once)
        best = min([best, *(time for time in times if time > after)])
        if times and times[0] >= best:
            return best
    raise ValueError(f"{schedule!r} never comes")


def _is_set_about(time: float, zone: ZoneInfo) -> bool:
    before, behind = (utc(time) + sign * _MORE_THAN_A_CHANGE for sign in (-1, 1))
    return before.astimezone(zone).utcoffset() != behind.astimezone(zone).utcoffset()


def _times_shown(shown: datetime, once: bool) -> list[float]:
    """When the clock shows this: twice where it is set back, never where it is set forward; with `once` always once."""
    # PEP 495: of a time that is left out, the fold 0 comes after the fold 1.
    first, second = (shown.replace(fold=fold).timestamp() for fold in (0, 1))
    if first == second:
        return [first]
    if first < second:
        return [first] if once else [first, second]
    return [_end_of_gap(shown)] if once else []


def _end_of_gap(shown: datetime) -> float:
    while shown.timestamp() != shown.replace(fold=1).timestamp():
        shown += timedelta(minutes=1)
    return shown.replace(second=0).timestamp()
