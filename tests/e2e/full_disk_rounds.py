"""A device whose one disk, of 160 MB, is filled to the last byte, time and again: while it runs, and before its start.

    python -m tests.e2e.full_disk_rounds [ROUNDS [SEED]]     ten if not told otherwise, with unshortened settings

Each round: people are told within two minutes, nothing is told as ended, everything is back within two minutes of
space, and what a script reported is counted exactly.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.device import Channels, Device, about
from tests.support.disks import SmallDisk, small_ext4
from tests.support.exporter import QUIET
from tests.support.receivers import Request
from tests.support.waiting import wait_until

DISK_BYTES = 160 << 20
TOLD_WITHIN_SECONDS = 120.0
BACK_WITHIN_SECONDS = 120.0
LASTING = "cannot be used"
DISK_FULL = "The disk of"
PATH_BROKEN, PATH_WORKS = "The alert path is broken", "The alert path works again"
SCRIPT = """
import select, sys
from vv_core.alerter import send_alert
from vv_core.jobs import heartbeat
done = 0
while True:
    if select.select([sys.stdin], [], [], 0.3)[0]:
        line = sys.stdin.readline().strip()
        if line in ("", "end"):
            break
        send_alert("ERROR", line, "While the disk was full.", "steady")
    heartbeat("steady", component="steady")
    done += 1
print(done, flush=True)
"""


@dataclass(frozen=True)
class Round:
    """What happened: seconds until somebody was told, and until everything was back."""

    running: bool
    full_seconds: float
    told_after: float
    told: str
    back_after: float

    def __str__(self) -> str:
        when = "while it ran" if self.running else "before its start"
        return (
            f"filled {when}, full for {self.full_seconds:.0f} s: told after {self.told_after:.0f} s ({self.told}), "
            f"back after {self.back_after:.0f} s"
        )


class Site:
    """A device on a small disk, with an alert that lasts, and a script that reports all the time."""

    def __init__(self, folder: Path, channels: Channels, disk: SmallDisk, environ: Mapping[str, str]) -> None:
        self.channels = channels
        self.disk = disk
        places = {"VIDEO_STORAGE_ROOT": str(folder / "videos"), "VV_STATE_DIR": str(disk.folder / "state")}
        self.device = Device(folder / "device", {**channels.environ(), **QUIET, **places, **environ})
        self.device.state = disk.folder / "state"
        self.alerts: list[str] = []

    def begin(self) -> None:
        """Have the lasting alert told: the folder of the videos is not there."""
        self.channels.slack.wait_for(about(LASTING), 180)
        wait_until(lambda: self.path_state() == "works", 180, what="a beat that comes back")

    def stop(self) -> None:
        """Stop it as its user does, and forget what it printed."""
        self.device.__exit__(None, None, None)
        (self.device.state.parent.parent / "device" / "up.out").unlink()

    def path_state(self) -> str:
        """What the status says of the alert path."""
        return str(self._status()["alert_path"]["state"])

    def says_so(self) -> bool:
        """Whether the status says that something is wrong with the exporter's disk, or the alert path."""
        troubles = self._status()["troubles"]
        return any("write nothing down" in one or "alert path is broken" in one for one in troubles)

    def _status(self) -> Any:
        return requests.get(f"{self.device.url('exporter')}/api/v1/status", timeout=10).json()

    def metrics(self) -> dict[str, float]:
        answer = requests.get(f"{self.device.url('exporter')}/metrics", timeout=10)
        samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
        return {f"{one.name}{json.dumps(one.labels, sort_keys=True)}": one.value for one in samples}

    def counted(self) -> float:
        """Reports of the script that were counted, as such or as dropped."""
        metrics = self.metrics()
        runs = metrics.get('vv_job_runs_total{"job": "steady", "result": "success"}', 0.0)
        return runs + metrics.get('vv_events_dropped_total{"component": "steady"}', 0.0)

    def titles(self, since: int) -> list[str]:
        return [title_of(request) for request in self.channels.slack.received[since:]]


def title_of(request: Request) -> str:
    title: str = request.json["attachments"][0]["title"]
    return title


@contextlib.contextmanager
def kept_full(disk: SmallDisk) -> Iterator[None]:
    """What others give back meanwhile is filled, too."""
    ending = threading.Event()

    def fill() -> None:
        while not ending.wait(0.5):
            disk.fill()

    disk.fill()
    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        disk.empty()


def round_of(site: Site, full_seconds: float, *, running: bool) -> Round:
    """One round on a device that is healthy, and is so again afterwards."""
    before = len(site.channels.slack.received)
    device, number = site.device, len(site.alerts)
    script = device.script(SCRIPT)
    assert script.stdin is not None
    assert script.stdout is not None
    try:
        counted = site.counted()
        if not running:
            site.stop()
        began = time.monotonic()
        with kept_full(site.disk):
            if not running:
                device.__enter__()
            site.alerts.append(f"Alert {number} while it was full")
            script.stdin.write(site.alerts[-1] + "\n")
            script.stdin.flush()
            told = _first(site, before, lambda title: PATH_BROKEN in title or DISK_FULL in title)
            told_after = told.time - began
            wait = threading.Event()
            while (left := full_seconds - (time.monotonic() - began)) > 0:
                wait.wait(min(left, 5))
                assert site.says_so()
            ended = [title for title in site.titles(before) if title.startswith("RESOLVED")]
            assert not ended, f"told as ended while the disk was full: {ended}"
        emptied = time.monotonic()
        wait_until(lambda: not site.says_so(), BACK_WITHIN_SECONDS + 60, what="health")
        title = site.alerts[-1]
        site.channels.slack.wait_for(about(title), BACK_WITHIN_SECONDS)
        back_after = time.monotonic() - emptied
        assert max(told_after - TOLD_WITHIN_SECONDS, back_after - BACK_WITHIN_SECONDS) <= 0, (told_after, back_after)
        script.stdin.write("end\n")
        script.stdin.close()
        reported = int(script.stdout.readline())
        script.wait(30)
        wait_until(lambda: site.counted() - counted >= reported, 60, what=f"{reported} reports counted")
        assert site.counted() - counted == reported
    finally:
        script.kill()
    _check_words(site, before)
    return Round(running, full_seconds, told_after, title_of(told), back_after)


def _first(site: Site, before: int, is_meant: Any) -> Request:
    def found() -> Request | None:
        return next((one for one in site.channels.slack.received[before:] if is_meant(title_of(one))), None)

    request = wait_until(found, TOLD_WITHIN_SECONDS + 120, what="somebody told")
    assert request is not None
    return request


def _check_words(site: Site, before: int) -> None:
    """Each alert once, and nothing that is not true."""
    titles = site.titles(before)
    assert not [title for title in titles if LASTING in title and title.startswith("RESOLVED")], titles
    for alert in site.alerts:
        assert sum(alert in title_of(one) for one in site.channels.slack.received) <= 1, (alert, titles)
    for untrue in ("ExporterDown", "AlertmanagerDown", "RuleEvaluationFailing"):
        assert not site.channels.slack.matching(about(untrue)), (untrue, titles)
    assert sum(PATH_WORKS in title for title in titles) <= 1, titles


@contextlib.contextmanager
def site_on_small_disk(folder: Path, environ: Mapping[str, str]) -> Iterator[Site]:
    with Channels() as channels, small_ext4(folder / "disk", folder / "image", DISK_BYTES) as disk:
        site = Site(folder, channels, disk, environ)
        with site.device:
            site.begin()
            yield site
        assert channels.violations() == []


def main(rounds: int, seed: int) -> int:
    """Run them, and print what happened."""
    chance = random.Random(seed)
    print(f"seed {seed}", flush=True)
    environ = {"VV_SCRAPE_INTERVAL": "10s"}
    with (
        tempfile.TemporaryDirectory(prefix="vv-full-disk-") as folder,
        site_on_small_disk(Path(folder), environ) as site,
    ):
        for number in range(rounds):
            threading.Event().wait(chance.uniform(0, 30))
            begun = len(site.channels.slack.received)
            try:
                print(round_of(site, chance.uniform(120, 400), running=number % 2 == 0), flush=True)
            finally:
                print("\n".join(f"    {title}" for title in site.titles(begun)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in (sys.argv[1:] + ["10", "1"][len(sys.argv) - 1 :]))))
