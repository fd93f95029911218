"""What is believed of times that others wrote, how they are shown, and how those that are kept follow the clock."""

import importlib
import math
import pkgutil
from typing import Any

import msgspec
import pytest
from msgspec import inspect

import vv_exporter
from vv_core.common import texts
from vv_exporter.common.clock import isoformat, moment, span, utc
from vv_exporter.common.times import EARLIEST, LONGEST_SECONDS, Move, UnixTime, admitted, admitted_seconds
from vv_exporter.language import speaking
from vv_exporter.state.openalerts import OpenAlert
from vv_exporter.state.store import KINDS

NOW = 1_795_900_000.0
IMPOSSIBLE = [
    -40_000_000_000.0,
    -1.0,
    0.0,
    1.0,
    1.7959e12,
    1.7959e15,
    1.7959e18,
    1e308,
    -1e308,
    math.inf,
    -math.inf,
    math.nan,
]


@pytest.mark.parametrize("time", [*IMPOSSIBLE, NOW + 1, EARLIEST - 1])
def test_a_time_that_cannot_be_true_counts_as_now(time: float) -> None:
    assert admitted(time, NOW) == NOW


@pytest.mark.parametrize("time", [EARLIEST, NOW - 30 * 86400, NOW - 1, NOW])
def test_a_time_that_can_be_true_is_believed(time: float) -> None:
    assert admitted(time, NOW) == time


@pytest.mark.parametrize("seconds", [*IMPOSSIBLE, 1e9])
def test_a_duration_is_between_nothing_and_a_year(seconds: float) -> None:
    assert 0 <= admitted_seconds(seconds) <= LONGEST_SECONDS


@pytest.mark.parametrize("time", [*IMPOSSIBLE, NOW, 253_402_300_800.0, -62_135_596_801.0])
def test_every_time_can_be_shown(time: float) -> None:
    shown = isoformat(time)

    assert len(shown) == len("2026-01-31T23:59:59Z")
    assert moment(shown) is not None
    assert utc(time).tzinfo is not None
    assert span(time)
    assert len(texts.stamp(time)) == len("2026-01-31T23:59:59")


def test_the_year_702_has_four_digits() -> None:
    assert isoformat(-40_000_000_000.0) == "0702-06-15T00:53:20Z"


@pytest.mark.parametrize(
    "text", ["", "yesterday", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999999+23:59", "1e9", None]
)
def test_a_text_is_a_time_or_none(text: Any) -> None:
    found = moment(text)

    assert found is None or isinstance(found, float)


class Kept(msgspec.Struct, frozen=True):
    began: UnixTime
    ended: UnixTime = 0.0
    often: tuple[UnixTime, ...] = ()
    by: dict[str, UnixTime] = {}
    within: "Kept | None" = None
    number: float = 0.0


class TestMove:
    """A clock that was a day ahead since the start of the device, and was put right."""

    BOOTED = NOW + 86400 - 3600
    MOVE = Move(NOW, BOOTED, NOW + 86400, -86400)

    def test_what_was_kept_since_the_start_keeps_its_age(self) -> None:
        kept = Kept(NOW + 86400 - 60, NOW + 86400 - 50, within=Kept(NOW + 86400 - 40), by={"a": NOW + 86400 - 30})

        assert self.MOVE.document(kept) == Kept(NOW - 60, NOW - 50, within=Kept(NOW - 40), by={"a": NOW - 30})

    def test_what_is_of_before_the_start_stays(self) -> None:
        kept = Kept(NOW - 7 * 86400, 0.0, number=NOW + 5)

        assert self.MOVE.document(kept) is kept

    def test_what_lies_in_the_future_without_a_known_step_counts_as_now(self) -> None:
        assert Move(NOW).document(Kept(NOW + 5, by={"a": math.inf})) == Kept(NOW, by={"a": NOW})

    def test_times_that_belong_together_keep_their_distances(self) -> None:
        assert Move(NOW).document(Kept(NOW + 86400 - 60, NOW + 86400)) == Kept(NOW - 60, NOW)

    def test_of_many_alike_one_that_cannot_be_true_is_left_out(self) -> None:
        assert Move(NOW).document(Kept(NOW, often=(NOW - 5, NOW + 5, math.nan))) == Kept(NOW, often=(NOW - 5,))

    def test_a_deadline_comes_sooner_with_the_times_beside_it(self) -> None:
        alert = OpenAlert("1", "k", "error", "t", "c", first=1.8e12, last=1.8e12, ends=1.8e12 + 900)

        moved = Move(NOW).document(alert)

        assert (moved.first, moved.last, moved.ends) == (NOW, NOW, NOW + 900)

    def test_a_deadline_that_is_right_stays(self) -> None:
        alert = OpenAlert("1", "k", "error", "t", "c", first=NOW - 5, last=NOW - 5, ends=NOW + 895)

        assert Move(NOW).document(alert) is alert


NO_TIMES = {
    "Alive.up",  # seconds since the device's start
    "ContainerRecord.started", "Rate.left", "Seen.down", "Seen.started", "Counts.attempts", "Counts.failed_attempts",
    "Counts.given_up", "Counts.reasons",
    "Run.mono", "Run.video_seconds", "Run.given", "Run.limit", "Held.until", "Proof.seconds", "RecentRuns.seconds",
    "ClockOffset.started",
    "LastScrape.time", "PathState.unheard", "OpenAlert.occurrence", "Scraped.value", "Kept.since",
}  # fmt: skip
"""Numbers of stored documents that are no times, or times that must not follow the clock (said where they stand)."""


def test_every_time_that_is_stored_is_declared_as_one() -> None:
    for module in pkgutil.walk_packages(vv_exporter.__path__, "vv_exporter."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)  # it declares its kinds
    found = {name for kind in KINDS.values() for name in floats(inspect.type_info(kind.type))}

    assert found <= NO_TIMES, "say UnixTime or Deadline, or why not"


def floats(node: inspect.Type, name: str = "") -> set[str]:
    if isinstance(node, inspect.StructType):
        return {one for field in node.fields for one in floats(field.type, f"{node.cls.__name__}.{field.name}")}
    if isinstance(node, inspect.Metadata):
        return set()
    if isinstance(node, inspect.UnionType):
        return {one for part in node.types for one in floats(part, name)}
    if isinstance(node, inspect.VarTupleType):
        return floats(node.item_type, name)
    if isinstance(node, inspect.DictType):
        return floats(node.value_type, name)
    return {name} if isinstance(node, inspect.FloatType) else set()


@pytest.mark.parametrize(("language", "shown"), [("en", "4.6 s"), ("pt-BR", "4,6 s")])
def test_a_duration_has_the_decimal_point_of_the_language(language: str, shown: str) -> None:
    with speaking(language):
        assert span(4.6) == shown
