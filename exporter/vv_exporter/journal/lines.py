"""Where lines begin and end in a piece of a file; one that is too long is passed over."""

from __future__ import annotations

from typing import NamedTuple

from vv_exporter.journal.events import MAX_LINE


class Bounds(NamedTuple):
    """Whole lines reach from `start` to `end` (the newline included), `done` bytes need not be looked at again.

    `inside`: those end inside a line that is too long.
    """

    start: int
    end: int
    done: int
    inside: bool


def bounds(data: bytes, inside: bool) -> Bounds:
    """Of a piece that begins a line, or `inside` one that is too long."""
    start = data.find(b"\n") + 1 if inside else 0
    if inside and not start:
        return Bounds(len(data), len(data), len(data), True)
    end = max(data.rfind(b"\n") + 1, start)
    if len(data) - end >= MAX_LINE:
        return Bounds(start, end, len(data), True)
    return Bounds(start, end, end, False)
