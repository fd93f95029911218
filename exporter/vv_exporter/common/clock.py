"""Points in time, and how long something took, as people and other programs write them; the device's start.

Every function that shows a time takes any float, also what no clock shows: showing must never fail over what was
written.
"""

import math
import time
from datetime import UTC, datetime

from vv_exporter.language import decimal
from vv_exporter.language import gettext as _

_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0  # the seconds of 0001-01-01 and of 9999-12-31T23:59:59


def utc(timestamp: float) -> datetime:
    """Unix seconds as an aware datetime in UTC; beyond the years 1 to 9999 their first or last second."""
    if math.isnan(timestamp):
        timestamp = 0.0
    return datetime.fromtimestamp(min(max(timestamp, _FIRST), _LAST), UTC)


def isoformat(timestamp: float) -> str:
    """Unix seconds as `2026-01-31T23:59:59Z` (RFC 3339, seconds); the year always has four digits."""
    return utc(timestamp).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def moment(text: str) -> float | None:
    """RFC 3339 with any number of digits in Unix seconds, UTC where it names no zone; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def span(seconds: float) -> str:
    """A duration in one unit."""
    if not math.isfinite(seconds):
        return _("an unknown time")
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    if 0 < seconds < 10:
        return f"{decimal(f'{seconds:.1f}')} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"
    return f"{max(seconds, 0):.0f} s"


def boottime() -> float:
    """Seconds since the start of the device, the time that it slept included; setting the clock does not change it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The kernel's id of this boot (proc(5), /proc/sys/kernel/random/boot_id); empty where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            return file.read().strip()
    except OSError:
        return ""
