"""Each moment of a hole has one cause, and the parts are the hole, whatever is known and in whatever order."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vv_exporter.footage.causes import CAUSES, UNKNOWN, Known, Part, explain

HOUR = 3_600_000
MINUTE = 60_000


def parts(*known: Known, start: int = 0, end: int = HOUR) -> list[tuple[int, int, str]]:
    return [part[:3] for part in explain(start, end, known)]


def test_of_nothing_known_the_cause_is_unknown() -> None:
    assert parts() == [(0, HOUR, UNKNOWN)]


def test_a_cause_holds_as_long_as_it_lasted() -> None:
    known = Known(10 * MINUTE, 50 * MINUTE, "dvr_down", "refused")

    assert explain(0, HOUR, [known]) == (
        Part(0, 10 * MINUTE, UNKNOWN),
        Part(10 * MINUTE, 50 * MINUTE, "dvr_down", "refused"),
        Part(50 * MINUTE, HOUR, UNKNOWN),
    )


def test_what_is_noticed_late_began_with_the_hole_and_what_comes_back_late_belongs_to_it() -> None:
    assert parts(Known(MINUTE, HOUR - MINUTE, "dvr_down")) == [(0, HOUR, "dvr_down")]
    assert parts(Known(MINUTE + 1, HOUR - MINUTE - 1, "dvr_down")) == [
        (0, MINUTE + 1, UNKNOWN),
        (MINUTE + 1, HOUR - MINUTE - 1, "dvr_down"),
        (HOUR - MINUTE - 1, HOUR, UNKNOWN),
    ]


@pytest.mark.parametrize("cause", ["maintenance", "not_expected"])
def test_what_says_when_it_was_reaches_no_further(cause: str) -> None:
    assert parts(Known(MINUTE, HOUR - MINUTE, cause)) == [
        (0, MINUTE, UNKNOWN),
        (MINUTE, HOUR - MINUTE, cause),
        (HOUR - MINUTE, HOUR, UNKNOWN),
    ]


@pytest.mark.parametrize("around", [UNKNOWN, "recorder"])
def test_the_rest_of_a_file_in_which_the_clock_was_set_is_missing_because_of_that(around: str) -> None:
    """Its name says where it began, and nothing says which of it was written after the clock was set."""
    known = [Known(MINUTE, HOUR - MINUTE, "clock_stepped")] + ([] if around == UNKNOWN else [Known(0, HOUR, around)])

    assert parts(*known) == [(0, HOUR, "clock_stepped")]


@pytest.mark.parametrize(("graver", "other"), list(pairwise(list(CAUSES)[:-1])))
def test_of_two_causes_the_graver_counts(graver: str, other: str) -> None:
    both = [Known(0, HOUR, other), Known(0, HOUR, graver)]

    assert parts(*both) == parts(*reversed(both)) == [(0, HOUR, graver)]


def test_a_device_that_starts_again_needs_a_while() -> None:
    off, crashed = Known(0, 10 * MINUTE, "power_lost"), Known(-5, HOUR, "agent_crashed")

    assert parts(off, crashed, end=12 * MINUTE) == [(0, 12 * MINUTE, "power_lost")]
    assert parts(off, crashed) == [(0, 12 * MINUTE, "power_lost"), (12 * MINUTE, HOUR, "agent_crashed")]
    assert parts(off, crashed, start=11 * MINUTE) == [(11 * MINUTE, HOUR, "agent_crashed")]


def test_frames_that_stay_away_from_a_stream_are_a_frozen_dvr_but_not_in_passing() -> None:
    stream = Known(10 * MINUTE, HOUR, "connected")

    assert parts(stream, start=10 * MINUTE) == [(10 * MINUTE, HOUR, "dvr_frozen")]
    down = Known(0, 10 * MINUTE, "dvr_down")
    assert parts(down, stream, end=10 * MINUTE + 3000) == [(0, 10 * MINUTE + 3000, "dvr_down")]


def test_a_cause_that_a_later_version_knew_is_unknown() -> None:
    assert parts(Known(0, HOUR, "sunspots")) == [(0, HOUR, UNKNOWN)]


TIMES = st.integers(-10, 300).map(lambda seconds: seconds * 1000)
KNOWN = st.lists(st.builds(Known, TIMES, TIMES, st.sampled_from([*CAUSES, "connected"]), st.sampled_from(["", "a"])))


@given(st.integers(0, 100), st.integers(1, 200), KNOWN, st.randoms(use_true_random=False))
def test_parts_are_the_hole_and_order_does_not_matter(
    start: int, length: int, known: list[Known], shuffled: random.Random
) -> None:
    start, end = start * 1000, (start + length) * 1000
    found = explain(start, end, known)

    assert [part.start for part in found] == [start, *(part.end for part in found[:-1])]
    assert found[-1].end == end
    assert all(part.start < part.end and part.cause in CAUSES for part in found)
    assert all(before[2:] != after[2:] for before, after in pairwise(found))
    shuffled.shuffle(known)
    assert explain(start, end, known) == found


@given(st.integers(1, 200), KNOWN)
def test_a_part_has_a_cause_that_held_or_was_about_to(length: int, known: list[Known]) -> None:
    end = length * 1000
    for part in explain(0, end, known):
        if part.cause == UNKNOWN:
            held = [one for one in known if one.start <= part.start and one.end >= part.end and one.cause != UNKNOWN]
            assert not held
        else:
            assert [one for one in known if part.cause in (one.cause, {"connected": "dvr_frozen"}.get(one.cause))]
