"""Why a piece of footage is missing: one function of the hole and of what is known of its time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

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
_EXACT = frozenset({"not_expected", "maintenance"})
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
    here = [_with_start(one) for one in known if max(one.start, start) < min(one.end, end) and one.cause in _RANK]
    if not here:
        return (Part(start, end, UNKNOWN),)
    found = _merged_pieces(_pieces(start, end, here))
    _complete_pieces(found)
    for piece in found:
        if piece[2] == CONNECTED:
            piece[2] = "dvr_frozen"
    return tuple(Part(*piece) for piece in _merged_pieces(found))


_Piece = list[Any]
"""Start, end, cause and detail of a part that is still changed; a year has tens of thousands of them."""


def _with_start(one: Known) -> Known:
    return Known(one.start, one.end + STARTING, one.cause, one.detail) if one.cause in _OFF else one


def _pieces(start: int, end: int, here: Sequence[Known]) -> Iterator[_Piece]:
    """From edge to edge, each with the gravest cause that held."""
    edges = sorted({start, end, *(time for one in here for time in one[:2] if start < time < end)})
    for begin, until in pairwise(edges):
        holding = [one for one in here if one.start <= begin and one.end >= until]
        if holding:
            one = holding[0] if len(holding) == 1 else min(holding, key=_rank_of)
            yield [begin, until, one.cause, one.detail]
        else:
            yield [begin, until, UNKNOWN, ""]


def _rank_of(one: Known) -> tuple[int, int, int, str]:
    return _RANK[one.cause], one.start, one.end, one.detail


def _complete_pieces(pieces: Sequence[_Piece]) -> None:
    """Give short pieces that are not sure to the fault behind or before them."""
    causes = [(cause, detail, cause not in _EXACT and cause not in _WEAK) for _, _, cause, detail in pieces]
    for place, piece in enumerate(pieces):
        if piece[2] not in _WEAK:
            continue
        lasted, (until_noticed, until_back) = piece[1] - piece[0], _WEAK[piece[2]]
        if place + 1 < len(pieces) and causes[place + 1][2] and lasted <= until_noticed:
            piece[2:] = causes[place + 1][:2]
        elif place and causes[place - 1][2] and lasted <= until_back:
            piece[2:] = causes[place - 1][:2]


def _merged_pieces(pieces: Iterable[_Piece]) -> list[_Piece]:
    found: list[_Piece] = []
    for piece in pieces:
        if found and found[-1][2] == piece[2] and found[-1][3] == piece[3]:
            found[-1][1] = piece[1]
        else:
            found.append(piece)
    return found
