"""The scripts as processes: real videos in, results and reports out."""

import hashlib
import os
import signal
import time
from pathlib import Path

from make_videos import Scene, any_scenes, make_clip, make_cut_off, make_text

from tests.support.waiting import wait_until
from tests.unit.examples.conftest import Site

SCENES = [Scene(2, 30, 4), Scene(1, 200, 0)]


def test_a_video_goes_through_all_stages(site: Site) -> None:
    video = site.input / "front.mp4"
    make_clip(video, SCENES)
    digest = hashlib.sha256(video.read_bytes()).hexdigest()

    assert site.run("orchestrator.py") == 0

    results = {f"output/front.{kind}.json" for kind in ("analytic", "summary", "logline")}
    assert site.files() == {"processed/front.mp4", *results}
    line = site.result("front.logline")["line"]
    assert line.startswith("front.mp4, 3.0 s: 2.0 s dark, motion ")
    assert line.endswith("; 1.0 s bright, nothing moves")
    ends = site.events("stage.finished")
    assert [end["stage"] for end in ends] == ["scan_video", "summarize_scene", "logline_generator"]
    assert {(end["outcome"], end["video"], end["video_sha256"]) for end in ends} == {("success", str(video), digest)}
    assert [(end["job"], end["result"]) for end in site.events("job.finished")] == [("orchestrator", "success")]


def test_what_cannot_be_used_is_put_aside_and_the_next_video_is_taken(site: Site) -> None:
    make_cut_off(site.input / "1.mp4")
    make_text(site.input / "2.mp4")
    make_clip(site.input / "3.mp4", SCENES)

    assert site.run("orchestrator.py") == 0

    assert {"corrupted/1.mp4", "corrupted/2.mp4", "processed/3.mp4"} < site.files()
    failures = [end for end in site.events("stage.finished") if end["outcome"] == "failure"]
    assert [(end["exception"], end["video"]) for end in failures] == [
        ("UnusableVideo", str(site.input / name)) for name in ("1.mp4", "2.mp4")
    ]
    assert "1.mp4: scan_video.py cannot use it; moved to corrupted/" in site.log()


def test_a_video_whose_stage_was_killed_is_taken_again(site: Site) -> None:
    video = site.input / "front.mp4"
    make_clip(video, any_scenes(120))
    with site.start("orchestrator.py") as orchestrator:
        line = wait_until(lambda: [line for line in site.log().splitlines() if "scanning" in line], what="the scan")[0]
        os.kill(int(line.partition("[")[2].partition("]")[0]), signal.SIGKILL)
        assert orchestrator.wait(60) == 0
    assert "front.mp4: scan_video.py was killed by SIGKILL; it is taken again" in site.log()
    assert site.files() == {"input/front.mp4"}

    assert site.run("orchestrator.py") == 0

    assert "processed/front.mp4" in site.files()


def test_a_video_that_is_still_being_written_is_left_alone(site: Site, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", SCENES)
    part = site.input / "a.mp4.part"
    (tmp_path / "a.mp4").rename(part)

    assert site.run("orchestrator.py") == 0

    assert site.files() == {"input/a.mp4.part"}
    part.unlink()


def test_a_stage_without_the_result_of_the_one_before_asks_for_another_try(site: Site) -> None:
    video = site.input / "front.mp4"
    make_clip(video, SCENES)

    assert site.run("summarize_scene.py", video) == os.EX_TEMPFAIL
    assert site.run("logline_generator.py", video) == os.EX_TEMPFAIL

    assert [end["exception"] for end in site.events("stage.finished")] == ["FileNotFoundError"] * 2


def test_a_video_that_vanished_asks_for_another_try(site: Site) -> None:
    assert site.run("scan_video.py", site.input / "gone.mp4") == os.EX_TEMPFAIL


def test_storage_that_cannot_be_used_fails_the_job(site: Site) -> None:
    site.input.rmdir()
    site.input.write_text("not a folder")

    assert site.run("orchestrator.py") == os.EX_IOERR

    assert site.events("job.finished")[0]["result"] == "failure"


def test_cleanup_deletes_what_is_old(site: Site) -> None:
    for name, days in (("output/old.json", 31), ("corrupted/old.mp4", 31), ("processed/new.mp4", 29)):
        path = site.videos / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        os.utime(path, (0, time.time() - days * 86400))

    assert site.run("cleanup_old_files.py", 30) == 0

    assert site.files() == {"processed/new.mp4"}
    assert "2 files deleted, 0 cannot be" in site.log()


def test_cleanup_tells_what_it_could_not_delete_and_goes_on(site: Site) -> None:
    folder = site.videos / "output" / "folder"
    folder.mkdir(parents=True)
    file = site.videos / "processed" / "old.mp4"
    file.parent.mkdir()
    file.write_text("")
    for path in (folder, file):
        os.utime(path, (0, 0))

    assert site.run("cleanup_old_files.py", 30) == os.EX_IOERR

    (end,) = site.events("job.finished")
    assert end["result"] == "failure"
    assert str(folder) in end["error"]
    assert not file.exists()


def test_one_of_each_is_made(site: Site) -> None:
    assert site.run("make_videos.py", site.input) == 0

    assert site.run("orchestrator.py") == 0

    videos = {name for name in site.files() if name.endswith(".mp4")}
    assert videos == {
        "processed/front-door.mp4",
        "processed/garage.mp4",
        "corrupted/cut-off.mp4",
        "corrupted/no-video.mp4",
    }
