"""The ways in which the demo breaks the pipeline, from outside: the scripts know nothing of it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from make_videos import any_scenes, make_clip, make_cut_off
from storage import folder

from vv_core.alerter import send_alert

LONG = 120  # seconds of video that take scan_video a second or more


@dataclass(frozen=True)
class Fault:
    """Something that went wrong at a time (Unix seconds), and the alert that must tell of it."""

    what: str
    alert: str
    about: str
    since: float


class Demo(Protocol):
    """What a fault needs of the demo."""

    def deliver(self, camera: str, make: Maker) -> str:
        """Put a new video into ``input/``; returns its name."""

    def announce(self, what: str, alert: str, within: float) -> None:
        """Tell what happens now, and what to expect."""

    def wait_for_line(self, pattern: str, seconds: float) -> re.Match[str]:
        """Wait for a line of ``app.log``. Raises `TimeoutError`."""

    def wait_for_alert(self, fault: Fault, seconds: float) -> None:
        """Wait until a fault is told."""


class Maker(Protocol):
    """Writes a video to a path."""

    def __call__(self, path: Path) -> None: ...


def raised_alert(demo: Demo) -> None:
    """A script raises an alert."""
    demo.announce('a script calls send_alert("CRITICAL", "Recording has stopped", …)', "VVEvent", 10)
    fault = Fault("a script raises a CRITICAL alert", "VVEvent", "Recording has stopped", time.time())
    send_alert(
        "CRITICAL",
        "Recording has stopped",
        {"camera": "front-door", "last frame": time.strftime("%H:%M:%SZ", time.gmtime())},
        "demo.py",
        suggested_actions=["Nothing to do: this is the demo"],
    )
    demo.wait_for_alert(fault, 30)


def corrupt_video(demo: Demo) -> None:
    """A video that is cut off."""
    name = demo.deliver("cut-off", make_cut_off)
    demo.announce(f"{name} is only the first part of a video: scan_video refuses it", "StageFailing", 20)
    demo.wait_for_line(rf"scan_video\.py\[\d+\] {name} cannot be used", 60)
    demo.wait_for_alert(Fault(f"a corrupt video, {name}", "StageFailing", name, time.time()), 60)


def killed_stage(demo: Demo) -> None:
    """SIGKILL in the middle of a video; the next run takes it again."""
    name, pid = _scanning(demo, "garage")
    demo.announce(f"killing scan_video in the middle of {name}", "StageCrashed", 30)
    os.kill(pid, signal.SIGKILL)
    demo.wait_for_alert(Fault(f"scan_video killed in the middle of {name}", "StageCrashed", name, time.time()), 60)


def hanging_stage(demo: Demo) -> None:
    """A stage that hangs, until its alert is there: then it goes on where it was."""
    name, pid = _scanning(demo, "garden")
    limit = os.environ["MAX_PROCESSING_TIME_SCAN_VIDEO"]
    demo.announce(f"scan_video hangs in the middle of {name}; its limit is {limit}", "StageOverdue", 30)
    with _stopped(pid):
        fault = Fault(f"scan_video hangs; its limit is {limit}", "StageOverdue", "scan_video", time.time())
        demo.wait_for_alert(fault, 60)


def failing_job(demo: Demo) -> None:
    """A cron job that fails: its disk is not there."""
    target = folder("output").parent / "nas" / "backup"
    demo.announce("vv cron runs a backup to a disk that is not there", "JobFailed", 20)
    vv = Path(sys.executable).with_name("vv")
    command = ["cp", "--recursive", str(folder("output")), str(target)]
    subprocess.run([vv, "cron", "--job", "nightly_backup", "--", *command], check=False, capture_output=True)
    demo.wait_for_alert(Fault("a cron job fails", "JobFailed", "nightly_backup", time.time()), 60)


@contextlib.contextmanager
def missed_job(demo: Demo, name: str) -> Iterator[None]:
    """A job that nobody runs. It takes a minute or two, in which other things may go wrong."""
    due = _due(name)
    at = time.strftime("%H:%M:%SZ", time.gmtime(due))
    demo.announce(f"nobody runs {name}, which is due at {at} (grace 10 s, the rule waits 30 s)", "JobMissed", 120)
    yield
    demo.wait_for_alert(Fault(f"{name} is due at {at}, nobody runs it", "JobMissed", name, due), 150)


FAULTS = (raised_alert, corrupt_video, killed_stage, hanging_stage, failing_job)


def _scanning(demo: Demo, camera: str) -> tuple[str, int]:
    """A long video that is being scanned now, and the process that does it."""
    name = demo.deliver(camera, lambda path: make_clip(path, any_scenes(LONG)))
    line = demo.wait_for_line(rf"scan_video\.py\[(\d+)\] {name}: scanning", 60)
    return name, int(line[1])


@contextlib.contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _due(job: str) -> float:
    """When a job is due, as the exporter has it."""
    url = f"http://127.0.0.1:{os.environ.get('VV_EXPORTER_PORT', '19461')}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    (value,) = re.findall(rf'^vv_job_next_due_timestamp_seconds{{job="{job}"}} (\S+)', text, re.MULTILINE)
    return float(value)
