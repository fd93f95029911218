"""Causes and durations as people read them."""

from __future__ import annotations

from vv_exporter.footage.causes import CAUSES
from vv_exporter.language import gettext as _


def words(cause: str, detail: str = "") -> str:
    """A cause as people read it."""
    said = _(CAUSES.get(cause, cause))
    return f"{said} ({detail})" if detail else said


def length(seconds: float) -> str:
    """A duration in at most two units: `14 min 20 s`."""
    left, found = round(seconds), list[str]()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            found.append(f"{count} {unit}")
    return " ".join(found[:2]) or (_("under 1 s") if seconds > 0 else "0 s")
