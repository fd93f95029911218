"""The scripts of docs/instrument-a-script.md run as they stand, and report what it promises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.core.conftest import State

GUIDE = Path(__file__).parents[3] / "docs" / "instrument-a-script.md"
BEFORE, AFTER, *SNIPPETS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "scan_video.py"
    file.write_text(AFTER)
    return file


def run(script: Path, video: Path) -> int:
    return subprocess.run([sys.executable, script, video], stderr=subprocess.DEVNULL).returncode


def test_a_success_is_reported_and_logged(state: State, script: Path, tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(b"FRAME" * 3)

    code = run(script, video)

    finished = state.events("stage.finished")[0]
    assert (code, finished["outcome"], finished["video"]) == (0, "success", str(video))
    assert len(finished["video_sha256"]) == 64
    assert "a.mp4: 3 frames" in state.log.read_text()


def test_a_failure_is_reported_logged_and_alerted(state: State, script: Path, tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.touch()

    code = run(script, video)

    assert (code, state.events("stage.finished")[0]["error"]) == (1, "no frames in a.mp4")
    assert state.events("alert")[0]["details"] == "error: no frames in a.mp4\nsize: 0"
    assert "Traceback" in state.log.read_text()


def test_the_script_that_is_instrumented_runs_too(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(b"FRAME")

    result = subprocess.run([sys.executable, "-c", BEFORE, video], capture_output=True, text=True)

    assert result.stdout == "1\n"


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_snippet_runs(state: State, snippet: str) -> None:
    state.run(snippet)
