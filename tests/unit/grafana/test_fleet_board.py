"""The board of a fleet: as it is generated, within Grafana's schema, on series that the centre has."""

import re

from tests.support import grafana
from vv_dashboards import fleet
from vv_exporter.metrics import all_metrics

BOARD = grafana.load(fleet.FILE)
RULES = (grafana.ROOT.parent / "fleet" / "rules" / "fleet.yml").read_text()


def test_the_committed_file_is_what_is_generated() -> None:
    assert fleet.FILE.read_text() == fleet.board().json(), "run: make dashboards"


def test_it_is_within_grafanas_schema() -> None:
    assert grafana.misfits(BOARD) == []


def test_its_series_exist() -> None:
    recorded = set(re.findall(r"record: (\S+)", RULES))
    exposed = {name for metric in all_metrics().values() for name in metric.sample_names()}
    asked = {name for query in grafana.queries(BOARD) for name in re.findall(r"(?:\w+:)?vv_\w+(?::\w+)?", query.expr)}

    assert asked & recorded
    assert asked <= recorded | exposed | {"path:vv_filesystem_free:ratio"}


def test_a_silent_device_stands_before_all_others_and_each_state_has_a_colour() -> None:
    expression = fleet.worst()

    assert max(fleet.STATES) == 4
    assert expression.startswith("sort_desc(")
    assert [word for word, _ in fleet.STATES.values()] == ["silent", "critical", "error", "warning", "well"]
    assert len({colour for _, colour in fleet.STATES.values()}) == 5
