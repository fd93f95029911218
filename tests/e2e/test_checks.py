"""Refused documents and signatures, and exceptions nobody expected, from a script to the receivers: each brings its own
alert, which names the video and the error, and no other one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.device import Channels, Device, about, of_the_machine
from tests.support.receivers import Request
from tests.support.servers import Programs
from tests.support.waiting import wait_until

pytestmark = pytest.mark.prometheus

SECRET = "c0ffee" * 10


@pytest.fixture(scope="module")
def channels() -> Iterator[Channels]:
    with Channels() as channels:
        yield channels


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory, channels: Channels, programs: Programs) -> Iterator[Device]:
    environ = {**channels.environ(), "DOCKER_HOST": ""}
    with Device(tmp_path_factory.mktemp("device"), environ) as device:
        wait_until(lambda: len(device.query("up == 1")) == 4, 60, what="four targets that are up")
        yield device
        shown = [device.output(), device.app_log()]
    assert channels.violations() == []
    assert not [text for text in shown if SECRET in text]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "2026-01.key"
    file.touch(mode=0o600)
    file.write_text(SECRET)
    return file


def said(request: Request, *words: str) -> None:
    text = json.dumps(request.json, ensure_ascii=False)
    assert [word for word in words if word not in text] == []
    assert SECRET not in text


def told(device: Device, stage: str) -> None:
    """The stage's own failure is known to Alertmanager, and held back."""
    wait_until(lambda: device.alerts(alertname="StageFailing", stage=stage), 60, what="the stage's failure")
    wait_until(
        lambda: device.alerts(alertname="StageFailing", stage=stage)[0]["status"]["state"] == "suppressed",
        30,
        what="the inhibition",
    )


def test_a_document_that_does_not_satisfy_its_schema(device: Device, channels: Channels, tmp_path: Path) -> None:
    schema = tmp_path / "analytic.schema.json"
    schema.write_text('{"properties": {"boxes": {"items": {"properties": {"x": {"minimum": 0}}}}}}')
    script = f"""
from vv_core.guard import guard
from vv_core.logs import setup_logging
from vv_core.schemas import check_schema
from vv_core.stages import stage
setup_logging("scan_video.py")
with guard("scan_video.py", then="exit"), stage("scan_video", video="/in/yard-7.mp4", component="scan_video.py") as run:
    run.note(video_sha256="5e1f" * 16)
    check_schema({{"boxes": [{{"x": 1}}, {{"x": -4}}]}}, {str(schema)!r})
"""
    assert device.script(script).wait(30) == 1

    slack = channels.slack.wait_for(about("SchemaValidationFailed", "yard-7.mp4"), 90)
    said(slack, "ERROR", "edge-7", "analytic", "/boxes/1/x: -4 is less than the minimum of 0", "5e1f" * 16, "Runbook")
    told(device, "scan_video")
    assert channels.slack.matching(about("StageFailing", "yard-7.mp4")) == []
    assert channels.slack.matching(about("UnhandledException", "yard-7.mp4")) == []
    assert device.query('vv_exceptions_total{component="scan_video.py"}') == []
    assert "schema validation failed: analytic: /boxes/1/x" in device.app_log()


def test_a_log_line_that_cannot_be_signed(device: Device, channels: Channels, key: Path) -> None:
    script = """
from vv_core.signing import sign_payload
from vv_core.stages import stage
with stage("logline_generator", video="/in/yard-8.mp4", component="logline_generator.py"):
    sign_payload({"count": 2**60})
"""
    assert device.script(script, VV_HMAC_KEY_FILE=str(key)).wait(30) == 1

    pagerduty = channels.pagerduty.wait_for(about("HmacSigningFailed", "yard-8.mp4"), 90)
    said(pagerduty, "critical", "logline_generator.py", "payload: the object has no canonical JSON")
    told(device, "logline_generator")
    assert channels.slack.matching(about("StageFailing", "yard-8.mp4")) == []


def test_a_log_line_that_was_changed(device: Device, channels: Channels, key: Path) -> None:
    script = """
from vv_core.jobs import job
from vv_core.logs import setup_logging
from vv_core.signing import sign_payload, verify_signature
setup_logging("logline_verifier.py")
line = sign_payload({"count": 3}, component="logline_verifier.py")
with job("logline_verifier"):
    assert verify_signature(line, component="logline_verifier.py")
    assert not verify_signature({**line, "count": 4}, component="logline_verifier.py", video="/in/yard-9.mp4")
"""
    assert device.script(script, VV_HMAC_KEY_FILE=str(key)).wait(30) == 0

    pagerduty = channels.pagerduty.wait_for(about("HmacVerificationFailed", "yard-9.mp4"), 90)
    said(pagerduty, "critical", "logline_verifier.py", "mismatch (key 2026-01)")
    wait_until(lambda: device.query('vv_hmac_operations_total{operation="verify",result="ok"} == 1'), what="the scrape")
    assert "hmac verify failed: mismatch" in device.app_log()


def test_an_exception_that_nobody_expected(device: Device, channels: Channels) -> None:
    script = """
from vv_core import guard
guard.install("orchestrator.py")
def choose(cameras):
    return cameras["front"]
with guard.guard("orchestrator.py", video="/in/yard-10.mp4"):
    choose({})
"""
    assert device.script(script).wait(30) == 1

    slack = channels.slack.wait_for(about("UnhandledException", "yard-10.mp4"), 90)
    said(slack, "ERROR", "orchestrator.py failed with an unhandled KeyError", "KeyError: 'front' | ", "in choose")
    wait_until(lambda: device.query('vv_exceptions_total{component="orchestrator.py"} == 1'), what="the scrape")


def test_nothing_else_was_told(device: Device, channels: Channels) -> None:
    active = [alert for alert in device.alerts() if alert["status"]["state"] == "active"]
    names = {alert["labels"]["alertname"] for alert in active if not of_the_machine(alert)}

    assert names <= {
        "Watchdog",
        "SchemaValidationFailed",
        "HmacSigningFailed",
        "HmacVerificationFailed",
        "UnhandledException",
    }
