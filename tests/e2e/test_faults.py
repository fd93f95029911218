"""A real fault on a real machine becomes a real notification: script or disk → exporter → Prometheus → rules →
Alertmanager → Slack, PagerDuty, Telegram, webhook."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.device import Channels, Device, about, of_the_machine
from tests.support.receivers import Request
from tests.support.servers import Programs
from tests.support.waiting import wait_until

pytestmark = pytest.mark.prometheus

CONFIG = """
stages:
  summarize_scene: {limit: 2s}
jobs:
  orchestrator: {schedule: "* * * * *", grace: 1s}
  log_exporter: {max_runtime: 2s}
"""
MISSED = 150  # seconds: a minute until it is due, grace, the rule's 30 s, grouping


@pytest.fixture(scope="module")
def channels() -> Iterator[Channels]:
    with Channels() as channels:
        yield channels


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real file system of 64 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path_factory.mktemp("videos")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "vv-test", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def device(
    tmp_path_factory: pytest.TempPathFactory, channels: Channels, small_disk: Path, programs: Programs
) -> Iterator[Device]:
    environ = {
        **channels.environ(),
        "VIDEO_STORAGE_ROOT": str(small_disk),
        "DISK_WARNING_FREE": "25%",
        "DISK_CRITICAL_FREE": "12%",
        "DOCKER_HOST": "",
    }
    with Device(tmp_path_factory.mktemp("device"), environ, CONFIG) as device:
        yield device
    assert channels.violations() == []


def test_healthy_all_targets_are_up_and_the_dead_mans_switch_is_fed(device: Device, channels: Channels) -> None:
    wait_until(lambda: len(device.query("up == 1")) == 4, 30, what="four targets that are up")
    channels.deadman.wait_for(timeout=60)

    # `job` and `device` are what the exporter and the configuration say.
    assert {one["metric"]["device"] for one in device.query("up")} == {"edge-7"}
    due = device.query('vv_job_next_due_timestamp_seconds{job="orchestrator"}')
    assert len(due) == 1


def test_metrics_pass_promtool(device: Device, programs: Programs) -> None:
    for accept in ("text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"):
        page = requests.get(f"{device.url('exporter')}/metrics", headers={"Accept": accept}, timeout=10)
        assert page.headers["Content-Type"].startswith(accept.partition(";")[0])
        if accept.startswith("text/plain"):
            check = subprocess.run(
                [programs.promtool, "check", "metrics"], input=page.text, capture_output=True, text=True, check=False
            )
            assert (check.returncode, check.stdout + check.stderr) == (0, "")


def test_a_failure_that_happens_once_in_a_series_never_seen_before(device: Device, channels: Channels) -> None:
    script = """
import sys
from vv_core.stages import stage
with stage("never_seen_before", video="/videos/gate-0031.mp4", component="scan_video.py") as run:
    run.note(video_sha256="5e1f" * 16)
    raise ValueError("no key frame in 31 s")
"""
    assert device.script(script).wait(30) == 1

    slack = channels.slack.wait_for(about("never_seen_before", "gate-0031.mp4"), 60)
    assert_says(
        slack,
        "ERROR",
        "edge-7",
        "never_seen_before",
        "that failed in the last 15 minutes: 1; the latest with /videos/gate-0031.mp4",
        "no key frame in 31 s",
        "5e1f" * 16,
        "What to do",
        "Runbook",
    )
    assert channels.pagerduty.matching(about("never_seen_before")) == []


def test_a_script_killed_in_the_middle_of_a_stage(device: Device, channels: Channels) -> None:
    script = device.script(
        """
import sys
from vv_core.stages import stage
with stage("scan_video", video="/videos/yard-0002.mp4", component="scan_video.py"):
    print("begun", flush=True)
    sys.stdin.read()
"""
    )
    assert script.stdout is not None
    assert script.stdout.readline() == "begun\n"
    script.send_signal(signal.SIGKILL)
    script.communicate()

    slack = channels.slack.wait_for(about("scan_video", "yard-0002.mp4", "crashed"), 60)
    assert_says(slack, "ERROR", "edge-7", "the process died unexpectedly")


def test_a_stage_past_its_limit_is_told_while_it_runs(device: Device, channels: Channels) -> None:
    script = device.script(
        """
import sys
from vv_core.stages import stage
with stage("summarize_scene", video="/videos/hall-0003.mp4"):
    sys.stdin.read()
"""
    )
    try:
        channels.slack.wait_for(about("summarize_scene", "over its time limit"), 90)
        assert script.poll() is None
        assert device.query('vv_stage_overdue{stage="summarize_scene"}')[0]["value"][1] == "1"
    finally:
        script.communicate("")
    assert script.returncode == 0


def test_a_job_that_runs_too_long_and_is_killed(device: Device, channels: Channels) -> None:
    script = device.script(
        """
import sys
from vv_core.jobs import job
with job("log_exporter", component="log_exporter.py"):
    sys.stdin.read()
"""
    )
    try:
        late = channels.slack.wait_for(about("log_exporter", "is running too long"), 90)
        assert script.poll() is None
    finally:
        script.kill()
        script.communicate()

    crashed = channels.slack.wait_for(about("log_exporter", "crashed"), 60)
    assert_says(late, "WARNING", "edge-7", "past its limit of 2s")
    assert_says(crashed, "ERROR", "edge-7", "that crashed in the last 15 minutes: 1; the latest at")
    assert channels.slack.matching(about("log_exporter", "Job log_exporter failed")) == []


def test_a_job_that_misses_its_time(device: Device, channels: Channels) -> None:
    slack = channels.slack.wait_for(about("orchestrator", "did not run on time"), MISSED)
    assert_says(slack, "ERROR", "edge-7", "orchestrator")


def test_an_alert_of_a_script_that_exits_at_once(device: Device, channels: Channels) -> None:
    script = device.script(
        """
from vv_core.alerter import send_alert
print(send_alert("CRITICAL", "Signing key gone", {"key": "k7", "path": "/etc/vv/k7"}, "logline_generator.py",
                 context={"video": "/videos/door-0004.mp4"}, suggested_actions="1. Mount the key's disk"))
"""
    )
    alert_id = script.communicate(timeout=30)[0].strip()

    page = channels.pagerduty.wait_for(about("Signing key gone"), 60)
    for receiver in (channels.slack, channels.telegram, channels.webhook):
        receiver.wait_for(about("Signing key gone"), 60)
    details = page.json["payload"]["custom_details"]
    assert page.json["payload"]["severity"] == "critical"
    assert alert_id in str(details)
    assert "/videos/door-0004.mp4" in str(details)
    assert "Mount the key's disk" in str(details)
    wait_until(lambda: "Signing key gone" in device.app_log(), 30, what="the line in app.log")
    line = next(line for line in device.app_log().splitlines() if "Signing key gone" in line)
    assert "***CRITICAL***" in line


def test_a_disk_that_fills_up_is_told_twice_and_its_end_once(
    device: Device, channels: Channels, small_disk: Path
) -> None:
    path = f"{small_disk}"
    low, critical = small_disk / "low.bin", small_disk / "critical.bin"
    low.write_bytes(bytes(51 * 1024 * 1024))  # about 20 % stay free
    told = channels.slack.wait_for(lambda request: is_about_disk(request, "DiskSpaceLow", path), 150)
    assert_says(told, "WARNING", "edge-7", path, "What to do", "Runbook", "Silence", "Alert id", "Since")

    critical.write_bytes(bytes(8 * 1024 * 1024))  # about 8 % stay free
    page = channels.pagerduty.wait_for(lambda request: is_about_disk(request, "DiskSpaceCritical", path), 120)
    details = page.json["payload"]["custom_details"]
    assert page.json["event_action"] == "trigger"
    assert {"severity", "timestamp", "device", "component", "title", "details", "suggested_actions", "alert_id"} <= {
        name for name, value in details.items() if str(value).strip()
    }
    channels.slack.wait_for(lambda request: is_about_disk(request, "DiskSpaceCritical", path), 60)
    (inhibited,) = device.alerts(alertname="DiskSpaceLow", path=path)
    assert inhibited["status"]["state"] == "suppressed"

    low.unlink()
    critical.unlink()
    channels.pagerduty.wait_for(
        lambda request: (
            request.json["event_action"] == "resolve" and request.json["dedup_key"] == page.json["dedup_key"]
        ),
        240,
    )
    channels.slack.wait_for(
        lambda request: is_about_disk(request, "DiskSpaceCritical", path) and about("RESOLVED")(request), 120
    )


def test_nothing_else_was_told(device: Device, channels: Channels, small_disk: Path) -> None:
    """What this device was made to suffer, and nothing beyond it, but for the machine itself."""
    expected = {"StageFailing", "StageCrashed", "StageOverdue", "JobMissed", "VVEvent", "DiskSpaceLow"}
    expected |= {"DiskSpaceCritical", "IngestPaused", "JobCrashed", "JobRunningTooLong", "Watchdog"}

    told = {
        alert["labels"]["alertname"]
        for request in channels.webhook.received
        for alert in request.json["alerts"]
        if not of_the_machine(alert)
    }
    assert told <= expected


def is_about_disk(request: Request, alertname: str, path: str) -> bool:
    return about(path, alertname)(request)


def assert_says(request: Request, *words: str) -> None:
    text = "\n".join(str(attachment) for attachment in request.json["attachments"])
    missing = [word for word in words if word not in text]
    assert missing == [], text
