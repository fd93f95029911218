"""Sets of intervals do what sets of their single milliseconds would do."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from vv_exporter.footage.intervals import Span, clipped, coalesced, common, gaps, total, union

TIMES = st.integers(0, 60)
SPANS = st.lists(st.tuples(TIMES, TIMES), max_size=12)


def moments(spans: object) -> set[int]:
    return {time for start, end in spans for time in range(start, end)}  # type: ignore[attr-defined]


def is_set(spans: tuple[Span, ...]) -> bool:
    edges = [time for span in spans for time in span]
    return edges == sorted(set(edges))


@given(SPANS)
def test_a_union_holds_each_moment_once(spans: list[Span]) -> None:
    found = union(spans)

    assert is_set(found)
    assert moments(found) == moments(spans)
    assert total(found) == len(moments(spans))


@given(SPANS, TIMES, TIMES)
def test_gaps_are_what_is_left_out(spans: list[Span], start: int, end: int) -> None:
    found = gaps(union(spans), start, end)

    assert is_set(found)
    assert moments(found) == set(range(start, end)) - moments(spans)


@given(SPANS, TIMES, TIMES)
def test_a_clipped_set_lies_between_both_times(spans: list[Span], start: int, end: int) -> None:
    assert moments(clipped(union(spans), start, end)) == moments(spans) & set(range(start, end))


@given(SPANS, SPANS)
def test_what_is_common_lies_in_both(some: list[Span], others: list[Span]) -> None:
    found = common(union(some), union(others))

    assert is_set(found)
    assert moments(found) == moments(some) & moments(others)


@given(SPANS, st.integers(1, 5))
def test_a_coalesced_set_closes_its_shortest_gaps(spans: list[Span], most: int) -> None:
    before = union(spans)

    after, closed = coalesced(before, most)

    assert is_set(after)
    assert len(after) == min(len(before), most)
    assert total(after) - closed == total(before)
    between = [b[0] - a[1] for a, b in itertools.pairwise(before)]
    left = [b[0] - a[1] for a, b in itertools.pairwise(after)]
    assert sorted(left) == sorted(between)[len(between) - len(left) :]
