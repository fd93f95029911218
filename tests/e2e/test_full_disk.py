"""The disk of the state is full when the exporter starts: it answers, and goes on when there is room.

So does a whole device whose servers have no other disk; `python -m tests.e2e.full_disk_rounds` does it ten times, with
unshortened settings.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.full_disk_rounds import round_of, site_on_small_disk
from tests.support.disks import SmallDisk, small_disk
from tests.support.exporter import QUIET, Exporter
from tests.support.servers import Programs
from tests.support.waiting import wait_until

HEARTBEATS = 'vv_job_runs_total{job="nightly",result="success"}'
CONFIG = """
jobs:
  nightly: {schedule: "0 3 * * *"}
dvrs:
  gate: {url: "rtsp://127.0.0.1:1/stream", interval: 1s}
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def exporter(disk: SmallDisk, tmp_path: Path) -> Iterator[Exporter]:
    (tmp_path / "vv.yml").write_text(CONFIG)
    (disk.folder / "state").mkdir()
    exporter = Exporter(disk.folder / "state", VV_CONFIG=str(tmp_path / "vv.yml"), **QUIET)
    yield exporter
    exporter.stop()


def heartbeat(exporter: Exporter) -> None:
    command = [sys.executable, "-m", "vv_exporter", "heartbeat", "nightly"]
    subprocess.run(command, env=exporter.environ, check=True, timeout=60, capture_output=True)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_it_starts_answers_and_counts_on_when_there_is_room(
    exporter: Exporter, disk: SmallDisk, end: signal.Signals
) -> None:
    exporter.start()
    for _ in range(3):
        heartbeat(exporter)
    exporter.wait_for(HEARTBEATS, 3)
    if end == signal.SIGKILL:
        exporter.kill()
    else:
        exporter.stop()

    disk.fill()
    exporter.start()
    assert exporter.scraped()[HEARTBEATS] == 3
    assert requests.get(exporter.url, timeout=10).status_code == 200

    disk.empty()
    heartbeat(exporter)
    exporter.wait_for(HEARTBEATS, 4)
    wait_until(lambda: 'vv_dvr_attempts_total{dvr="gate",result="refused",source="probe"}' in exporter.metrics())
    exporter.stop()
    exporter.start()
    assert exporter.scraped()[HEARTBEATS] == 4


def test_a_new_one_starts_too_and_begins_to_count_when_there_is_room(exporter: Exporter, disk: SmallDisk) -> None:
    (exporter.state / "exporter").mkdir()
    (exporter.state / "journal").mkdir()
    disk.fill()
    exporter.start()
    token = {"Authorization": "Bearer "}
    webhook = f"{exporter.url}/api/v1/alertmanager"
    assert requests.post(webhook, headers=token, timeout=10).status_code == 503

    disk.empty()
    heartbeat(exporter)
    exporter.wait_for(HEARTBEATS, 1)
    assert requests.post(webhook, headers=token, timeout=10).status_code == 401


@pytest.mark.prometheus
@pytest.mark.timeout(900)
def test_a_device_whose_one_disk_is_full_tells_it_and_nothing_that_is_not_so(
    tmp_path: Path, programs: Programs
) -> None:
    quick = {"VV_SCRAPE_INTERVAL": "2s", "VV_ALERT_PATH_AFTER": "20s"}
    with site_on_small_disk(tmp_path, quick) as site:
        for running in (True, False):
            round_of(site, full_seconds=45, running=running)
