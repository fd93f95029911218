"""`vv up --demo` as a newcomer sees it: every fault that it announces is told, naming what it is about, and nothing
else is; the same pipeline without faults is silent. Both run side by side, and as long."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from tests.support.demo import TOUR, Demo
from tests.support.servers import Programs
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(600)]

FIRING = re.compile(r"ALERT FIRING (\w+) (\w+): (.*)")
ROW = re.compile(r"^    (.+?)  +(\w+)  +([\d.-]+)$", re.MULTILINE)


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
        ("DvrUnreachable", "ERROR"),
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

    assert len(announced) == 9
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


def test_the_hole_in_the_footage_is_shown_with_its_cause(seen: dict[str, Seen]) -> None:
    lost = re.search(
        r"(\d+) s of front-door are missing, from \S+ to \S+: the DVR gave no stream", seen["faults"].output
    )

    assert lost
    assert 10 <= int(lost[1]) <= 60


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
