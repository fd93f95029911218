"""The scripts as processes: real videos in, results and reports out."""

import hashlib
import os
import signal
import time
from pathlib import Path

import pytest
from make_videos import Scene, any_scenes, make_clip, make_cut_off, make_flicker, make_text

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


def test_a_logline_is_signed_and_verified(site: Site) -> None:
    make_clip(site.input / "front.mp4", SCENES)
    site.run("orchestrator.py")

    assert site.run("logline_verifier.py") == 0

    assert site.result("front.logline")["signature"]["key_id"] == "test"
    assert [(one["operation"], one["result"]) for one in site.events("hmac")] == [("sign", "ok"), ("verify", "ok")]


@pytest.mark.parametrize("change", [('"line"', '"lime"'), ("{", "[")], ids=["altered", "torn"])
def test_a_logline_that_was_changed_is_put_aside(site: Site, change: tuple[str, str]) -> None:
    for name in ("back", "front"):
        make_clip(site.input / f"{name}.mp4", SCENES)
    site.run("orchestrator.py")
    path = site.videos / "output" / "back.logline.json"
    path.write_text(path.read_text().replace(*change))

    assert site.run("logline_verifier.py") == 0

    assert {"corrupted/back.logline.json", "output/front.logline.json"} < site.files()
    assert [one["result"] for one in site.events("job.finished")][-1] == "success"
    told = [one for one in site.events("hmac") if one["result"] == "failed"] + site.events("exception")
    assert len(told) == 1
    assert "back" in told[0]["video"]


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
    assert site.about("2.mp4")["error_message"] == "Invalid data found when processing input"
    assert site.events("exception") == site.events("video.exhausted") == []
    assert "2.mp4: scan_video: Invalid data found when processing input" in site.log()


@pytest.mark.parametrize(
    ("scenes", "schema", "path"), [(70, "analytic", "/scenes"), (50, "summary", "/scenes"), (25, "logline", "/line")]
)
def test_json_that_is_not_valid_is_not_written_and_the_video_is_put_aside(
    site: Site, scenes: int, schema: str, path: str
) -> None:
    make_flicker(site.input / "front.mp4", scenes)

    assert site.run("orchestrator.py") == 0

    assert "corrupted/front.mp4" in site.files()
    assert f"output/front.{schema}.json" not in site.files()
    (told,) = (one for one in site.events("schema.validated") if one["result"] == "invalid")
    assert (told["schema"], told["path"], told["video"]) == (schema, path, str(site.input / "front.mp4"))
    assert site.about("front.mp4")["error_type"] == "SchemaValidationError"
    assert site.events("exception") == []


def test_a_video_whose_stage_was_killed_is_taken_again(site: Site) -> None:
    video = site.input / "front.mp4"
    make_clip(video, any_scenes(120))
    with site.start("orchestrator.py") as orchestrator:
        line = wait_until(lambda: [line for line in site.log().splitlines() if "scanning" in line], what="the scan")[0]
        os.kill(int(line.partition("[")[2].partition("]")[0]), signal.SIGKILL)
        assert orchestrator.wait(60) == 0
    assert "front.mp4: scan_video: killed by SIGKILL" in site.log()
    assert site.files() == {"input/front.mp4"}

    assert site.run("orchestrator.py") == 0

    assert "processed/front.mp4" in site.files()


def test_a_stage_that_fails_three_times_ends_in_corrupted_with_its_history(site: Site) -> None:
    make_clip(site.input / "front.mp4", SCENES)
    result = site.videos / "output" / "front.summary.json"
    result.mkdir(parents=True)

    for waiting in (True, True, False):
        assert site.run("orchestrator.py") == 0
        assert (site.input / "front.mp4").exists() == waiting

    attempts = site.about("front.mp4")["attempts"]
    assert [(one["component"], "Is a directory" in one["error"]) for one in attempts] == [("orchestrator.py", True)] * 3
    (told,) = site.events("video.exhausted")
    assert (told["stage"], told["attempts"], told["video"]) == ("summarize_scene", 3, str(site.input / "front.mp4"))
    result.with_suffix(".part").unlink()


def test_a_key_that_is_away_is_not_held_against_the_video(site: Site) -> None:
    make_clip(site.input / "front.mp4", SCENES)
    away = site.key.rename(site.key.with_suffix(".away"))
    for _ in range(4):
        assert site.run("orchestrator.py") == 0
    assert "front.mp4: logline_generator: " in site.log()
    away.rename(site.key)

    assert site.run("orchestrator.py") == 0

    assert "processed/front.mp4" in site.files()
    assert site.events("video.exhausted") == []


def test_what_nobody_expected_costs_one_video_and_not_the_others(site: Site) -> None:
    for name in ("1.mp4", "2.mp4"):
        make_clip(site.input / name, SCENES)
    (site.videos / "processed" / "1.mp4").mkdir(parents=True)

    code, _ = site.outcome("orchestrator.py")

    assert code == 0
    assert {"corrupted/1.mp4", "processed/2.mp4"} < site.files()
    (told,) = site.events("exception")
    assert (told["exception"], told["video"]) == ("IsADirectoryError", str(site.input / "1.mp4"))
    assert site.events("job.finished")[0]["result"] == "success"


def test_a_video_that_is_still_being_written_is_left_alone(site: Site, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", SCENES)
    part = site.input / "a.mp4.part"
    (tmp_path / "a.mp4").rename(part)

    assert site.run("orchestrator.py") == 0

    assert site.files() == {"input/a.mp4.part"}
    part.unlink()


@pytest.mark.parametrize("script", ["scan_video.py", "summarize_scene.py", "logline_generator.py"])
def test_what_is_not_there_is_said_in_one_line(site: Site, script: str) -> None:
    code, output = site.outcome(script, site.input / "gone.mp4")

    assert (code, output.count("\n")) == (1, 1)
    assert "No such file or directory" in output
    assert site.events("stage.finished")[0]["outcome"] == "failure"
    assert "corrupted" not in str(site.files())


def test_storage_that_cannot_be_used_fails_the_job(site: Site) -> None:
    site.input.rmdir()
    site.input.write_text("not a folder")

    code, _ = site.outcome("orchestrator.py")

    assert code == 1
    assert site.events("job.finished")[0]["result"] == "failure"
    assert site.events("exception") == []


def test_loglines_are_copied_once(site: Site, tmp_path: Path) -> None:
    make_clip(site.input / "front.mp4", SCENES)
    site.run("orchestrator.py")
    target = tmp_path / "nas"
    target.mkdir()

    assert site.run("log_exporter.py", target) == site.run("log_exporter.py", target) == 0

    assert [path.name for path in target.iterdir()] == ["front.logline.json"]
    assert "1 loglines copied" in site.log()
    assert "0 loglines copied" in site.log()
    assert len(site.events("heartbeat")) == 2


def test_a_disk_that_stays_away_is_told_after_three_tries(site: Site, tmp_path: Path) -> None:
    make_clip(site.input / "front.mp4", SCENES)
    site.run("orchestrator.py")

    code, _ = site.outcome("log_exporter.py", tmp_path / "nas")

    assert code == 1
    assert site.log().count("vv_core.retry: attempt") == 2
    assert [one["exception"] for one in site.events("exception")] == ["FileNotFoundError"]
    assert site.events("heartbeat") == []


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

    code, output = site.outcome("cleanup_old_files.py", 30)

    assert (code, str(folder) in output) == (1, True)
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
