"""`vv up --demo` as a newcomer sees it: every fault that it announces is told, naming what it is about, and nothing
else is; the same pipeline without faults is silent. Both run side by side, and as long."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support.ports import free_port
from tests.support.servers import Programs
from tests.support.waiting import wait_until

pytestmark = pytest.mark.prometheus

TOUR = 150  # seconds, the start of the stack included
FIRING = re.compile(r"ALERT FIRING (\w+) (\w+): (.*)")
ROW = re.compile(r"^    (.+?)  +(\w+)  +([\d.-]+)$", re.MULTILINE)


class Demo:
    """A running `vv up --demo` in a terminal session of its own."""

    def __init__(self, folder: Path, option: str) -> None:
        self.state = folder / "state"
        self._output = folder / "output"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VV_", "DOCKER_", "DISK_"))}
        self.ports = [free_port() for _ in range(3)]
        names = ("VV_EXPORTER_PORT", "VV_PROMETHEUS_PORT", "VV_ALERTMANAGER_PORT")
        folder.mkdir()
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vv_exporter", "up", option, "--state-dir", str(self.state)],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=kept | {name: str(port) for name, port in zip(names, self.ports, strict=True)},
            )

    def says(self, text: str) -> bool:
        """Whether it printed this; it must still run."""
        assert self.process.poll() is None, self.output()
        return text in self.output()

    def output(self) -> str:
        """What it printed."""
        return self._output.read_text()

    def log(self) -> str:
        """What stands in app.log."""
        return (self.state / "demo" / "logs" / "app.log").read_text()

    def end(self) -> list[psutil.Process]:
        """Press Ctrl-C; returns the processes that are left."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, signal.SIGINT)
        assert self.process.wait(60) == 0, self.output()
        return [child for child in children if _lives(child)]

    def kill(self) -> None:
        """Leave nothing running after a test that failed."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
                process.kill()


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@dataclass
class Seen:
    """What was there at the end of the tour."""

    output: str
    log: str
    left: list[psutil.Process]

    @property
    def notices(self) -> list[tuple[str, str, str]]:
        """Severity, alert, text of each alert that began."""
        return FIRING.findall(self.log)

    def text(self, alert: str) -> str:
        """The text of an alert that came once."""
        (text,) = (text for _, name, text in self.notices if name == alert)
        return text

    def video(self, camera: str) -> str:
        """The name of the camera's video, as it was announced."""
        found = re.search(rf"{camera}-\d+\.mp4", self.output)
        assert found
        return found[0]


@pytest.fixture(scope="module")
def seen(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Seen]]:
    folder = tmp_path_factory.mktemp("demo")
    demos = {"faults": Demo(folder / "faults", "--demo"), "healthy": Demo(folder / "healthy", "--demo=healthy")}
    try:
        wait_until(lambda: demos["faults"].says("the tour is over"), TOUR, what="the end of the tour")
        wait_until(lambda: demos["faults"].says("resolved  error JobMissed"), 30, what="the end of JobMissed")
        yield {mode: Seen(log=demo.log(), left=demo.end(), output=demo.output()) for mode, demo in demos.items()}
    finally:
        for demo in demos.values():
            demo.kill()


def test_each_fault_brings_its_alert_once_and_there_is_no_other(seen: dict[str, Seen]) -> None:
    assert sorted((alert, severity) for severity, alert, _ in seen["faults"].notices) == [
        ("HmacVerificationFailed", "CRITICAL"),
        ("JobFailed", "ERROR"),
        ("JobMissed", "ERROR"),
        ("SchemaValidationFailed", "ERROR"),
        ("StageCrashed", "ERROR"),
        ("StageFailing", "ERROR"),
        ("StageOverdue", "WARNING"),
        ("VVEvent", "CRITICAL"),
    ]


def test_what_was_announced_is_told_at_the_end_with_its_seconds(seen: dict[str, Seen]) -> None:
    announced = re.findall(r"expect (\w+) within \d+ s", seen["faults"].output)
    rows = {alert: float(seconds) for _, alert, seconds in ROW.findall(seen["faults"].output)}

    assert len(announced) == 8
    assert sorted(rows) == sorted(announced)
    assert "DID NOT COME" not in seen["faults"].output


def test_alerts_name_the_video_and_the_error(seen: dict[str, Seen]) -> None:
    faults = seen["faults"]

    assert f"/input/{faults.video('cut-off')} at " in faults.text("StageFailing")
    assert "UTC: Invalid data found when processing input" in faults.text("StageFailing")
    assert f"/input/{faults.video('garage')} at " in faults.text("StageCrashed")
    assert "killed, out of memory, or power lost" in faults.text("StageCrashed")
    assert f"/input/{faults.video('flicker-logline')} at " in faults.text("SchemaValidationFailed")
    assert "is longer than 500 characters" in faults.text("SchemaValidationFailed")
    assert re.search(r"with vault-\d+ at .* the data was changed", faults.text("HmacVerificationFailed"))
    assert "Stage scan_video is over its time limit" in faults.text("StageOverdue")
    assert "Runs in progress that are past their limit: 1" in faults.text("StageOverdue")
    assert "nightly_backup" in faults.text("JobFailed")
    assert "log_exporter" in faults.text("JobMissed")
    assert faults.text("VVEvent").startswith("Recording has stopped | camera: front-door")


def test_videos_whose_stage_was_killed_or_hung_are_finished(seen: dict[str, Seen]) -> None:
    faults = seen["faults"]

    assert f"{faults.video('garage')}: done" in faults.log
    assert f"{faults.video('garden')}: done" in faults.log


def test_without_faults_there_is_no_alert(seen: dict[str, Seen]) -> None:
    healthy = seen["healthy"]

    assert healthy.notices == []
    assert "ERROR" not in healthy.log
    assert "WARNING" not in healthy.log
    assert healthy.log.count(": done") > 5


def test_ctrl_c_leaves_nothing_running(seen: dict[str, Seen]) -> None:
    for demo in seen.values():
        assert demo.left == []
        assert demo.output.endswith("Stopping …\nAll is stopped.\n")
        assert "Traceback" not in demo.output
