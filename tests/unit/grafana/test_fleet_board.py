"""The boards of a fleet: as they are generated, within Grafana's schema, on series that the centre has."""

import re
from pathlib import Path

import pytest
import yaml

from tests.support import grafana
from vv_dashboards import fleet
from vv_exporter.metrics import all_metrics
from vv_exporter.render.agent import KEPT

CENTRE = grafana.ROOT.parent / "fleet"
RULES = (CENTRE / "rules" / "fleet.yml").read_text()
FILES = sorted(fleet.targets())
WALL = fleet.FOLDER / "fleet-wall.json"
each_board = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def test_the_committed_files_are_what_is_generated() -> None:
    assert {path: path.read_text() for path in fleet.FOLDER.glob("*.json")} == fleet.targets(), "run: make dashboards"


@each_board
def test_it_is_within_grafanas_schema(file: Path) -> None:
    assert grafana.misfits(grafana.load(file)) == []


@each_board
def test_its_series_exist_and_a_device_sends_them(file: Path) -> None:
    recorded = set(re.findall(r"record: (\S+)", RULES))
    exposed = {name for metric in all_metrics().values() for name in metric.sample_names()}
    asked = {
        name
        for query in grafana.queries(grafana.load(file))
        for name in re.findall(r"(?:\w+:)?vv_\w+(?::\w+)?", query.expr)
    }
    kept = [re.compile(pattern) for match in KEPT for pattern in re.findall(r'__name__=~"([^"]+)"', match)]

    assert asked & recorded
    assert asked <= recorded | exposed | {"path:vv_filesystem_free:ratio"}
    assert [name for name in asked - recorded if not any(pattern.fullmatch(name) for pattern in kept)] == []


def test_a_silent_device_stands_before_all_others_and_each_state_has_a_colour() -> None:
    expression = fleet.worst()

    assert max(fleet.STATES) == 4
    assert expression.startswith("sort_desc(")
    assert [word for word, _ in fleet.STATES.values()] == ["silent", "critical", "error", "warning", "well"]
    assert len({colour for _, colour in fleet.STATES.values()}) == 5


def test_on_the_wall_nothing_has_a_name() -> None:
    """Nor is a name sent: what is asked has an answer without labels, and nothing leads elsewhere."""
    wall = grafana.load(WALL)

    assert [query.expr for query in grafana.queries(wall) if not has_no_labels(query.expr)] == []
    assert not wall["templating"].get("list")
    assert not wall["annotations"].get("list")
    assert not wall.get("links")
    assert "$" not in WALL.read_text()
    assert not any(panel.get("links") or "{{" in str(panel["targets"]) for panel in grafana.panels(wall))


def has_no_labels(expression: str) -> bool:
    """Whether the outermost function leaves none, or it is a series that a rule records without any."""
    return re.match(r"(count|avg)\((?!.*\) by )", expression) is not None or expression in re.findall(
        r"record: (fleet:\S+)", RULES
    )


def test_the_wall_asks_the_store_that_is_provisioned() -> None:
    (store,) = yaml.safe_load((CENTRE / "grafana" / "datasources" / "fleet.yml").read_text())["datasources"]

    assert {panel["datasource"]["uid"] for panel in grafana.panels(grafana.load(WALL))} == {store["uid"]}
