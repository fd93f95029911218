"""The beat and the web server: given with a scrape, brought back by the webhook, told first where people look."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from tests.unit.web.conftest import Serve
from vv_exporter import health
from vv_exporter.alert_path.state import PathState
from vv_exporter.alertmanager.token import ensure_token
from vv_exporter.cli.health import command
from vv_exporter.collectors.alert_path import build
from vv_exporter.context import Context
from vv_exporter.delivery import notifications
from vv_exporter.web import Server, create_app
from vv_exporter.web.guard import Guarded
from vv_exporter.web.routes.metrics import TIMEOUT_HEADER

BEAT = "vv_alert_path_beat_timestamp_seconds"
BROKEN = PathState(closed=True, since=1_700_000_000.0, hop="not evaluated", reason="many-to-many")


@pytest.fixture
def server(serve: Serve, context: Context) -> Server:
    return serve(create_app(context, [Guarded(build(context))]))


def scrape(server: Server, **headers: str) -> dict[str, float]:
    lines = requests.get(f"{server.url}/metrics", headers=headers, timeout=10).text.splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def deliver(server: Server, context: Context, *alerts: dict[str, Any]) -> int:
    token = ensure_token(context.settings).read_text().strip()
    return requests.post(
        f"{server.url}/api/v1/alertmanager",
        json={"alerts": list(alerts)},
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    ).status_code


def alert(name: str, **annotations: str) -> dict[str, Any]:
    return {
        "status": "firing", "labels": {"alertname": name, "severity": "error"}, "annotations": annotations,
        "startsAt": "2026-01-31T10:30:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "ab",
    }  # fmt: skip


def test_a_beat_that_comes_back_is_counted_and_recorded_nowhere(server: Server, context: Context) -> None:
    beat = scrape(server)[BEAT]

    assert deliver(server, context, alert("Watchdog", beat=f"{beat:.3f}")) == 200
    found = scrape(server)
    assert 0 <= found["vv_alert_path_latency_seconds"] < 60
    assert found["vv_alert_path_last_beat_timestamp_seconds"] > 1.7e9
    assert context.store.history(notifications.HISTORY) == []


@pytest.mark.parametrize("beat", ["", "no number", "nan", "1e999", "123.000"])
def test_what_is_no_beat_of_ours_is_none(server: Server, context: Context, beat: str) -> None:
    assert deliver(server, context, alert("Watchdog", beat=beat)) == 200
    assert deliver(server, context, alert("Watchdog")) == 200

    assert scrape(server)["vv_alert_path_last_beat_timestamp_seconds"] == 0


def test_other_alerts_of_the_same_notification_are_recorded(server: Server, context: Context) -> None:
    assert deliver(server, context, alert("Watchdog", beat="1"), alert("StageFailing")) == 200

    names = [record.body["labels"]["alertname"] for record in context.store.history(notifications.HISTORY)]
    assert names == ["StageFailing"]


def test_only_a_prometheus_that_asks_counts_as_a_scrape(server: Server, context: Context) -> None:
    scrape(server)
    assert context.beats.scraped_age() is None
    scrape(server, **{TIMEOUT_HEADER: "5"})
    assert context.beats.scraped_age() is not None


@pytest.mark.parametrize(
    ("verdict", "up"), [(None, None), (PathState(), None), (PathState(closed=True), 1.0), (BROKEN, 0.0)]
)
def test_unknown_is_neither_up_nor_down(
    server: Server, context: Context, verdict: PathState | None, up: float | None
) -> None:
    context.beats.verdict = verdict

    assert scrape(server).get("vv_alert_path_up") == up


def test_a_broken_path_is_what_everything_says_first(server: Server, context: Context) -> None:
    context.beats.verdict = BROKEN

    page = requests.get(server.url, timeout=20).text
    assert page.index("the alert path is broken: not evaluated") < page.index('id="overview"')
    assert "many-to-many" in page
    document = requests.get(f"{server.url}/api/v1/status", timeout=20).json()
    assert not document["ok"]
    assert document["troubles"][0].startswith("critical: the alert path is broken since ")
    assert document["alert_path"]["hop"] == "not evaluated"
    done = CliRunner().invoke(command, ["exporter", "--port", str(server.port)])
    assert (done.exit_code, done.output) == (0, "alert path: broken, not evaluated\nhealthy\n")


def test_one_that_is_not_known_is_not_said_to_be_well(server: Server, context: Context) -> None:
    context.beats.verdict = PathState()

    document = requests.get(f"{server.url}/api/v1/status", timeout=20).json()
    assert not document["ok"]
    assert document["troubles"][0].startswith("not known yet whether alerts are delivered")
    assert health.exporter(server.port) == "alert path: not known to work yet"


def test_one_that_works_is_no_news(server: Server, context: Context) -> None:
    context.beats.verdict = PathState(closed=True)

    document = requests.get(f"{server.url}/api/v1/status", timeout=20).json()
    assert [trouble for trouble in document["troubles"] if "alert path" in trouble] == []
    assert requests.get(f"{server.url}/-/healthy", timeout=10).text == "healthy\n"
    assert json.loads(json.dumps(document))["alert_path"]["state"] == "works"


def test_that_nobody_learns_when_the_device_is_off_is_said_with_the_cure(server: Server, context: Context) -> None:
    context.beats.verdict = PathState(closed=True)
    page = requests.get(server.url, timeout=20).text

    assert "DEADMAN_URL: is not set; when this device is off nobody learns of it" in page
