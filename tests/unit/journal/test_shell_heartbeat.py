"""contrib/vv-heartbeat.sh: a heartbeat without Python is read as the SDK's is."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.journal.conftest import Journal
from vv_exporter.metrics import jobs as metrics

SCRIPT = Path(__file__).parents[3] / "contrib" / "vv-heartbeat.sh"
NAMES = ["nightly_backup", "Köln & co: $(id) `id` %s \\ \"quoted\" 'single'", "-n", "\\", "a/b", "日本"]


def run(journal: Journal, *args: str, path: str = os.environ["PATH"]) -> "subprocess.CompletedProcess[str]":
    environ = {"VV_STATE_DIR": str(journal.state.parent), "PATH": path}
    return subprocess.run([SCRIPT, *args], env=environ, capture_output=True, text=True, timeout=60)


def heartbeats(journal: Journal) -> dict[str, float]:
    for _ in range(3):
        journal.clock.advance(10)
        journal.read()
    return {labels[0]: value for labels, value in journal.values(metrics.JOB_RUNS).items() if labels[1] == "success"}


@pytest.mark.parametrize("name", NAMES)
def test_it_counts_once_under_its_very_name(journal: Journal, name: str) -> None:
    done = run(journal, name)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [Path(journal.directory, file).stat().st_mode & 0o777 for file in journal.names()] == [0o640]
    assert heartbeats(journal) == {name: 1}
    assert journal.names() == []


def test_many_at_one_time_are_all_counted(journal: Journal) -> None:
    environ = {"VV_STATE_DIR": str(journal.state.parent), "PATH": os.environ["PATH"]}
    runs = [subprocess.Popen([SCRIPT, "j"], env=environ) for _ in range(20)]

    assert [one.wait(60) for one in runs] == [0] * 20
    assert heartbeats(journal) == {"j": 20}


@pytest.mark.parametrize("args", [(), ("",), ("a", "b"), ("--help",), ("a\nb",)])
def test_wrong_use_writes_nothing(journal: Journal, args: tuple[str, ...]) -> None:
    done = run(journal, *args)

    assert (done.returncode, journal.names()) == (2, [])
    assert done.stderr


def test_what_cannot_be_recorded_is_said(journal: Journal) -> None:
    journal.directory.rmdir()
    done = run(journal, "j")

    assert done.returncode == 1
    assert "could not be recorded" in done.stderr


def test_a_full_disk_leaves_nothing_behind(journal: Journal, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "mv").write_text("#!/bin/sh\necho no space left >&2\nexit 1\n")
    (tools / "mv").chmod(0o755)

    assert run(journal, "j", path=f"{tools}:{os.environ['PATH']}").returncode == 1
    assert journal.names() == []
