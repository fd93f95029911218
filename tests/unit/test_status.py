"""The state of a device in one document, and as people read it."""

import json
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner
from prometheus_client.core import Metric as Family

from vv_exporter.cli import _client
from vv_exporter.cli import status as cli
from vv_exporter.metrics import containers, exporter, gauges, histograms, jobs, pipeline, storage
from vv_exporter.status import Known, Past, Status, sections, status

NOW = 1_700_000_000.0


def alert(name: str, severity: str, **changes: Any) -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "severity": severity, "component": "c"},
        "annotations": {"summary": f"{name} happened", "description": "d", "runbook_url": "u"},
        "startsAt": "2026-01-01T00:00:00Z",
        "status": {"state": "active"},
        **changes,
    }


def healthy() -> list[Family]:
    buckets = (0,) * (len(pipeline.STAGE_DURATION.buckets) + 1)
    return [
        gauges(exporter.COLLECTOR_SUCCESS, [(("jobs",), 1)]),
        gauges(storage.PROBE_SUCCESS, [(("system", "/"), 1)]),
        gauges(storage.SIZE, [(("system", "/"), 200e9)]),
        gauges(storage.FREE, [(("system", "/"), 100e9)]),
        gauges(pipeline.STAGE_RUNNING, [(("scan",), 1)]),
        gauges(pipeline.STAGE_OVERDUE, [(("scan",), 0)]),
        histograms(pipeline.STAGE_DURATION, [(("scan", "failure"), (2, *buckets[1:]), 3.0, NOW)]),
        gauges(jobs.JOB_RUNNING, [(("nightly",), 0)]),
        gauges(jobs.JOB_NEXT_DUE, [(("nightly",), NOW + 7200)]),
        gauges(jobs.JOB_GRACE, [(("nightly",), 60)]),
        gauges(jobs.JOB_LAST_SUCCESS, [(("nightly",), NOW - 300)]),
        gauges(containers.RUNNING, [(("agent",), 1)]),
        gauges(containers.EXPECTED, [(("agent",), 1)]),
        gauges(containers.STATE, [(("agent", "running"), 1), (("agent", "exited"), 0)]),
    ]


def replaced(*families: Family) -> list[Family]:
    by_name = {family.name: family for family in healthy()} | {family.name: family for family in families}
    return list(by_name.values())


def made(families: list[Family], alerts: list[dict[str, Any]] | None) -> Status:
    return status(families, Known(alerts, None if alerts is None else NOW), "edge-1", NOW)


def test_a_healthy_device_is_all_right() -> None:
    found = made(healthy(), [alert("Watchdog", "none"), alert("HostRebooted", "info")])

    assert found.ok
    assert [one.name for one in found.alerts or ()] == ["HostRebooted"]
    assert found.stages[0].failed == 2
    assert found.containers[0].state == "running"
    assert found.jobs[0].late == 0


@pytest.mark.parametrize(
    ("family", "trouble"),
    [
        (gauges(storage.PROBE_SUCCESS, [(("system", "/"), 0)]), "/ cannot be used"),
        (gauges(pipeline.STAGE_OVERDUE, [(("scan",), 1)]), "stage scan is over its time limit"),
        (gauges(jobs.JOB_NEXT_DUE, [(("nightly",), NOW - 61)]), "job nightly did not run on time"),
        (gauges(containers.RUNNING, [(("agent",), 0)]), "container agent is not running"),
        (gauges(containers.HEALTH, [(("agent", "unhealthy"), 1)]), "container agent is unhealthy"),
        (gauges(exporter.COLLECTOR_SUCCESS, [(("jobs",), 0)]), "collector jobs fails: see app.log"),
    ],
)
def test_what_is_wrong_is_said(family: Family, trouble: str) -> None:
    found = made(replaced(family), [])

    assert found.troubles == (trouble,)
    assert not found.ok


def test_a_container_that_nobody_expects_may_be_down() -> None:
    families = replaced(gauges(containers.RUNNING, [(("agent",), 0)]), gauges(containers.EXPECTED, [(("agent",), 0)]))

    assert made(families, []).ok


def test_the_most_urgent_alert_comes_first() -> None:
    alerts = [alert("A", "warning"), alert("B", "critical"), alert("C", "error")]
    found = made(healthy(), alerts)

    assert [one.name for one in found.alerts or ()] == ["B", "C", "A"]
    assert found.troubles == ("critical: B happened", "error: C happened", "warning: A happened")


def test_without_alertmanager_nothing_is_known_to_be_well() -> None:
    found = made(healthy(), None)

    assert found.alerts is None
    assert found.troubles == ("Alertmanager does not answer: what fires is not known",)


def printed(found: Status) -> str:
    return click.unstyle("\n".join(cli.lines(found)))


def test_it_is_printed_in_words() -> None:
    text = printed(made(healthy(), [alert("DiskSpaceLow", "warning")]))

    assert text.splitlines()[:2] == ["edge-1: needs attention", "  warning: DiskSpaceLow happened"]
    assert "100.0 GB free of 200.0 (50%)" in text
    assert "5 min ago (22:08:20Z)" in text
    assert "due in 2 h" in text


def test_an_empty_device_is_printed_too() -> None:
    assert printed(made([], [])).splitlines()[0] == "edge-1: all is well"


class Answer:
    def __init__(self, document: Status) -> None:
        self.status_code = 200
        self.text = msgspec.json.encode(document).decode()

    def raise_for_status(self) -> None:
        return None


@pytest.mark.parametrize(("alerts", "code"), [([], 0), ([alert("A", "error")], 1)])
def test_the_exit_code_says_whether_all_is_well(
    alerts: list[dict[str, Any]], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = made(healthy(), alerts)
    monkeypatch.setattr(_client.requests, "get", lambda *args, **kwargs: Answer(document))

    assert CliRunner().invoke(cli.command, ["--url", "http://127.0.0.1:1"]).exit_code == code
    result = CliRunner().invoke(cli.command, ["--url", "http://127.0.0.1:1", "--json"])
    assert json.loads(result.stdout)["device"] == "edge-1"


def test_hostile_names_do_not_reach_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = gauges(pipeline.STAGE_RUNNING, [(("\x1b[2J\x07\x9bscan",), 1)])
    document = made(replaced(hostile), [])
    monkeypatch.setattr(_client.requests, "get", lambda *args, **kwargs: Answer(document))

    output = CliRunner().invoke(cli.command, ["--url", "http://127.0.0.1:1"]).stdout
    assert "scan" in output
    assert not any(char in output for char in "\x1b\x07\x9b")


def test_an_exporter_that_does_not_answer_is_one_line_and_exit_code_1() -> None:
    result = CliRunner().invoke(cli.command, ["--url", "http://127.0.0.1:1"])

    assert result.exit_code == 1
    assert result.stderr == (
        "vv: the exporter does not answer at http://127.0.0.1:1/api/v1/status (ConnectionError); is it running?\n"
    )
