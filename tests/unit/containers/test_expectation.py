from typing import Any

from vv_exporter.containers.expectation import FORGET_AFTER, MAX_MISSED, expected, gone_for_good, ignored, over_limit
from vv_exporter.containers.records import GONE, ContainerRecord
from vv_exporter.settings import ContainersSettings

NOTHING_LISTED = ContainersSettings()
NOW = 1_000_000.0


def record(name: str = "web", **changes: Any) -> ContainerRecord:
    return ContainerRecord(name=name, id=f"id of {name}", **changes)


def test_a_listed_container_is_expected_whatever_ended_it() -> None:
    for settings in (ContainersSettings(essential=("web",)), ContainersSettings(expected=("web",))):
        assert expected(record(wanted=False, stopped=True), settings)


def test_another_container_is_expected_while_it_is_wanted() -> None:
    assert expected(record(wanted=True), NOTHING_LISTED)
    assert not expected(record(wanted=False), NOTHING_LISTED)


def test_ignored_are_patterns_and_commands_of_compose_run() -> None:
    settings = ContainersSettings(ignore=("builder-*", "scratch"))

    assert ignored("builder-7", one_off=False, settings=settings)
    assert ignored("scratch", one_off=False, settings=settings)
    assert ignored("site-web-run-1", one_off=True, settings=settings)
    assert not ignored("web", one_off=False, settings=settings)


def test_what_is_gone_and_not_expected_is_forgotten_after_an_hour() -> None:
    gone = record(state=GONE, gone_at=NOW)

    assert gone_for_good([gone], NOTHING_LISTED, NOW + FORGET_AFTER - 1) == []
    assert gone_for_good([gone], NOTHING_LISTED, NOW + FORGET_AFTER) == ["web"]


def test_what_is_there_or_expected_is_not_forgotten() -> None:
    records = [
        record("exited", state="exited"),
        record("missed", state=GONE, gone_at=NOW, wanted=True),
        record("listed", state=GONE, gone_at=NOW),
    ]

    assert gone_for_good(records, ContainersSettings(expected=("listed",)), NOW + 10 * FORGET_AFTER) == []


def test_of_too_many_that_are_missed_the_first_to_go_are_forgotten() -> None:
    records = [record(f"job{i}", state=GONE, gone_at=NOW + i, wanted=True) for i in range(MAX_MISSED + 2)]
    listed = [record("listed", state=GONE, gone_at=0.0, wanted=True)]

    assert over_limit([*records, *listed], ContainersSettings(expected=("listed",))) == ["job0", "job1"]
