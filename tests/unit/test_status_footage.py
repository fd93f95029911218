"""Footage on the status: how much is there, what is missing now; what was not expected is neither fine nor missing."""

import pytest

from vv_exporter.metrics import gauges
from vv_exporter.metrics.footage import (
    FOOTAGE_DAY_RATIO,
    FOOTAGE_LATEST,
    FOOTAGE_MISSING_LIMIT,
    FOOTAGE_OPEN,
    FOOTAGE_RECENT,
)
from vv_exporter.status import Known, Status, Table, sections, status

NOW = 1_700_000_000.0


def of(ratio: float | None, recent: float = 0.0, open_since: float | None = None) -> Status:
    families = [
        gauges(FOOTAGE_LATEST, [(("gate", "recorded"), NOW - 100)]),
        gauges(FOOTAGE_MISSING_LIMIT, [((), 60)]),
        gauges(FOOTAGE_DAY_RATIO, [(("gate",), ratio)] if ratio is not None else []),
        gauges(FOOTAGE_RECENT, [(("gate", "recorder"), recent)] if recent else []),
        gauges(FOOTAGE_OPEN, [(("gate", "recorder"), open_since)] if open_since is not None else []),
    ]
    return status(families, Known(alerts=[], alerts_time=NOW), "edge-1", NOW)


def table(found: Status) -> Table:
    (one,) = [table for table in sections(found) if table.id == "footage"]
    return one


def troubles(found: Status) -> list[str]:
    return [one for one in found.troubles if "footage" in one]


def test_a_camera_of_which_all_is_there_is_fine() -> None:
    found = of(1.0)

    assert [cell.text for cell in table(found).rows[0]] == ["gate", "100 %", "–", "100 s ago"]
    assert table(found).level == "good"
    assert troubles(found) == []


def test_what_is_missing_now_is_said_with_its_cause() -> None:
    found = of(0.9, 600, NOW - 780)

    assert [cell.text for cell in table(found).rows[0]][1:3] == ["90 %", "for 13 min"]
    assert table(found).rows[0][2].note == "frames came, and nothing was recorded"
    assert table(found).level == "bad"
    assert troubles(found) == [
        "footage of gate is missing for 13 min (frames came, and nothing was recorded): `vv footage`"
    ]


@pytest.mark.parametrize(("ratio", "shown"), [(0.99999, "99.9 %"), (0.9994, "99.9 %"), (0.0, "0 %"), (0.125, "12.5 %")])
def test_a_share_is_not_rounded_up_to_all(ratio: float, shown: str) -> None:
    assert table(of(ratio)).rows[0][1].text == shown


def test_a_hole_that_is_over_is_to_be_looked_at_and_wrong_no_more() -> None:
    found = of(0.9, 600)

    assert table(found).rows[0][1].note == "10 min missing of the last hour"
    assert table(found).level == "warning"
    assert troubles(found) == []


def test_a_short_hole_is_no_trouble() -> None:
    assert troubles(of(0.9, 30, NOW - 200)) == []


def test_of_what_was_not_expected_no_share_is_made_up() -> None:
    found = of(None)

    assert table(found).rows[0][1].text == "nothing was expected"
    assert found.footage[0].share is None
