"""Points in time, and how long something took, as people read them."""

from datetime import UTC, datetime


def utc(timestamp: float) -> datetime:
    """Unix seconds as an aware datetime in UTC."""
    return datetime.fromtimestamp(timestamp, UTC)


def isoformat(timestamp: float) -> str:
    """Unix seconds as `2026-01-31T23:59:59Z` (RFC 3339, seconds)."""
    return utc(timestamp).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float) -> str:
    """A duration in one unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    if 0 < seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"
    return f"{max(seconds, 0):.0f} s"
