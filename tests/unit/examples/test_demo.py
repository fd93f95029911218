"""The demo leaves nothing running, and empties no folder but its own."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from device import Pipeline
from make_videos import any_scenes, make_clip

from tests.support.waiting import wait_until
from tests.unit.examples.conftest import PIPELINE, Site
from vv_exporter.stack.demo import emptied, make_key
from vv_exporter.stack.up import StackError


def stopped_stage(site: Site) -> psutil.Process:
    """A process that scans a video, and that is stopped in the middle of it."""

    def scanning() -> list[str]:
        return [line for line in site.log().splitlines() if "garage-1.mp4: scanning" in line]

    line = wait_until(scanning, 20, what="the scan")[0]
    process = psutil.Process(int(line.partition("[")[2].partition("]")[0]))
    process.suspend()
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED, what="the stop")
    return process


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_the_end_ends_a_stage_that_hangs(site: Site) -> None:
    pipeline = Pipeline(site.env)
    pipeline.deliver("garage", lambda path: make_clip(path, any_scenes(120)))
    run = pipeline.run("orchestrator.py")
    stage = stopped_stage(site)

    pipeline.end()

    run.result(5)
    wait_until(lambda: gone(stage), what="the end of the stage")


def test_after_the_end_nothing_runs(site: Site) -> None:
    pipeline = Pipeline(site.env)
    pipeline.end()

    pipeline.run("orchestrator.py").result(5)

    assert site.events("job.started") == []


def test_a_stage_that_hangs_does_not_outlive_a_demo_that_is_killed(site: Site) -> None:
    make_clip(site.input / "garage-1.mp4", any_scenes(120))
    code = "import device; device.Pipeline().run('orchestrator.py').result()"
    env = site.env | {"PYTHONPATH": str(PIPELINE)}
    with subprocess.Popen([sys.executable, "-c", code], env=env, start_new_session=True) as demo:
        stage = stopped_stage(site)
        demo.send_signal(signal.SIGKILL)

    wait_until(lambda: gone(stage), what="the end of the stage")


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


def test_its_key_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "demo.key"

    make_key(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(path.read_text())) == 32
