"""For how long containers are down, and which of them crashed: what the looks and the Engine's clock say."""

import pytest

from vv_exporter.containers.downtimes import Downtimes, has_crashed
from vv_exporter.containers.observed import SECOND, SWARM_PLACE
from vv_exporter.containers.records import GONE, ContainerRecord
from vv_exporter.containers.runs import replace

ENDED = ContainerRecord(
    name="web", id="a", state="exited", started=900 * SECOND, finished=1000 * SECOND, exit_code=1, wanted=True
)


def seconds(downtimes: Downtimes, *down: ContainerRecord, clock: float, monotonic: float) -> list[float]:
    return [found for _, found in downtimes.update(down, clock, monotonic)]


def test_a_death_between_two_looks_is_as_old_as_the_engine_says_and_is_measured_from_there_on() -> None:
    downtimes = Downtimes()
    downtimes.update([], 999.5, 50.0)

    assert seconds(downtimes, ENDED, clock=1001.5, monotonic=52.0) == [1.5]
    assert seconds(downtimes, ENDED, clock=5000.0, monotonic=54.0) == [3.5], "the clock was set"


@pytest.mark.parametrize("clock", [1001.0, 9000.0])
def test_it_was_not_down_at_the_look_before_whatever_the_engines_clock_shows(clock: float) -> None:
    downtimes = Downtimes()
    downtimes.update([], clock - 1, 50.0)

    assert seconds(downtimes, ENDED, clock=clock, monotonic=51.0) == [1.0]


@pytest.mark.parametrize("record", [ENDED, replace(ENDED, finished=0)])
def test_what_was_down_at_the_first_look_is_down_from_then_on(record: ContainerRecord) -> None:
    downtimes = Downtimes()

    assert seconds(downtimes, record, clock=2000.0, monotonic=50.0) == [0.0]
    assert seconds(downtimes, record, clock=2002.0, monotonic=52.0) == [2.0]


def test_a_death_that_is_yet_to_come_by_the_engines_clock_begins_at_the_look() -> None:
    downtimes = Downtimes()
    downtimes.update([], 900.0, 50.0)

    assert seconds(downtimes, ENDED, clock=902.0, monotonic=52.0) == [0.0]


def test_what_nobody_knows_is_no_time_in_which_it_was_down() -> None:
    """As while the Engine is restarted, also of what ended as it went, and is known only afterwards."""
    downtimes = Downtimes()
    downtimes.update([], 999.0, 49.0)
    assert seconds(downtimes, ENDED, clock=1001.0, monotonic=51.0) == [1.0]
    for monotonic in (53.0, 90.0):
        known = downtimes.update([ENDED], monotonic + 950.0, monotonic, current=False)
        assert [found for _, found in known] == [1.0]
    other = replace(ENDED, name="db", finished=1020 * SECOND)

    assert seconds(downtimes, ENDED, other, clock=1042.0, monotonic=92.0) == [3.0, 2.0]
    assert seconds(downtimes, ENDED, other, clock=1043.0, monotonic=93.0) == [4.0, 3.0]


def test_each_run_is_down_for_itself_and_what_is_up_is_forgotten() -> None:
    downtimes = Downtimes()
    downtimes.update([ENDED], 1000.0, 50.0)
    again = replace(ENDED, started=1003 * SECOND, finished=1004 * SECOND)
    recreated = replace(again, id="b")

    assert seconds(downtimes, again, clock=1004.5, monotonic=54.5) == [0.5]
    downtimes.update([], 1006.0, 56.0)
    assert seconds(downtimes, again, clock=1008.0, monotonic=58.0) == [2.0]
    assert seconds(downtimes, again, recreated, clock=1009.0, monotonic=59.0) == [3.0, 1.0]


@pytest.mark.parametrize(
    ("record", "crashed"),
    [
        (ENDED, True),
        (replace(ENDED, state="dead"), True),
        (replace(ENDED, state="restarting"), False),
        (replace(ENDED, state="created"), False),
        (replace(ENDED, state=GONE), False),
        (replace(ENDED, stopped=True), False),
        (replace(ENDED, booting=True), False),
        (replace(ENDED, finished=0), False),
        (replace(ENDED, name="supervised"), False),
        (replace(ENDED, place=f"{SWARM_PLACE}web.1"), False),
        (replace(ENDED, place="compose:web.1"), True),
    ],
)
def test_what_nothing_starts_again_has_crashed(record: ContainerRecord, crashed: bool) -> None:
    assert has_crashed(record, {"supervised"}) is crashed
