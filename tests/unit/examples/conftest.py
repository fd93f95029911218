"""The example pipeline's scripts, run as cron and the orchestrator run them, with a storage of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vv_exporter.stack.demo import make_key

PIPELINE = Path(__file__).parents[3] / "examples" / "pipeline"
sys.path.insert(0, str(PIPELINE))


class Site:
    """A device on which the pipeline is installed."""

    def __init__(self, folder: Path) -> None:
        self.videos = folder / "videos"
        self.state = folder / "state"
        self.input = self.videos / "input"
        self.input.mkdir(parents=True)
        self.key = folder / "keys" / "test.key"
        make_key(self.key)

    def start(self, script: str, *args: object) -> "subprocess.Popen[str]":
        """Start a script; its output is a pipe."""
        command = [sys.executable, PIPELINE / script, *map(str, args)]
        return subprocess.Popen(command, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    @property
    def env(self) -> dict[str, str]:
        """The scripts' environment."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VV_", "MAX_"))}
        own = {"VIDEO_STORAGE_ROOT": self.videos, "VV_STATE_DIR": self.state, "VV_HMAC_KEY_FILE": self.key}
        return kept | {name: str(value) for name, value in own.items()}

    def run(self, script: str, *args: object) -> int:
        """Run a script, which must not print anything; its exit code."""
        code, output = self.outcome(script, *args)
        assert output == ""
        return code

    def outcome(self, script: str, *args: object) -> tuple[int, str]:
        """Run a script; its exit code, and what it printed."""
        with self.start(script, *args) as process:
            output = process.communicate(timeout=60)[0]
        return process.returncode, output

    def files(self) -> set[str]:
        """Every file of the storage."""
        return {str(path.relative_to(self.videos)) for path in self.videos.rglob("*") if path.is_file()}

    def result(self, name: str) -> dict[str, Any]:
        """A result in ``output/``."""
        data: dict[str, Any] = json.loads((self.videos / "output" / f"{name}.json").read_text())
        return data

    def about(self, name: str) -> dict[str, Any]:
        """What the side-car of a file in ``corrupted/`` says."""
        data: dict[str, Any] = json.loads((self.videos / "corrupted" / f"{name}.meta.json").read_text())
        return data

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What was reported, of one type."""
        lines = [line for file in sorted(self.state.glob("journal/*.jsonl")) for line in file.read_text().splitlines()]
        return [event for event in map(json.loads, lines) if event["type"] == kind]

    def log(self) -> str:
        """What stands in ``app.log``."""
        path = self.state / "logs" / "app.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    site = Site(tmp_path)
    monkeypatch.setenv("VIDEO_STORAGE_ROOT", str(site.videos))
    yield site
    assert not list(site.videos.rglob("*.part"))
