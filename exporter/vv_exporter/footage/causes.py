"""Why a piece of footage is missing: one function of the hole and of what is known of its time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from vv_exporter.language import translatable

UNKNOWN = "unknown"
CAUSES = {
    "not_expected": translatable("not expected at this time"),
    "maintenance": translatable("maintenance"),
    "device_off": translatable("the device was off"),
    "power_lost": translatable("the device lost its power, or crashed"),
    "clock_stepped": translatable("the clock was set"),
    "storage_missing": translatable("the video storage was missing"),
    "storage_readonly": translatable("the video storage could not be written"),
    "ingest_paused": translatable("storing was paused, as the disk was full"),
    "dvr_down": translatable("the DVR gave no stream"),
    "dvr_frozen": translatable("the DVR sent no new frames"),
    "agent_crashed": translatable("the agent was killed"),
    "agent_stopped": translatable("the agent was not running"),
    "recorder": translatable("frames came, and nothing was recorded"),
    UNKNOWN: translatable("unknown"),
}
"""What can be the cause, in words. Of two that hold at the same time the one that stands first is it: with the other
alone cured, the footage would be missing all the same."""

CONNECTED = "connected"
"""Not a cause by itself: an agent had a stream. Where no frames came all the same, the DVR was frozen."""

NOTICED_AFTER = 60_000
"""Milliseconds after which a fault is noticed at the latest: DVRs and storage are given up after at most a minute."""
BACK_AFTER = 60_000
"""Milliseconds from the end of a fault until there is footage again: the longest pause between two attempts."""
STARTING = 120_000
"""Milliseconds that a device takes from its start until there is footage again."""
FIRST_FRAME = 10_000
"""Milliseconds from a stream until its first frame, while which it is not frozen."""

_RANK = {cause: rank for rank, cause in enumerate((*(one for one in CAUSES if one != UNKNOWN), CONNECTED))}
_EXACT = frozenset({"not_expected", "maintenance", "clock_stepped"})
"""Begin and end when they say, with nothing before or after."""
_WEAK = {
    UNKNOWN: (NOTICED_AFTER, BACK_AFTER),
    "recorder": (NOTICED_AFTER, BACK_AFTER),
    CONNECTED: (FIRST_FRAME, FIRST_FRAME),
}
"""What gives way to a fault behind or before it, if it lasted no longer than this."""
_OFF = frozenset({"device_off", "power_lost"})


class Known(NamedTuple):
    """What may be a cause held from `start` until `end` (milliseconds). `detail`: more of it, for people."""

    start: int
    end: int
    cause: str
    detail: str = ""


class Part(NamedTuple):
    """A part of a hole with its one cause."""

    start: int
    end: int
    cause: str
    detail: str = ""


def explain(start: int, end: int, known: Iterable[Known]) -> tuple[Part, ...]:
    """The hole from `start` until `end` in parts: together they are the hole, and none overlaps another.

    Each moment has the gravest cause that held then (the order of `known` does not matter), or is unknown. A short
    unknown part before a fault is of that fault, which was not noticed yet; one behind it is, too: what was
    interrupted has to begin again.
    """
    here = [_with_start(one) for one in known if max(one.start, start) < min(one.end, end)]
    edges = sorted({start, end, *(time for one in here for time in one[:2] if start < time < end)})
    found = _complete_parts(_merge_parts(_explained_part(a, b, here) for a, b in pairwise(edges)))
    return _merge_parts(part._replace(cause="dvr_frozen") if part.cause == CONNECTED else part for part in found)


def _with_start(one: Known) -> Known:
    return one._replace(end=one.end + STARTING) if one.cause in _OFF else one


def _explained_part(start: int, end: int, known: Sequence[Known]) -> Part:
    holding = [one for one in known if one.start <= start and one.end >= end and one.cause in _RANK]
    if not holding:
        return Part(start, end, UNKNOWN)
    cause = min(holding, key=lambda one: (_RANK[one.cause], one.start, one.end, one.detail))
    return Part(start, end, cause.cause, cause.detail)


def _complete_parts(parts: Sequence[Part]) -> Iterator[Part]:
    """With short parts that are not sure given to the fault behind or before them."""
    for place, part in enumerate(parts):
        before = parts[place - 1] if place else None
        behind = parts[place + 1] if place + 1 < len(parts) else None
        until_noticed, until_back = _WEAK.get(part.cause, (0, 0))
        if behind is not None and _is_fault(behind) and part.end - part.start <= until_noticed:
            yield part._replace(cause=behind.cause, detail=behind.detail)
        elif before is not None and _is_fault(before) and part.end - part.start <= until_back:
            yield part._replace(cause=before.cause, detail=before.detail)
        else:
            yield part


def _is_fault(part: Part) -> bool:
    return part.cause not in _EXACT and part.cause not in _WEAK


def _merge_parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    found: list[Part] = []
    for part in parts:
        if found and found[-1][2:] == part[2:]:
            found[-1] = found[-1]._replace(end=part.end)
        else:
            found.append(part)
    return tuple(found)
