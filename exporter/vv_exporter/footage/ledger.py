"""The ledger: per camera, step and day (UTC) the intervals of which there is footage.

Pieces may overlap, come late, twice and in any order: a second counts once. A day that has more than
`MAX_SPANS` intervals closes its shortest holes, which is counted (`vv_series_limited_total`); beyond `KEEP_DAYS` or
`MAX_DAYS` the oldest days go.

Times do not follow a clock that is set, as other kept times do: the footage itself does not either, and the ledger is
to be compared with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from vv_exporter.footage.intervals import Span, Spans, clipped, coalesced, total, union
from vv_exporter.language import translatable
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.metrics.footage import FOOTAGE_REFUSED, FOOTAGE_SECONDS
from vv_exporter.state.store import Kind, Transaction

STEPS = (
    translatable("received"),
    translatable("recorded"),
    translatable("analysed"),
    translatable("summarised"),
    translatable("signed"),
)
DAY = 86_400_000
MAX_SPANS = 500  # of a camera, step and day
MAX_CAMERAS = 500
KEEP_DAYS = 400
MAX_DAYS = 40_000
"""Days of all cameras and steps together; ten cameras have 18,250 a year."""
MAX_PIECE = DAY
"""Longer than a file of footage is."""
AHEAD = 60_000
"""By how much a piece may end in the future: clocks of two machines differ. What is to come is cut off."""
_EARLIEST = 946_684_800_000  # 2000-01-01: as `common.times.EARLIEST`


class Day(msgspec.Struct, frozen=True, omit_defaults=True):
    """A day's intervals, in milliseconds of that day: start, end, start, end, … `closed` of them are holes closed."""

    spans: tuple[int, ...]
    closed: int = 0


class Camera(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a camera: when its first footage begins, by step the first and the latest day with any.

    `longest` is the longest piece of a recording, after which it is too late for one that is missing.
    """

    dvr: str
    since: int
    first: dict[str, int]
    latest: dict[str, int]
    longest: int = 0


DAYS: Kind[Day] = Kind("footage_day", Day)
CAMERAS: Kind[Camera] = Kind("footage_camera", Camera, MAX_CAMERAS, FOOTAGE_SECONDS, lambda camera: camera.dvr)

Get = Callable[[str], Day | None]
"""A day by its key: of a transaction, or of the store."""


def milliseconds(seconds: float) -> int:
    """Unix seconds as the ledger has them."""
    return round(seconds * 1000)


def key_of(dvr: str, step: str, day: int) -> str:
    """The key of a day."""
    return f"{day}\n{step}\n{dvr}"


def add_footage(tx: Transaction, dvr: str, step: str, start: int, end: int, join: int = 0) -> int:
    """There is footage between two times. Holes of up to `join` beside it are none.

    Gives how many milliseconds it is that were not there before. What cannot be is counted, and changes nothing.
    """
    reason = problem_of(start, end, tx.now)
    if reason:
        tx.inc(FOOTAGE_REFUSED, (reason,))
        return 0
    end = min(end, milliseconds(tx.now))
    longer = _prolong_last(tx, dvr, step, start, end, join)
    if longer:
        return longer
    start, end = _join_piece(_day_getter(tx), dvr, step, start, end, join)
    grown, dropped = 0, 0
    for day, span in _by_day(start, end):
        more, less = _add_span(tx, key_of(dvr, step, day), span)
        grown, dropped = grown + more, dropped + less
    if grown > 0:
        tx.inc(FOOTAGE_SECONDS, (dvr, step), grown / 1000)
        _know_camera(tx, dvr, step, start, end)
    if dropped:
        tx.inc(SERIES_LIMITED, (FOOTAGE_SECONDS.name,), dropped)
    return grown


def problem_of(start: int, end: int, now: float) -> str:
    """Why a piece cannot be footage, in a word; empty if it can be."""
    if not 0 < end - start <= MAX_PIECE:
        return "length"
    if start < _EARLIEST:
        return "past"
    latest = milliseconds(now)
    return "future" if start >= latest or end > latest + AHEAD else ""


def spans_of(get: Get, dvr: str, step: str, start: int, end: int) -> Spans:
    """The intervals of a camera and step between two times."""
    found: list[Span] = []
    for day in range(start // DAY, (end - 1) // DAY + 1):
        kept = get(key_of(dvr, step, day))
        if kept is not None:
            found += _spans_of_day(kept, day)
    return clipped(union(found), start, end)


def closed_of(get: Get, dvr: str, step: str, start: int, end: int) -> int:
    """How long the holes are that were closed for want of room, on the days between two times."""
    days = (get(key_of(dvr, step, day)) for day in range(start // DAY, (end - 1) // DAY + 1))
    return sum(day.closed for day in days if day is not None)


def latest_of(get: Get, camera: Camera | None, step: str) -> int | None:
    """When the latest footage of a step ends."""
    day = camera.latest.get(step) if camera is not None else None
    kept = None if day is None or camera is None else get(key_of(camera.dvr, step, day))
    return None if kept is None or day is None else day * DAY + kept.spans[-1]


def forget_old(tx: Transaction, now: float) -> int:
    """Drop days that are too old, then the oldest beyond what may be kept; gives how many. The latter are counted."""
    today = milliseconds(now) // DAY
    keys = sorted(tx.docs(DAYS), key=_day_of)
    old = [key for key in keys if _day_of(key) < today - KEEP_DAYS]
    beyond = keys[len(old) : len(old) + max(len(keys) - len(old) - MAX_DAYS, 0)]
    for key in (*old, *beyond):
        tx.delete(DAYS, key)
    if beyond:
        tx.inc(SERIES_LIMITED, (FOOTAGE_SECONDS.name,), len(beyond))
    return len(old) + len(beyond)


def _day_getter(tx: Transaction) -> Get:
    return lambda key: tx.get(DAYS, key)


def _day_of(key: str) -> int:
    return int(key.partition("\n")[0])


def _spans_of_day(kept: Day, day: int) -> Iterator[Span]:
    begin = day * DAY
    return ((begin + a, begin + b) for a, b in zip(kept.spans[::2], kept.spans[1::2], strict=True))


def _join_piece(get: Get, dvr: str, step: str, start: int, end: int, join: int) -> Span:
    """The piece with the holes beside it that are none, also across midnight."""
    before = spans_of(get, dvr, step, start - join - 1, start)
    if before and start - join <= before[-1][1]:
        start = before[-1][1]
    after = spans_of(get, dvr, step, end, end + join + 1)
    if after and after[0][0] <= end + join:
        end = after[0][0]
    return start, end


def _prolong_last(tx: Transaction, dvr: str, step: str, start: int, end: int, join: int) -> int:
    """Let the last interval of a day be longer, if the piece goes on where it ends: nearly always, and quickly done."""
    day, begin = start // DAY, start // DAY * DAY
    key = key_of(dvr, step, day)
    known = tx.get(DAYS, key)
    if known is None or end + join >= begin + DAY:
        return 0
    last_start, last_end = begin + known.spans[-2], begin + known.spans[-1]
    if not last_start <= start <= last_end + join or end <= last_end:
        return 0
    tx.put(DAYS, key, Day((*known.spans[:-1], end - begin), known.closed))
    tx.inc(FOOTAGE_SECONDS, (dvr, step), (end - last_end) / 1000)
    return end - last_end


def _by_day(start: int, end: int) -> Iterator[tuple[int, Span]]:
    while start < end:
        day = start // DAY
        midnight = (day + 1) * DAY
        yield day, (start - day * DAY, min(end, midnight) - day * DAY)
        start = midnight


def _add_span(tx: Transaction, key: str, span: Span) -> tuple[int, int]:
    """Give how much longer the day's footage is, and how many of its holes were closed for want of room."""
    before = tx.get(DAYS, key) or Day(())
    spans = tuple(_spans_of_day(before, 0))
    merged = union((*spans, span))
    if merged == spans:
        return 0, 0
    kept, closed = coalesced(merged, MAX_SPANS)
    after = Day(tuple(time for pair in kept for time in pair), before.closed + closed)
    tx.put(DAYS, key, after)
    return total(merged) - total(spans), len(merged) - len(kept)


def _know_camera(tx: Transaction, dvr: str, step: str, start: int, end: int) -> None:
    known = tx.get(CAMERAS, dvr) or Camera(dvr, start, {}, {})
    first, latest = start // DAY, (end - 1) // DAY
    more = msgspec.structs.replace(
        known,
        since=min(known.since, start),
        first={**known.first, step: min(known.first.get(step, first), first)},
        latest={**known.latest, step: max(known.latest.get(step, latest), latest)},
        longest=known.longest,
    )
    if more != known or tx.get(CAMERAS, dvr) is None:
        tx.put(CAMERAS, dvr, more)
