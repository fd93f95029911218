"""Sets of intervals: sorted, apart from each other, each (start, end) with start < end, the end not included.

Whole milliseconds, so that what is added in pieces is what is added at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

Span = tuple[int, int]
Spans = tuple[Span, ...]


def union(spans: Iterable[Span]) -> Spans:
    """All of them as one set, whatever their order; those that overlap or touch become one, empty ones none."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        elif start < end:
            found.append((start, end))
    return tuple(found)


def total(spans: Iterable[Span]) -> int:
    """How long they are together."""
    return sum(end - start for start, end in spans)


def clipped(spans: Iterable[Span], start: int, end: int) -> Spans:
    """The part of a set between two times."""
    return tuple((max(a, start), min(b, end)) for a, b in spans if max(a, start) < min(b, end))


def gaps(spans: Iterable[Span], start: int, end: int) -> Spans:
    """What a set leaves out between two times."""
    at, found = start, []
    for a, b in clipped(spans, start, end):
        if at < a:
            found.append((at, a))
        at = b
    if at < end:
        found.append((at, end))
    return tuple(found)


def common(some: Iterable[Span], others: Iterable[Span]) -> Spans:
    """What lies in both of two sets."""
    return tuple(_common_spans(iter(some), iter(others)))


def _common_spans(some: Iterator[Span], others: Iterator[Span]) -> Iterator[Span]:
    one, other = next(some, None), next(others, None)
    while one is not None and other is not None:
        start, end = max(one[0], other[0]), min(one[1], other[1])
        if start < end:
            yield start, end
        if one[1] <= other[1]:
            one = next(some, None)
        else:
            other = next(others, None)


def coalesced(spans: Spans, most: int) -> tuple[Spans, int]:
    """At most so many: the shortest gaps are closed, the earliest of those that are equally long first.

    Gives how long the closed gaps are together, too: so much of the set is not covered.
    """
    if len(spans) <= most:
        return spans, 0
    lengths = [(after[0] - before[1], place) for place, (before, after) in enumerate(pairwise(spans))]
    closing = {place for _, place in sorted(lengths)[: len(spans) - most]}
    found = [spans[0]]
    for place, span in enumerate(spans[1:]):
        if place in closing:
            found[-1] = found[-1][0], span[1]
        else:
            found.append(span)
    return tuple(found), sum(length for length, place in lengths if place in closing)
