"""The demo leaves nothing running, and empties no folder but its own."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from demo import Pipeline
from make_videos import any_scenes, make_clip

from tests.support.waiting import wait_until
from tests.unit.examples.conftest import PIPELINE, Site
from vv_exporter.stack.demo import emptied
from vv_exporter.stack.up import StackError


def stopped_stage(site: Site) -> psutil.Process:
    """A process that scans a video, and that is stopped in the middle of it."""

    def scanning() -> list[str]:
        return [line for line in site.log().splitlines() if "garage-1.mp4: scanning" in line]

    line = wait_until(scanning, 20, what="the scan")[0]
    process = psutil.Process(int(line.partition("[")[2].partition("]")[0]))
    process.suspend()
    return process


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_the_end_ends_a_stage_that_hangs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VV_STATE_DIR", str(site.state))
    pipeline = Pipeline(threading.Event())
    pipeline.deliver("garage", lambda path: make_clip(path, any_scenes(120)))
    pipeline.start()
    stage = stopped_stage(site)

    pipeline.end()

    assert not pipeline.is_alive()
    wait_until(lambda: gone(stage), 30, what="the end of the stage")
    for part in site.input.glob("*.part"):
        part.unlink()


def test_a_stage_that_hangs_does_not_outlive_a_demo_that_is_killed(site: Site) -> None:
    make_clip(site.input / "garage-1.mp4", any_scenes(120))
    code = "import demo, threading; demo.Pipeline(threading.Event()).run()"
    env = {**os.environ, "PYTHONPATH": str(PIPELINE), "VV_STATE_DIR": str(site.state)}
    with subprocess.Popen([sys.executable, "-c", code], env=env, start_new_session=True) as demo:
        stage = stopped_stage(site)
        demo.send_signal(signal.SIGKILL)

    wait_until(lambda: gone(stage), 30, what="the end of the stage")


def test_its_folder_is_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    for _ in range(2):
        with emptied(folder):
            assert list(folder.rglob("*.mp4")) == []
            (folder / "videos" / "a.mp4").touch()


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "precious" / "file"
    file.parent.mkdir()
    file.touch()

    with pytest.raises(StackError, match="is not a demo's folder"):
        emptied(tmp_path)

    assert file.exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    with emptied(tmp_path / "demo"):
        file = tmp_path / "demo" / "videos" / "a.mp4"
        file.touch()

        with pytest.raises(StackError, match="another demo runs"):
            emptied(tmp_path / "demo")

        assert file.exists()
