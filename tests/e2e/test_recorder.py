"""A recorder that knows nothing of the exporter, on a real RTSP server: what it misses is found, and why, by
configuration alone.

Files are of ten seconds and faults last half a minute, so that this takes a few minutes; `RECORDER_FILE=60
RECORDER_FAULT=90` is what recorders do. This machine's clock is not ours to set: of that tells `tests/unit/footage`.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import requests

from tests.support.device import Channels, Device, about
from tests.support.disks import SmallDisk, small_disk
from tests.support.recorders import Recorder
from tests.support.rtsp import RtspServer
from tests.support.servers import Programs
from tests.support.waiting import wait_until

FILE = float(os.environ.get("RECORDER_FILE", "10"))
FAULT = float(os.environ.get("RECORDER_FAULT", "30"))
LATE = 120.0 + FILE
"""Seconds after which footage is missing that is not there (docs/footage.md), and more where files grow longer."""
UNWRITTEN = 15.0
"""Seconds of this camera's stream that ffmpeg had not written down: it keeps up to 32 KB, which a kill costs."""
BACK = 60.0
"""Seconds in which the shell has ffmpeg again, and that its first frame: four on a machine that is not busy."""

pytestmark = [pytest.mark.prometheus, pytest.mark.rtsp, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Fault:
    """When the recorder could not record, and why."""

    start: float
    end: float
    cause: str


class Site:
    """A camera, its recorder, the disk of its files, and a device that watches."""

    def __init__(
        self, device: Device, channels: Channels, camera: RtspServer, recorder: Recorder, disk: SmallDisk
    ) -> None:
        self.device, self.channels, self.camera, self.recorder, self.disk = device, channels, camera, recorder, disk
        self.faults: list[Fault] = []

    def missing(self) -> list[Fault]:
        """What the ledger has, in its order."""
        parts = self.gate()["missing"]
        return sorted((Fault(part["start"], part["end"], part["cause"]) for part in parts), key=lambda one: one.start)

    def gate(self) -> dict[str, Any]:
        """All that the ledger has of the camera."""
        answer = requests.get(f"{self.device.url('exporter')}/api/v1/footage", timeout=30).json()
        (found,) = answer["cameras"]
        return found

    def suffer(self, cause: str, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """Something is wrong for a while, between two times in which all is well."""
        back = time.time()
        wait_until(lambda: self.files_since(back) >= 2, 3 * FILE + BACK, what="two new files")
        began = time.time()
        begin()
        time.sleep(FAULT)
        self.faults.append(Fault(began, time.time(), cause))
        end()

    def files_since(self, time: float) -> int:
        """How many files that have anything in them begin after it."""
        return sum(start > time for start, _ in self.files())

    def files(self) -> list[tuple[float, float]]:
        """The files that have anything in them: when each begins by its name, and when it was written last."""
        found = [(path, path.stat()) for path in self.disk.folder.glob("gate_*.mp4")]
        begins = [(datetime.strptime(f"{path.stem}Z", "gate_%Y%m%dT%H%M%S%z"), status) for path, status in found]
        return sorted((at.timestamp(), status.st_mtime) for at, status in begins if status.st_size)

    def edges(self, fault: Fault) -> tuple[float, float]:
        """The end of what was written before it, and the beginning of what was recorded after it."""
        files = self.files()
        before = max(written for start, written in files if start < fault.start)
        return before, min(start for start, _ in files if start >= fault.end - 1)

    def knows_all(self) -> bool:
        """Whether it is too late for footage that would be missing still."""
        return bool(self.gate()["due"] > self.edges(self.faults[-1])[1])

    def fill(self) -> None:
        self.disk.fill()

    def empty(self) -> None:
        self.disk.empty()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, rtsp_tools: None, programs: Programs) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with RtspServer(method="") as camera, small_disk(folder / "videos", "64m") as disk, Channels() as channels:
        config = (
            f"dvrs:\n  gate: {{url: {camera.url()!r}, interval: 5s, timeout: 3s}}\n"
            f'footage:\n  gate: {{files: "{{dvr}}_{{start:%Y%m%dT%H%M%S}}.mp4", length: {FILE:.0f}s, dvr_keeps: 7d}}\n'
        )
        environ = {
            **channels.environ(),
            "DOCKER_HOST": "unix:///nonexistent/docker.sock",
            "VIDEO_STORAGE_ROOT": str(disk.folder),
            "DISK_WARNING_FREE": "15%",
            "DISK_CRITICAL_FREE": "10%",
            "VV_FOOTAGE_MISSING": "15s",
        }
        with (
            Recorder(camera.url(), disk.folder, "gate", FILE) as recorder,
            Device(folder / "device", environ, config) as device,
        ):
            site = Site(device, channels, camera, recorder, disk)
            site.suffer("dvr_down", camera.stop, camera.start)
            site.suffer("recorder", recorder.kill, recorder.start)
            site.suffer("ingest_paused", site.fill, site.empty)
            wait_until(site.knows_all, LATE + BACK + 60, what="the end of the last hole")
            yield site
        assert channels.violations() == []


def test_each_hole_is_found_with_its_cause_and_no_other(site: Site) -> None:
    found = site.missing()

    assert [hole.cause for hole in found] == [fault.cause for fault in site.faults], (found, site.faults)
    for hole, fault in zip(found, site.faults, strict=True):
        start, end = site.edges(fault)
        assert abs(hole.start - start) <= 1, (hole, fault, start)
        assert abs(hole.end - end) <= 1, (hole, fault, end)
        assert fault.start - UNWRITTEN <= start <= fault.end, (start, fault)
        assert fault.end - 1 <= end <= fault.end + BACK, (end, fault)


def test_the_alert_says_what_no_other_alert_has_told(site: Site) -> None:
    fault = next(one for one in site.faults if one.cause == "recorder")
    request = site.channels.slack.wait_for(about("Footage of gate is missing", "cause recorder"), 120)

    text = request.body.decode()
    assert any(time.strftime("%H:%M:%S UTC", time.gmtime(fault.start + s)) in text for s in range(-15, 6))
    assert "the DVR has its own recording until" in text
    assert "cause dvr_down" not in text, "DvrUnreachable has told of that"


def test_the_timeline_tells_of_each_hole_when_it_is_over(site: Site) -> None:
    def told() -> list[str]:
        answer = requests.get(f"{site.device.url('exporter')}/api/v1/timeline", timeout=30).json()
        return [one["details"] for one in answer["moments"] if one["kind"] == "footage.missing"]

    wait_until(lambda: len(told()) == 3, 120, what="three holes in the timeline")
    words = (
        "the DVR gave no stream",
        "frames came, and nothing was recorded",
        "storing was paused, as the disk was full",
    )
    assert all(any(word in line for line in told()) for word in words), told()
