"""What has just failed is told before Prometheus has asked for everything: of that it asks every two seconds."""

from pathlib import Path

import pytest

from tests.support.device import Channels, Device, about

pytestmark = pytest.mark.prometheus

STAGE = """
from vv_core.stages import stage
with stage("scan_video", component="scan_video.py", video="/videos/gate-0031.mp4"):
    raise ValueError("no key frame in 31 s")
"""
KILLED = """
import os
from vv_core.stages import stage
with stage("cut_video", component="cut_video.py", video="/videos/yard-0002.mp4"):
    os.kill(os.getpid(), 9)
"""
INVALID = """
from vv_core.schemas import validate_schema
validate_schema({"a": ""}, {"properties": {"a": {"type": "number"}}}, component="check_schema.py")
"""
UNSIGNED = """
from vv_core.signing import verify_signature
verify_signature({"a": 1, "signature": {}}, component="verify.py")
"""
EXCEPTION = """
from vv_core.guard import guard
with guard("orchestrator.py"):
    raise LookupError("no such camera")
"""
JOB = """
import subprocess, sys
job = ["sh", "-c", "echo disk is gone >&2; exit 7"]
subprocess.run([sys.executable, "-m", "vv_exporter", "cron", "--job", "cleanup_old_files", "--", *job])
"""


def test_failures_are_told_with_all_that_is_known_before_their_counters_are_scraped(tmp_path: Path) -> None:
    """The counters are scraped, and their rules evaluated, every ten minutes."""
    with Channels() as channels:
        environ = channels.environ() | {"VV_SCRAPE_INTERVAL": "10m", "VV_ALERT_PATH_AFTER": "1h"}
        with Device(tmp_path, environ) as device:
            for script in (STAGE, KILLED, INVALID, UNSIGNED, EXCEPTION, JOB):
                device.script(script).wait(60)
            expected = [
                (
                    "Stage scan_video is failing",
                    "failed in the last 15 minutes: 1",
                    "gate-0031.mp4",
                    "no key frame in 31 s",
                ),
                ("Stage cut_video crashed", "yard-0002.mp4", "the process died unexpectedly"),
                ("check_schema.py", "did not satisfy the schema", "in the last 15 minutes: 1"),
                ("verify.py", "refused in the last 15 minutes: 1", "CRITICAL"),
                ("orchestrator.py", "LookupError", "no such camera"),
                ("Job cleanup_old_files failed", "the last exit code was 7", "disk is gone"),
            ]
            for words in expected:
                channels.slack.wait_for(about(*words), 60)
            channels.pagerduty.wait_for(about("verify.py"), 60)
            assert [len(channels.slack.matching(about(*words))) for words in expected] == [1] * len(expected)
        assert channels.violations() == []
