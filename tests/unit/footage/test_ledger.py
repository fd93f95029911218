"""The ledger: what is noted is there, once, whatever its order; what cannot be is refused; old days go."""

import random
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.clock import Clock
from vv_exporter.footage import ledger
from vv_exporter.footage.intervals import Span, gaps, total, union
from vv_exporter.footage.ledger import (
    CAMERAS,
    DAY,
    DAYS,
    KEEP_DAYS,
    MAX_SPANS,
    add_footage,
    closed_of,
    forget_old,
    key_of,
    latest_of,
    spans_of,
)
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.metrics.footage import FOOTAGE_REFUSED, FOOTAGE_SECONDS
from vv_exporter.state.store import Store

NOW = 1_700_000_000_000
MIDNIGHT = NOW // DAY * DAY


def noted(store: Store, *spans: Span, join: int = 0, step: str = "recorded") -> None:
    with store.transaction() as tx:
        for start, end in spans:
            add_footage(tx, "gate", step, start, end, join)


def found(store: Store, start: int, end: int, step: str = "recorded") -> tuple[Span, ...]:
    return spans_of(lambda key: store.document(DAYS, key), "gate", step, start, end)


def test_pieces_that_overlap_or_come_twice_count_once(store: Store) -> None:
    a = MIDNIGHT + 3_600_000

    noted(store, (a, a + 60_000), (a + 30_000, a + 90_000), (a, a + 60_000))

    assert found(store, MIDNIGHT, NOW) == ((a, a + 90_000),)
    assert store.value(FOOTAGE_SECONDS, ("gate", "recorded")) == 90


def test_a_piece_across_midnight_is_one(store: Store) -> None:
    noted(store, (MIDNIGHT - 30_000, MIDNIGHT + 30_000))

    assert found(store, MIDNIGHT - DAY, NOW) == ((MIDNIGHT - 30_000, MIDNIGHT + 30_000),)
    assert store.count(DAYS) == 2
    assert store.value(FOOTAGE_SECONDS, ("gate", "recorded")) == 60


@pytest.mark.parametrize(("gap", "is_a_hole"), [(0, False), (2000, False), (2001, True)])
@pytest.mark.parametrize("at", [MIDNIGHT, MIDNIGHT + 3_600_000])
@pytest.mark.parametrize("late", [False, True])
def test_a_hole_of_no_length_is_none(store: Store, at: int, gap: int, is_a_hole: bool, late: bool) -> None:
    pieces = [(at - 60_000, at), (at + gap, at + gap + 60_000)]

    for piece in reversed(pieces) if late else pieces:
        noted(store, piece, join=2000)

    assert bool(gaps(found(store, MIDNIGHT - DAY, NOW), *(pieces[0][0], pieces[1][1]))) == is_a_hole


def test_steps_and_cameras_are_apart(store: Store) -> None:
    noted(store, (NOW - 60_000, NOW), step="received")

    assert found(store, NOW - DAY, NOW) == ()
    assert found(store, NOW - DAY, NOW, "received") == ((NOW - 60_000, NOW),)


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (NOW - 1000, NOW - 1000, "length"),
        (NOW - 1000, NOW - 2000, "length"),
        (NOW - DAY - 1, NOW, "length"),
        (NOW, NOW + 1000, "future"),
        (NOW - 1000, NOW + 60_001, "future"),
        (1000, 2000, "past"),
        (-(10**18), -(10**18) + 5, "past"),
    ],
)
def test_what_cannot_be_is_refused_and_counted(store: Store, start: int, end: int, reason: str) -> None:
    noted(store, (start, end))

    assert store.value(FOOTAGE_REFUSED, (reason,)) == 1
    assert store.count(DAYS) == store.count(CAMERAS) == 0


def test_what_is_to_come_is_cut_off(store: Store) -> None:
    noted(store, (NOW - 1000, NOW + 5000))

    assert found(store, NOW - DAY, NOW + DAY) == ((NOW - 1000, NOW),)


def test_a_day_of_too_many_holes_closes_the_shortest_and_says_so(store: Store) -> None:
    pieces = [(MIDNIGHT + 100_000 * n, MIDNIGHT + 100_000 * n + 50_000 + n) for n in range(MAX_SPANS)]
    long = (MIDNIGHT - DAY, MIDNIGHT - DAY + 1000)
    with store.transaction() as tx:
        tx.now = (MIDNIGHT + 2 * DAY) / 1000
        for start, end in [long, *pieces]:
            add_footage(tx, "gate", "recorded", start, end)
        extra = MIDNIGHT + 100_000 * MAX_SPANS
        add_footage(tx, "gate", "recorded", extra, extra + 5)

    kept = found(store, MIDNIGHT, MIDNIGHT + DAY)
    shortest = 50_000 - (MAX_SPANS - 1)
    assert len(kept) == MAX_SPANS
    assert closed_of(lambda key: store.document(DAYS, key), "gate", "recorded", MIDNIGHT, MIDNIGHT + DAY) == shortest
    assert store.value(SERIES_LIMITED, (FOOTAGE_SECONDS.name,)) == 1
    assert store.value(FOOTAGE_SECONDS, ("gate", "recorded")) == pytest.approx((total([long, *pieces]) + 5) / 1000)


def test_the_oldest_days_go(store: Store, clock: Clock) -> None:
    noted(store, (NOW - 60_000, NOW))
    clock.advance((KEEP_DAYS + 1) * DAY / 1000)
    later = NOW + (KEEP_DAYS + 1) * DAY
    noted(store, (later - 60_000, later))

    with store.transaction() as tx:
        assert forget_old(tx, clock()) == 1

    assert list(store.docs(DAYS)) == [key_of("gate", "recorded", later // DAY)]
    assert store.value(SERIES_LIMITED, (FOOTAGE_SECONDS.name,)) is None


def test_of_too_many_days_the_oldest_go_and_are_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_DAYS", 3)
    noted(store, *((NOW - n * DAY - 60_000, NOW - n * DAY) for n in range(5)))

    with store.transaction() as tx:
        forget_old(tx, NOW / 1000)

    assert sorted(store.docs(DAYS)) == [key_of("gate", "recorded", NOW // DAY - n) for n in (2, 1, 0)]
    assert store.value(SERIES_LIMITED, (FOOTAGE_SECONDS.name,)) == 2


def test_the_latest_footage_is_known_whatever_came_last(store: Store) -> None:
    noted(store, (NOW - 60_000, NOW), (NOW - 3 * DAY, NOW - 3 * DAY + 5))

    camera = store.docs(CAMERAS)["gate"]
    assert latest_of(lambda key: store.document(DAYS, key), camera, "recorded") == NOW
    assert latest_of(lambda key: store.document(DAYS, key), camera, "signed") is None
    assert camera.since == NOW - 3 * DAY


PIECES = st.lists(
    st.tuples(st.integers(-200, 400), st.integers(1, 120)).map(lambda one: (one[0] * 100, (one[0] + one[1]) * 100)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(PIECES, st.sampled_from([0, 700, 2000]), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_matters(pieces: list[Span], join: int, shuffled: random.Random) -> None:
    """Around midnight; what is there is the union, with the gaps closed that are no longer than `join`."""
    pieces = [(MIDNIGHT - DAY + start, MIDNIGHT - DAY + end) for start, end in pieces]
    wanted = union(pieces)
    wanted = union([*wanted, *((a, b) for a, b in gaps(wanted, wanted[0][0], wanted[-1][1]) if b - a <= join)])
    again = [*pieces, *pieces]
    shuffled.shuffle(again)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "state.db", Clock())
        for half in (again[::2], again[1::2]):
            noted(store, *half, join=join)
        kept = found(store, MIDNIGHT - 3 * DAY, NOW)
        counted = store.value(FOOTAGE_SECONDS, ("gate", "recorded"))
        store.close()

    assert kept == wanted
    assert counted == pytest.approx(total(wanted) / 1000)


def test_a_year_of_ten_cameras_is_small(store: Store, clock: Clock) -> None:
    """All five steps, and thirty holes in each day of each. Counted in one day: all days are alike."""
    with store.transaction() as tx:
        for n in range(31):
            at = MIDNIGHT - DAY + n * DAY // 31
            add_footage(tx, "a camera of some name", "summarised", at, at + DAY // 40)
    (key, day), *_ = store.docs(DAYS).items()

    assert len(day.spans) == 62
    assert (len(msgspec.json.encode(day)) + len(key)) * 10 * 5 * 365 < 20_000_000
