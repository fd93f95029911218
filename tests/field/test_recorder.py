"""A recorder that knows nothing of the exporter, while the device's clock is set: what the clock left out is a hole
with its cause, and what it showed twice is there once.
"""

import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.field.conftest import HOST, SET_UP, write_settings
from tests.field.machine import BOOT, Machine
from tests.support import recorders
from tests.support.receivers import Slack
from tests.support.rtsp import RtspServer

FILE = 10
STEP = 300.0
"""Seconds by which the clock is set: more than it takes to see that footage is missing (docs/footage.md)."""
CONFIG = """
dvrs:
  gate: {url: "%(url)s", interval: 10s, timeout: 5s}
footage:
  gate: {files: "{dvr}_{start:%%Y%%m%%dT%%H%%M%%S}.mp4", length: 10s}
"""
pytestmark = [pytest.mark.rtsp, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def recording(device: Machine, slack: Slack, rtsp_tools: None) -> Iterator[Machine]:
    """The device, on which ffmpeg writes files of a camera outside."""
    device.restore(SET_UP)
    device.set_clock(datetime.now(UTC).timestamp())
    write_settings(device, slack, VV_CONFIG="/etc/vv/vv.yml")
    with RtspServer(method="") as camera:
        url = camera.url().replace("127.0.0.1", HOST)
        config = shlex.quote(CONFIG % {"url": url})
        device.check(f"printf '%s' {config} > /etc/vv/vv.yml && systemctl restart vv-exporter", timeout=BOOT)
        environment = recorders.settings("ffmpeg", url, "gate", FILE)
        set_ = " ".join(f"--setenv={name}={shlex.quote(text)}" for name, text in environment.items())
        device.check(
            f"systemd-run --unit=recorder -p WorkingDirectory=/srv/video {set_} sh -c {shlex.quote(recorders.LOOP)}"
        )
        yield device


def files(device: Machine) -> list[tuple[float, float]]:
    """Those that have anything in them: when each begins by its name, and when it was written last."""
    listed = device.check("find /srv/video -name 'gate_*.mp4' -size +0 -printf '%f %T@\n'").split()
    begins = [datetime.strptime(f"{name}Z", "gate_%Y%m%dT%H%M%S.mp4%z").timestamp() for name in listed[::2]]
    return sorted(zip(begins, map(float, listed[1::2]), strict=True))


def wait_for_files(device: Machine, count: int, since: float) -> None:
    """So many new ones that begin after a time of the device's clock."""
    device.wait(f"[ $(find /srv/video -name 'gate_*.mp4' -size +0 -newermt @{since:.0f} | wc -l) -ge {count} ]", BOOT)


def gate(device: Machine) -> dict[str, Any]:
    """What the ledger has of the camera."""
    (found,) = json.loads(device.get("/api/v1/footage"))["cameras"]
    return dict(found)


def wait_until_due(device: Machine, time: float) -> dict[str, Any]:
    """Until it is too late for footage of before then."""
    found: dict[str, Any] = {}

    def is_due() -> bool:
        found.update(gate(device))
        return bool(found["due"] > time)

    device.wait_until(is_due, STEP + BOOT, f"footage that is due at {time:.0f}")
    return found


def test_what_the_clock_left_out_is_missing_because_it_was_set(recording: Machine) -> None:
    wait_for_files(recording, 3, recording.now())
    before = recording.now()
    recording.set_clock(before + STEP)
    wait_for_files(recording, 3, recording.now())

    found = wait_until_due(recording, before + STEP + 2 * FILE)

    # Since the exporter began to watch, until the recorder was there, is another hole.
    holes = [hole for hole in found["missing"] if hole["end"] > before]
    assert [hole["cause"] for hole in holes] == ["clock_stepped"], json.dumps([found, files(recording)])
    assert before - 2 * FILE <= holes[0]["start"] <= before + FILE
    assert before + STEP - FILE <= holes[0]["end"] <= before + STEP + 2 * FILE


def test_what_the_clock_showed_twice_is_there_once(recording: Machine) -> None:
    before = recording.now()
    recording.set_clock(before - STEP)
    wait_for_files(recording, 3, recording.now())

    found = wait_until_due(recording, before + 2 * FILE)

    begin = min(start for start, _ in files(recording))
    holes = [hole for hole in found["missing"] if hole["start"] > begin]
    shown = json.dumps([before, found, files(recording)])
    assert [hole["cause"] for hole in holes] == ["clock_stepped"], shown
    assert holes[0]["end"] <= before - STEP + 2 * FILE, f"from there on the time came after all: {shown}"
    there = found["latest"]["recorded"] - begin - sum(hole["end"] - hole["start"] for hole in holes)
    assert abs(found["seconds"]["recorded"] - there) <= FILE, shown
