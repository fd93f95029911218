"""What is wrong with footage of late, for the rules: missing by cause, and recorded but not signed in time.

Read from the ledger anew each time, so that footage which comes late ends what was said of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from vv_exporter.footage.causes import Part
from vv_exporter.footage.intervals import Spans, clipped, common, gaps, total
from vv_exporter.footage.ledger import DAY, spans_of
from vv_exporter.footage.report import View
from vv_exporter.footage.segments import JOIN

WINDOW = 3_600_000
"""Milliseconds, up to when it is too late for footage, of which what is missing is shown by `vv_footage_recent_…`."""
LOOK_BACK = DAY
"""How far back a piece that reaches into the window is followed to its beginning, and unsigned recordings are
looked for."""


class Recent(NamedTuple):
    """What is missing within the window (milliseconds), and the longest piece of it from its true beginning."""

    missing: int
    start: int
    end: int


def recent_by_cause(parts: Iterable[Part], until: int) -> dict[str, Recent]:
    """By cause: what is missing in the hour before `until`; `parts` reach further back."""
    since, found = until - WINDOW, dict[str, Recent]()
    for start, end, cause, _ in parts:
        here = min(end, until) - max(start, since)
        if here <= 0:
            continue
        known = found.get(cause, Recent(0, 0, 0))
        longest = max((known.start, known.end), (start, end), key=lambda span: span[1] - span[0])
        found[cause] = Recent(known.missing + here, *longest)
    return found


def holes_that_ended(parts: Iterable[Part], since: int, until: int) -> list[tuple[Part, ...]]:
    """The holes that ended between two times, each as its parts; `parts` reach further back. One that goes up to
    `until` lasts still."""
    return [hole for hole in _holes(parts) if since <= hole[-1].end < until]


def open_hole(parts: Iterable[Part], until: int) -> tuple[Part, ...]:
    """The hole that goes up to `until`; nothing if there is none."""
    return next((hole for hole in _holes(parts) if hole[-1].end >= until), ())


def there_ratio(parts: Iterable[Part], expected: Spans, until: int) -> float | None:
    """Which share of what was expected of the day before `until` is there; None if nothing was."""
    wanted = total(clipped(expected, until - DAY, until))
    lost = total(clipped((part[:2] for part in parts), until - DAY, until))
    return max(1 - lost / wanted, 0.0) if wanted else None


def _holes(parts: Iterable[Part]) -> list[tuple[Part, ...]]:
    holes: list[list[Part]] = []
    for part in sorted(parts):
        if holes and holes[-1][-1].end == part.start:
            holes[-1].append(part)
        else:
            holes.append([part])
    return [tuple(hole) for hole in holes]


def unsigned(view: View, dvr: str, until: int) -> Spans:
    """What was recorded in the day before `until` and is not signed; what is shorter than a hole that is none is left
    out. Nothing of a camera of which nothing is recorded."""
    since = until - LOOK_BACK
    recorded = spans_of(view.day, dvr, "recorded", since, until)
    signed = spans_of(view.day, dvr, "signed", since, until) if recorded else ()
    return tuple(span for span in common(recorded, gaps(signed, since, until)) if span[1] - span[0] > JOIN)
