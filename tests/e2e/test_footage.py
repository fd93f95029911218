"""Footage on a real device: a script that reports it, a recorder that does not, a kill; the page in a real browser."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from tests.support.browser import WIDTHS, Browser, opened, problems, sticking_out
from tests.support.exporter import QUIET, Exporter

HOSTILE = "<b>\N{RIGHT-TO-LEFT OVERRIDE}&amp;"
SCRIPT = """
import sys
from vv_core.dvr import DvrLink
from vv_core.footage import recorded
from vv_core.stages import stage

begin = float(sys.argv[1])
for minute in [*range(0, 30), *range(40, 60)]:
    recorded("yard", begin + 60 * minute, begin + 60 * minute + 60, video=f"/v/{minute}.mp4")
    with stage("scan_video", video=f"/v/{minute}.mp4"):
        pass
recorded(sys.argv[2], begin, begin + 60)
DvrLink("yard").frame()
"""


class Site:
    """An exporter with the files of a recorder, and an hour of footage of a script, which began two hours ago."""

    def __init__(self, folder: Path) -> None:
        self.videos = folder / "videos"
        self.videos.mkdir()
        config = folder / "vv.yml"
        config.write_text('footage:\n  gate: {files: "{dvr}_{start:%Y%m%dT%H%M%S}.mp4", length: 60s}\n')
        environ = {"VV_CONFIG": str(config), "VIDEO_STORAGE_ROOT": str(self.videos), **QUIET}
        self.exporter = Exporter(folder / "state", **environ)
        self.begin = time.time() // 60 * 60 - 7200
        for minute in (*range(20), *range(25, 110)):
            self.write(self.begin + 60 * minute)

    def write(self, start: float) -> None:
        path = self.videos / f"gate_{datetime.fromtimestamp(start, UTC):%Y%m%dT%H%M%S}.mp4"
        path.write_bytes(b"x" * 100)
        os.utime(path, (start + 60, start + 60))

    def report(self) -> None:
        environ = {**os.environ, "VV_STATE_DIR": str(self.exporter.state)}
        subprocess.run([sys.executable, "-c", SCRIPT, str(self.begin), HOSTILE], env=environ, check=True, timeout=120)

    def cameras(self) -> dict[str, dict[str, object]]:
        answer = requests.get(f"{self.exporter.url}/api/v1/footage", timeout=30)
        return {one["dvr"]: one for one in answer.json()["cameras"]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("footage"))
    with site.exporter:
        site.report()
        site.exporter.kill()
        site.exporter.start()
        site.exporter.wait_for('vv_footage_seconds_total{dvr="yard",step="analysed"}', 3000, 60)
        site.exporter.wait_for('vv_footage_seconds_total{dvr="gate",step="recorded"}', 6300, 60)
        site.exporter.wait_for('vv_footage_oldest_timestamp_seconds{dvr="gate"}', site.begin, 60)
        yield site


def test_what_scripts_and_files_say_is_there_once_after_a_kill(site: Site) -> None:
    cameras = site.cameras()
    yard, gate = cameras["yard"], cameras["gate"]

    assert yard["seconds"] == pytest.approx({"recorded": 3000, "analysed": 3000, "received": 0.001})
    assert gate["seconds"] == {"recorded": 6300}
    holes = [(one["start"] - site.begin, one["end"] - site.begin) for one in gate["missing"]]  # type: ignore[attr-defined]
    assert holes[0] == (20 * 60, 25 * 60)
    assert {one["cause"] for one in gate["missing"]} == {"unknown"}  # type: ignore[attr-defined]
    assert site.exporter.metrics()['vv_footage_oldest_timestamp_seconds{dvr="gate"}'] == site.begin
    assert site.exporter.metrics()['vv_footage_retention_seconds{dvr="gate"}'] > 7000


def test_the_command_says_what_the_page_says(site: Site) -> None:
    environ = {**os.environ, **site.exporter.environ}
    printed = [
        subprocess.run(
            [sys.executable, "-m", "vv_exporter", "footage", *more], env=environ, capture_output=True, text=True,
            check=True, timeout=120,
        ).stdout
        for more in ([], ["--json"])
    ]  # fmt: skip

    assert "gate: " in printed[0]
    assert " 5 min  unknown" in printed[0]
    assert {one["dvr"] for one in json.loads(printed[1])["cameras"]} == set(site.cameras())
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in "".join(printed)


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_everybody_can_read_the_page_everywhere(site: Site, chromium: Browser, width: int) -> None:
    for scheme in ("light", "dark"):
        with opened(chromium, f"{site.exporter.url}/footage", width=width, color_scheme=scheme) as page:
            assert problems(page) == []
            assert sticking_out(page) == []


@pytest.mark.browser
def test_a_missing_piece_leads_to_its_moment(site: Site, chromium: Browser) -> None:
    with opened(chromium, f"{site.exporter.url}/footage", java_script_enabled=False) as page:
        page.locator("tbody a").first.click()

        assert "/timeline?at=" in page.url
        assert page.locator("h1").inner_text().startswith("Timeline")
