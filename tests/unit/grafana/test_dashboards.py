"""Dashboards as committed: what is generated, of Grafana's schema, legible, linked, and a home for each alert."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import grafana
from tests.support.grafana import Json
from vv_dashboards import FOLDER, targets
from vv_dashboards.panels import RUNBOOK
from vv_exporter.metrics import all_metrics
from vv_exporter.settings import RUNBOOK_BASE_URL

REPOSITORY = Path(__file__).parents[3]
RULES = sorted((REPOSITORY / "prometheus" / "rules").glob("*.yml"))
BOARDS = {file.stem: grafana.load(file) for file in grafana.FILES}
UIDS = {f"vv-{name}" for name in BOARDS}

every_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def rules() -> Iterator[Json]:
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


def homes() -> list[str]:
    """The alerts whose runbooks panels name, each as often as it is named."""
    links = (link for board in BOARDS.values() for panel in grafana.panels(board) for link in panel["links"])
    return [link["title"].removeprefix(RUNBOOK) for link in links if link["title"].startswith(RUNBOOK)]


def test_the_committed_files_are_what_is_generated() -> None:
    made = targets()

    assert set(FOLDER.iterdir()) == set(made)
    for path, text in made.items():
        assert path.read_text() == text, f"{path.name} is not what the generator writes; run: make dashboards"


def test_there_is_a_dashboard_for_each_question() -> None:
    questions = {"overview", "pipeline", "footage", "containers", "dvr", "jobs", "host", "alerts", "monitoring"}
    assert set(BOARDS) == questions


def test_addresses_of_dashboards_do_not_change() -> None:
    assert {name: board["uid"] for name, board in BOARDS.items()} == {name: f"vv-{name}" for name in BOARDS}


@every_board
def test_it_is_of_grafanas_schema(board: Json) -> None:
    assert grafana.misfits(board) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("refresh",), 30),
        (("graphTooltip",), 7),
        (("titel",), "x"),
        (("panels", 1, "gridPos", "w"), "wide"),
        (("panels", 1, "fieldConfig", "defaults", "units"), "s"),
        (("panels", 1, "fieldConfig", "defaults", "color", "mode"), "rainbow"),
        (("panels", 1, "options", "colorMode"), "pink"),
        (("panels", 1, "targets", 0, "expression"), "up"),
        (("templating", "list", 0, "type"), "choice"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_is_not_of_the_schema_is_found(path: tuple[str | int, ...], value: Any) -> None:
    board = json.loads(json.dumps(BOARDS["dvr"]))
    *folders, last = path
    inside = board
    for step in folders:
        inside = inside[step]
    inside[last] = value

    assert len(grafana.misfits(board)) == 1


@every_board
def test_each_panel_says_what_it_means_and_in_which_unit(board: Json) -> None:
    for panel in grafana.panels(board):
        name, text = panel["title"], panel["description"]
        assert name
        assert panel["fieldConfig"]["defaults"]["unit"], name
        assert len(text) > 50, name
        assert "\n" not in text, name
        assert text.endswith("."), name
        assert not re.match(r"shows?\b", text, re.IGNORECASE), name


@every_board
def test_each_column_of_a_table_has_a_unit(board: Json) -> None:
    for panel in grafana.panels(board):
        if panel["type"] != "table":
            continue
        units = {
            override["matcher"]["options"]
            for override in panel["fieldConfig"]["overrides"]
            if any(part["id"] == "unit" for part in override["properties"])
        }
        names = panel["transformations"][1]["options"]["renameByName"]
        assert {name for value, name in names.items() if value.startswith("Value")} == units


@every_board
def test_panels_have_ids_and_titles_of_their_own(board: Json) -> None:
    shown = list(grafana.panels(board, rows=True))

    assert [title for title, count in Counter(panel["title"] for panel in shown).items() if count > 1] == []
    assert [one for one, count in Counter(panel["id"] for panel in shown).items() if count > 1] == []


@every_board
def test_panels_do_not_overlap_and_leave_no_hole(board: Json) -> None:
    opened = [board["panels"], *(panel["panels"] for panel in board["panels"] if panel["type"] == "row")]
    for group in opened:
        taken = Counter(cell for panel in group for cell in cells(panel))
        assert [cell for cell, count in taken.items() if count > 1] == []
        assert all(0 <= x < 24 for x, _ in taken)
        lines = Counter(y for _, y in taken)
        assert [y for y, width in lines.items() if width != 24] == []


def cells(panel: Json) -> Iterator[tuple[int, int]]:
    at = panel["gridPos"]
    for x in range(at["x"], at["x"] + at["w"]):
        for y in range(at["y"], at["y"] + at["h"]):
            yield x, y


@every_board
def test_it_is_legible_on_a_small_screen(board: Json) -> None:
    """A column is 54 px of 1366: a number needs 4 of them, a graph 8; the long tail is folded."""
    least = {"stat": 4, "timeseries": 8, "state-timeline": 8, "table": 12, "row": 24}
    for panel in grafana.panels(board, rows=True):
        assert panel["gridPos"]["w"] >= least[panel["type"]], panel["title"]
    unfolded = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in unfolded) <= 60


@every_board
def test_it_asks_the_chosen_data_source_for_the_chosen_things(board: Json) -> None:
    known = set(grafana.variables(board))
    used = {name for query in grafana.queries(board) for name in re.findall(r"\$([a-z_]\w*)", query.expr)}
    used = {name for name in used if not name.startswith("__")}
    sources = [target["datasource"] for panel in grafana.panels(board) for target in panel["targets"]]

    assert used | {"datasource", "runbooks", "status_page"} == known
    assert {json.dumps(source) for source in sources} == {'{"type": "prometheus", "uid": "${datasource}"}'}


@every_board
def test_its_links_lead_somewhere(board: Json) -> None:
    addresses = re.findall(r'"url": "([^"]+)"', json.dumps(board))
    variables = set(grafana.variables(board)) | {"__value", "__url_time_range", "__data"}

    assert set(re.findall(r"/d/([\w-]+)", " ".join(addresses))) <= UIDS
    assert set(re.findall(r"\$\{(\w+)", " ".join(addresses))) <= variables
    assert grafana.variables(board)["runbooks"]["query"] == RUNBOOK_BASE_URL
    assert [link["title"] for link in board["links"]] == ["Dashboards", "Status page"]


def test_each_alert_has_one_home_and_each_runbook_that_is_linked_an_alert() -> None:
    # VVEvent has no rule, scripts raise it with send_alert; nor has what the exporter tells directly.
    ruled = {rule["alert"] for rule in rules() if "alert" in rule}
    assert Counter(homes()) == Counter(ruled | {"VVEvent", "AlertPathBroken"})


def test_a_panel_of_an_alert_asks_for_a_series_that_the_alert_judges() -> None:
    judged = {rule["alert"]: set[str]() for rule in rules() if "alert" in rule}
    sources = {rule["record"]: names_in(rule["expr"]) for rule in rules() if "record" in rule}
    for rule in rules():
        if "alert" in rule:
            judged[rule["alert"]] |= resolved(names_in(rule["expr"]), sources)
    for board in BOARDS.values():
        for panel in grafana.panels(board):
            asked = names_in(" ".join(target["expr"] for target in panel["targets"]))
            for link in panel["links"]:
                alert = link["title"].removeprefix(RUNBOOK)
                if alert in judged and alert not in ("Watchdog",):
                    assert resolved(asked, sources) & judged[alert], f"{panel['title']}: {alert}"


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"(?:\w+:)?(?:vv|prometheus|alertmanager|process)_\w+(?::\w+)?|\bup\b", expression))


def resolved(names: set[str], sources: dict[str, set[str]]) -> set[str]:
    """The series, with those that recorded ones are made of."""
    return names | {name for record in names & sources.keys() for name in sources[record]}


def test_panels_ask_for_metrics_that_exist() -> None:
    samples = {name for metric in all_metrics().values() for name in metric.sample_names()}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = {
        name
        for board in BOARDS.values()
        for query in grafana.queries(board)
        for name in names_in(query.expr)
        if "vv_" in name
    }

    assert {name for name in asked if ":" not in name} <= samples
    assert {name for name in asked if ":" in name} <= recorded


def test_provisioning_names_files_and_data_sources_as_the_dashboards_do() -> None:
    providers = yaml.safe_load((grafana.ROOT / "provisioning/dashboards/vv.yml").read_text())["providers"]
    sources = yaml.safe_load((grafana.ROOT / "provisioning/datasources/prometheus.yml").read_text())["datasources"]

    assert [provider["options"]["path"] for provider in providers] == ["/etc/grafana/dashboards"]
    assert [provider["allowUiUpdates"] for provider in providers] == [False]
    assert [(source["type"], source.get("isDefault", False)) for source in sources] == [
        ("prometheus", True),
        ("alertmanager", False),
    ]
