"""Points in time as people read them."""

from datetime import UTC, datetime


def utc(timestamp: float) -> datetime:
    """Unix seconds as an aware datetime in UTC."""
    return datetime.fromtimestamp(timestamp, UTC)


def isoformat(timestamp: float) -> str:
    """Unix seconds as `2026-01-31T23:59:59Z` (RFC 3339, seconds)."""
    return utc(timestamp).strftime("%Y-%m-%dT%H:%M:%SZ")
