"""What files show of themselves, asked in threads that may hang for ever: a call on a dead mount does not return."""

from __future__ import annotations

import os
from stat import S_ISREG


def size(path: str) -> int | None:
    """Bytes of the regular file at `path`, None if there is none. May hang."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size if S_ISREG(status.st_mode) else None


def touched(path: str) -> int:
    """When the file at `path` was last changed, in nanoseconds; 0 if there is none.

    May hang. Raises `OSError` if that cannot be found out.
    """
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return 0
