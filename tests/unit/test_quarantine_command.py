"""`vv quarantine`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vv_core.common import journals
from vv_core.quarantine import move_to_corrupted
from vv_exporter.cli import vv


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VV_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("VIDEO_STORAGE_ROOT", str(tmp_path / "storage"))
    monkeypatch.setenv("VV_CONFIG", str(tmp_path / "none.yml"))
    (tmp_path / "storage" / "input").mkdir(parents=True)
    journals.reset()
    return tmp_path / "storage"


def quarantine(*arguments: str) -> Result:
    return CliRunner().invoke(vv, ["quarantine", *arguments])


def damaged(root: Path, name: str = "a.mp4") -> Path:
    video = root / "input" / name
    video.write_bytes(b"damaged")
    move_to_corrupted(video, "scan_failed", "no frames", component="scan_video.py")
    return video


def test_list_shows_an_entry_a_line_and_no_control_characters(root: Path) -> None:
    damaged(root)
    damaged(root, "evil\n\x1b[2J.mp4")
    (root / "corrupted" / "theirs.mp4").touch()
    (root / "corrupted" / "gone.mp4.meta.json").write_text('{"error_type": "x"}')

    result = quarantine("list")

    lines = result.output.splitlines()
    assert (result.exit_code, len(lines)) == (0, 4)
    assert lines[0].split()[1:] == ["scan_failed", "scan_video.py", "0.0", "MB", "a.mp4"]
    assert "\x1b" not in result.output
    assert "(not here)" in lines[2]
    assert lines[3].endswith("theirs.mp4")


def test_list_of_nothing_is_empty(root: Path) -> None:
    assert (quarantine("list").exit_code, quarantine("list").output) == (0, "")


def test_show_prints_the_side_car(root: Path) -> None:
    video = damaged(root)

    for name in ("a.mp4", str(root / "corrupted" / "a.mp4")):
        about = json.loads(quarantine("show", name).output)
        assert (about["original_path"], about["error_message"]) == (str(video), "no frames")


def test_release_gives_the_file_back_and_says_where_it_is(root: Path) -> None:
    video = damaged(root)

    result = quarantine("release", "a.mp4")

    assert (result.exit_code, result.output) == (0, f"{video}\n")
    assert video.read_bytes() == b"damaged"


def test_release_elsewhere(root: Path, tmp_path: Path) -> None:
    damaged(root)

    assert quarantine("release", "a.mp4", "--to", str(tmp_path / "b.mp4")).exit_code == 0
    assert (tmp_path / "b.mp4").read_bytes() == b"damaged"


def test_what_cannot_be_done_is_one_line_and_exit_code_1(root: Path) -> None:
    damaged(root).write_bytes(b"newer")

    for arguments in (["release", "a.mp4"], ["release", "b.mp4"], ["show", "b.mp4"]):
        result = quarantine(*arguments)
        assert (result.exit_code, result.output.count("\n")) == (1, 1)
        assert result.output.startswith("Error: ")


def test_without_a_storage_it_says_what_to_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDEO_STORAGE_ROOT")
    monkeypatch.setenv("VV_CONFIG", "")

    result = quarantine("list")

    assert result.exit_code == 2
    assert "VIDEO_STORAGE_ROOT" in result.output


def test_the_storage_may_stand_in_vv_yml(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged(root)
    monkeypatch.delenv("VIDEO_STORAGE_ROOT")
    (tmp_path / "vv.yml").write_text(f"settings: {{VIDEO_STORAGE_ROOT: {root}}}\n")
    monkeypatch.setenv("VV_CONFIG", str(tmp_path / "vv.yml"))

    assert "a.mp4" in quarantine("list").output
