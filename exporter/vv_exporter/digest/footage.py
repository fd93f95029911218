"""Footage in the digest: of each camera and day that is over what is there, and what is missing, why."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from vv_exporter.footage.statement import Statement


class FootageDay(msgspec.Struct, frozen=True):
    """A camera on a day: the share of what was expected that is there (None: nothing was), and seconds that are missing
    by cause, the most first; how many of its files cannot be played."""

    name: str
    day: str
    there_ratio: float | None
    missing_seconds: float
    causes: dict[str, float]
    corrupt: int


def footage_days(statements: Iterable[Statement]) -> tuple[FootageDay, ...]:
    """Those of these days, the worst first."""
    found = [
        FootageDay(
            one.dvr, stated.day, one.there_ratio, one.missing_seconds, dict(one.missing_by_cause), len(one.corrupt)
        )
        for stated in statements
        for one in stated.cameras
    ]
    return tuple(sorted(found, key=lambda one: (-one.missing_seconds, -one.corrupt, one.name, one.day)))
