"""Rules, dashboards and runbooks use metrics that exist, with labels that these have, and nothing is left alone."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest
import yaml
from tests.rules.catalogue import ALERTS, NAMES, RECORDS, ROOT, RUNBOOKS, all_rules, proven_labels
from tests.support.servers import Programs, Prometheus

from vv_exporter.alert_path.message import ALERT_PATH_BROKEN
from vv_exporter.alert_path.unwritten import STATE_NOT_WRITABLE
from vv_exporter.metrics import all_metrics

TARGET = {"device", "instance", "job"}
SERVERS = {
    "up": set[str](),
    "ALERTS": {"alertname", "alertstate", "severity", "component", "name", "stage", "dvr", "role", "path"},
    "prometheus_notifications_dropped_total": set[str](),
    "prometheus_rule_evaluation_failures_total": {"rule_group"},
}
NAME = re.compile(r"\b(?:\w+:)?vv_[a-z0-9_]+[a-z0-9](?::\w+)?(?![\w:*…])|\b(?:prometheus|alertmanager)_\w+\b")
SELECTOR = re.compile(r"((?:\w+:)?(?:vv|prometheus|alertmanager)_\w+(?::\w+)?|\bup\b|\bALERTS\b)\s*\{([^}]*)\}")
CLAUSE = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
FENCED = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Source(NamedTuple):
    """Something that names series: where it stands, and its text."""

    place: str
    text: str


@cache
def labels_of(series: str) -> frozenset[str]:
    """Every label that a series may have. Raises `KeyError` for one that does not exist."""
    for metric in all_metrics().values():
        if series in metric.sample_names():
            return frozenset(metric.labels) | TARGET | ({"le"} if series.endswith("_bucket") else set())
    if series in RECORDS:
        return frozenset[str]().union(*(labels_of(name) for name in known_names(RECORDS[series]["expr"])))
    return frozenset(SERVERS[series]) | TARGET


def is_of_a_server(series: str) -> bool:
    """Whether only the servers know it: the test of all dashboards' queries asks them."""
    return series.startswith(("prometheus_", "alertmanager_")) and series not in SERVERS


def known_names(text: str) -> set[str]:
    return set(NAME.findall(text)) | {name for name in ("up", "ALERTS") if re.search(rf"\b{name}\b", text)}


def in_rules() -> Iterator[Source]:
    for rule in all_rules():
        yield Source(rule.get("alert") or rule["record"], rule["expr"])
        for text in rule.get("annotations", {}).values():
            for query in re.findall(r'printf "((?:[^"\\]|\\.)*)"[^}]*\| query', text):
                yield Source(rule["alert"], query.replace('\\"', '"'))


def in_dashboards() -> Iterator[Source]:
    for file in sorted((ROOT / "grafana" / "dashboards").glob("*.json")):
        for expression in expressions(json.loads(file.read_text())):
            yield Source(file.name, expression)


def expressions(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("expr"), str):
            yield part["expr"]
        for value in part.values():
            yield from expressions(value)
    elif isinstance(part, list):
        for value in part:
            yield from expressions(value)


def in_runbooks() -> Iterator[Source]:
    for file in RUNBOOKS:
        for quoted in re.findall(r"`([^`\n]+)`", FENCED.sub("", file.read_text())):
            yield Source(file.name, quoted)


def in_commands() -> Iterator[Source]:
    """What commands look for in the exporter's `/metrics`: a name, or how names begin."""
    for rule in ALERTS:
        yield Source(rule["alert"], rule["annotations"]["suggested_actions"])
    for file in RUNBOOKS:
        for block in FENCED.findall(file.read_text()):
            yield Source(file.name, block)


@pytest.mark.parametrize("read", [in_rules, in_dashboards, in_runbooks], ids=lambda read: read.__name__)
def test_series_that_are_named_exist(read: Any) -> None:
    sources = list(read())
    names = {(source.place, name) for source in sources for name in known_names(source.text)}
    exposed = {name for metric in all_metrics().values() for name in (metric.name, *metric.sample_names())}

    assert names
    known = exposed | RECORDS.keys() | SERVERS.keys()
    assert sorted((place, name) for place, name in names if name not in known and not is_of_a_server(name)) == []


@pytest.mark.parametrize("read", [in_rules, in_dashboards, in_runbooks], ids=lambda read: read.__name__)
def test_what_is_asked_of_the_servers_is_kept_of_them(read: Any) -> None:
    config = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    kept = [
        rule["regex"]
        for job in config["scrape_configs"]
        for rule in job.get("metric_relabel_configs", ())
        if rule["action"] == "keep"
    ]
    asked = {
        name
        for source in read()
        for name in re.findall(r"\b(?:prometheus|alertmanager|process)_\w+", source.text)
        if not name.startswith(("prometheus_client", "alertmanager_url"))
    }
    assert len(kept) == 2
    assert [name for name in sorted(asked) if not any(re.fullmatch(regex, name) for regex in kept)] == []


@pytest.mark.parametrize("read", [in_rules, in_dashboards, in_runbooks], ids=lambda read: read.__name__)
def test_labels_that_are_asked_for_are_labels_of_the_series(read: Any) -> None:
    wrong = [
        (source.place, series, label)
        for source in read()
        for series, matchers in SELECTOR.findall(source.text)
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"|\'[^\']*\'', "", matchers))
        if not is_of_a_server(series) and label not in labels_of(series)
    ]
    assert wrong == []


@pytest.mark.parametrize("read", [in_rules, in_dashboards], ids=lambda read: read.__name__)
def test_labels_that_are_grouped_by_are_labels_of_some_series_there(read: Any) -> None:
    wrong = []
    for source in read():
        names = known_names(source.text)
        if not names or any(map(is_of_a_server, names)):
            continue
        given = frozenset[str]().union(*(labels_of(name) for name in names)) | made(source.text)
        for clause in CLAUSE.findall(source.text):
            wrong += [(source.place, label) for label in re.findall(r"\w+", clause) if label not in given]
    assert wrong == []


def made(expression: str) -> set[str]:
    """The labels that `label_replace` and `label_join` make."""
    return set(re.findall(r'label_(?:replace|join)\(.*?,\s*"(\w+)"', expression, re.DOTALL))


def test_commands_look_for_metrics_that_exist() -> None:
    exposed = {name for metric in all_metrics().values() for name in metric.sample_names()}
    looked_for = {
        (source.place, name) for source in in_commands() for name in re.findall(r"\bvv_[a-z0-9_]+", source.text)
    }

    assert looked_for
    assert sorted(one for one in looked_for if not any(name.startswith(one[1]) for name in exposed)) == []


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_quotes_labels_that_it_has(rule: dict[str, Any]) -> None:
    quoted = set(re.findall(r"\$labels\.(\w+)", str(rule["labels"]) + str(rule["annotations"])))

    # The one that an absent target brings has no instance, and says so.
    assert quoted - proven_labels()[rule["alert"]] <= ({"instance"} if "absent(" in rule["expr"] else set())


def test_every_metric_is_in_the_reference_with_its_alerts() -> None:
    rows = (ROOT / "docs" / "metrics.md").read_text().splitlines()
    named = {match[1]: row for row in rows if (match := re.match(r"\| `(\w+)` \|", row))}

    assert named.keys() == all_metrics().keys()
    assert "[HostOverheating](runbooks/HostOverheating.md)" in named["vv_host_temperature_celsius"]
    assert "[DiskFillingUp](runbooks/DiskFillingUp.md)" in named["vv_filesystem_free_bytes"]


def test_every_threshold_is_used_by_a_rule() -> None:
    text = "".join(f"{rule['expr']}{rule.get('annotations', '')}" for rule in all_rules())

    assert [name for name in all_metrics() if name.startswith("vv_threshold_") and name not in text] == []


def test_every_recording_rule_is_used() -> None:
    """By another rule, an annotation or a dashboard."""
    texts = "".join(f"{rule['expr']}{rule.get('annotations', '')}" for rule in all_rules())
    texts += "".join(source.text for source in in_dashboards())

    assert [name for name in RECORDS if name not in texts] == []


def test_every_alert_is_in_the_overview_with_its_runbook() -> None:
    listed = re.findall(
        r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \|", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE
    )

    assert sorted(listed) == sorted((name, name) for name in NAMES | {ALERT_PATH_BROKEN, STATE_NOT_WRITABLE})


@pytest.mark.prometheus
def test_a_real_prometheus_has_what_rules_ask_of_it(programs: Programs, tmp_path: Any) -> None:
    """A target's own series exist from the start on, so that their first change is seen."""
    rules = tmp_path / "rules.yml"
    rules.write_text('groups: [{name: g, rules: [{alert: A, expr: "vector(1)"}]}]')
    config = tmp_path / "prometheus.yml"
    alertmanager = "alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:9']}]}]}"
    config.write_text(f"rule_files: [{rules}]\n{alertmanager}\n")

    with Prometheus(config, tmp_path / "prometheus", programs) as prometheus:
        shown = prometheus.get("/metrics").decode()

    asked = {name for rule in all_rules() for name in known_names(f"{rule['expr']}{rule.get('annotations', '')}")}
    assert {name for name in asked if name.startswith("prometheus_")} == SERVERS.keys() - {"up", "ALERTS"}
    for name in SERVERS.keys() - {"up", "ALERTS"}:
        (line, *_) = [line for line in shown.splitlines() if re.match(rf"{name}[{{ ]", line)]
        assert set(re.findall(r'(\w+)="', line)) == SERVERS[name], line
