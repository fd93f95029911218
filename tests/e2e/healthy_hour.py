"""A healthy device at work: files, the stream of a real DVR, cron jobs, a supervised container, unshortened settings.

    python -m tests.e2e.healthy_hour [SECONDS]     an hour if not told otherwise; 1 if anybody was told of anything

What it raises is a defect of the rules, or of the machine that it runs on: the disks' limits are low, for a developer's
disk may be fuller than a recorder's, and a machine that is busy with something else is told of as such.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.device import Channels, Device
from tests.support.engine import EngineUnavailableError, busybox_image, private_engine
from tests.support.exporter import ROOMY
from tests.support.rtsp import RtspServer
from vv_exporter.stack.demo import make_key

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "pipeline"))

from device import Pipeline
from faults import agent
from make_videos import any_scenes, make_clip

HOUR = 3600.0
EXPECTED = "Watchdog|HostRebooted"
"""Alerts that are in order; the machine may have been started minutes ago, which is for the record."""
PASSWORD = "pass:w0rd"
CONFIG = """
stages:
  scan_video: {limit: 2m}
  summarize_scene: {limit: 2m}
  logline_generator: {limit: 2m}
jobs:
  orchestrator: {schedule: "* * * * *", grace: 2m}
  log_exporter: {schedule: "* * * * *", grace: 2m}
  cleanup_old_files: {schedule: "* * * * *", grace: 2m}
dvrs:
  front: {url: "%(url)s", username: viewer, password_file: "%(password)s"}
containers: {essential: [agent_dvr]}
self_monitor: {containers: [agent_dvr]}
"""
JOBS = (("orchestrator.py",), ("logline_verifier.py",), ("cleanup_old_files.py", "0.01"))


@dataclass(frozen=True)
class Report:
    """What there was to see at the end."""

    seconds: float
    told: list[dict[str, Any]]
    """Labels of the alerts that any channel got."""
    fired: list[dict[str, str]]
    """Labels of the alerts that fired at any time, but for those that are expected."""
    pending: list[dict[str, str]]
    """Of those that waited for their `for`, and did not fire."""
    failures: dict[str, float]
    """Of rule evaluations, notifications and collectors."""
    beats: int
    videos: float
    frames: float
    containers: float
    violations: list[str]

    @property
    def is_silent(self) -> bool:
        """Whether nobody was told of anything, and everything worked."""
        return not (self.told or self.fired or self.violations or any(self.failures.values()))

    def __str__(self) -> str:
        done = f"{self.videos:.0f} runs of stages, {self.frames:.0f} frames, {self.containers:.0f} containers"
        lines = [f"a healthy device, {self.seconds:.0f} s: {done}, {self.beats} beats of the Watchdog"]
        lines += [f"told: {labels}" for labels in self.told] or ["nobody was told of anything"]
        lines += [f"fired: {labels}" for labels in self.fired] or ["no other alert fired"]
        lines += [f"was pending: {labels}" for labels in self.pending]
        lines += [f"{name}: {value:g}" for name, value in self.failures.items() if value]
        return "\n".join(lines + self.violations)


def watch(folder: Path, seconds: float) -> Report:
    """Run the device in `folder` for so long."""
    password = folder / "dvr-password"
    password.write_text(PASSWORD + "\n")
    with Channels() as channels, RtspServer(password=PASSWORD) as dvr, _container() as docker_host:
        environ = {
            **channels.environ(),
            **dict.fromkeys(ROOMY, ""),  # the defaults
            "VV_SCRAPE_INTERVAL": "10s",
            "VIDEO_STORAGE_ROOT": str(folder / "videos"),
            "VV_HMAC_KEY_FILE": str(folder / "keys" / "test.key"),
            "DISK_WARNING_FREE": "2%,1GB",
            "DISK_CRITICAL_FREE": "1%,500MB",
            "DOCKER_HOST": docker_host,
        }
        (folder / "videos").mkdir()
        make_key(folder / "keys" / "test.key")
        config = CONFIG % {"url": dvr.url(), "password": password}
        with Device(folder / "device", environ, config) as device:
            access = {"DVR_URL": dvr.url(), "DVR_USERNAME": "viewer", "DVR_PASSWORD_FILE": str(password)}
            pipeline = Pipeline(device.env | access)
            pace = min(60.0, seconds / 10)
            with _Cron(pipeline, pace), agent(_Agent(pipeline), "front", VIDEO_SECONDS=f"{pace:.0f}"):
                threading.Event().wait(seconds)
                return _report(device, channels, seconds)


class _Agent:
    """What `faults.agent` needs: a pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline


class _Cron(threading.Thread):
    """Delivers a video and runs the jobs, every so many seconds."""

    def __init__(self, pipeline: Pipeline, pace: float) -> None:
        super().__init__(daemon=True)
        self._pipeline = pipeline
        self._pace = pace
        self._ending = threading.Event()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join()
        self._pipeline.end()

    def run(self) -> None:
        due = time.monotonic()
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            due += self._pace
            self._pipeline.deliver("yard", lambda path: make_clip(path, any_scenes()))
            for job in (*JOBS, ("log_exporter.py", str(self._pipeline.folder("export")))):
                self._pipeline.run(*job).result()


@contextlib.contextmanager
def _container() -> Iterator[str]:
    """A healthy container; yields the address of its Engine, "" where none of our own can be had."""
    with contextlib.ExitStack() as stack:
        try:
            engine = stack.enter_context(private_engine())
            image = busybox_image(engine)
        except EngineUnavailableError:
            yield ""
            return
        client = stack.enter_context(contextlib.closing(engine.client()))
        client.create_container(
            image,
            ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"],
            name="agent_dvr",
            host_config=client.create_host_config(network_mode="none", restart_policy={"Name": "unless-stopped"}),
            healthcheck={"test": ["CMD", "true"], "interval": 10_000_000_000},
        )
        client.start("agent_dvr")
        yield engine.host


def _report(device: Device, channels: Channels, seconds: float) -> Report:
    window = f"[{seconds + 60:.0f}s]"
    fired = _labels(device, f'present_over_time(ALERTS{{alertstate="firing",alertname!="Watchdog"}}{window})')
    pending = _labels(device, f'present_over_time(ALERTS{{alertstate="pending"}}{window})')
    assert device.query(f'present_over_time(ALERTS{{alertname="Watchdog"}}{window})'), "not even the Watchdog"
    return Report(
        seconds=seconds,
        told=_told(channels),
        fired=fired,
        pending=pending,
        failures={
            "rule evaluations that failed": _value(device, "sum(prometheus_rule_evaluation_failures_total)"),
            "notifications that failed": _value(device, "sum(alertmanager_notifications_failed_total)"),
            "collectors that failed": _value(device, f"count(min_over_time(vv_collector_success{window}) == 0)"),
        },
        beats=len(channels.deadman.received),
        videos=_value(device, 'sum(vv_stage_duration_seconds_count{outcome="success"})'),
        frames=_value(device, "sum(vv_dvr_frames_total)"),
        containers=_value(device, "sum(vv_container_running)"),
        violations=channels.violations(),
    )


def _told(channels: Channels) -> list[dict[str, Any]]:
    receivers = (channels.slack, channels.telegram, channels.pagerduty)
    requests = [request.json for receiver in receivers for request in receiver.received]
    alerts = [alert["labels"] for request in channels.webhook.received for alert in request.json["alerts"]]
    return requests + [labels for labels in alerts if not re.fullmatch(EXPECTED, labels["alertname"])]


def _labels(device: Device, promql: str) -> list[dict[str, str]]:
    hidden = ("__name__", "alertstate")
    return [
        {name: value for name, value in sample["metric"].items() if name not in hidden}
        for sample in device.query(promql)
    ]


def _value(device: Device, promql: str) -> float:
    """The value of an expression without labels; 0 where it has none."""
    return sum(float(sample["value"][1]) for sample in device.query(promql))


def main(seconds: float) -> int:
    """Watch, and print the report."""
    with tempfile.TemporaryDirectory(prefix="vv-healthy-") as folder:
        report = watch(Path(folder), seconds)
    print(report)
    return 0 if report.is_silent else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else HOUR))
