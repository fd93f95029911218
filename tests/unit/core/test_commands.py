"""`vv alert`, `vv heartbeat` and `vv cron`, as a shell runs them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from tests.unit.core.conftest import State
from vv_exporter.journal import files

VV = str(Path(sys.executable).with_name("vv"))


def vv(*args: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run([VV, *args], input=stdin, capture_output=True, text=True, timeout=60)


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


UNREAD = "vv: warning: no exporter reads"


def test_an_alert_that_nobody_reads_is_said_to_be_so(state: State) -> None:
    result = vv("alert", "error", "unread")

    assert (result.returncode, result.stdout.strip()) == (0, state.events("alert")[0]["id"])
    assert result.stderr.startswith(f"{UNREAD} {state.folder / 'journal'}")
    with files.reading(state.folder / "journal"):
        assert vv("alert", "error", "read").stderr == ""


@pytest.mark.parametrize("command", [("heartbeat", "j"), ("cron", "--job", "j", "--", "true")])
def test_a_job_by_default_folder_that_nobody_reads_is_said_to_be_so(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    assert vv(*command).stderr == ""  # the folder was chosen: the exporter may be starting
    monkeypatch.delenv("VV_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "own"))

    by_default = by_default_folder(*command, home=tmp_path)

    assert by_default.returncode == 0
    assert by_default.stderr.startswith(UNREAD)


def by_default_folder(*command: str, home: Path) -> "subprocess.CompletedProcess[str]":
    """As a user of a device that has no exporter of the system's."""
    code = (
        "import os, sys; from vv_core.common import environment; environment.INSTALLED = (); "
        "os.geteuid = lambda: 1000; "
        f"from vv_exporter.cli import vv; vv({list(command)!r})"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_an_alert_is_raised_and_its_id_printed(state: State) -> None:
    options = [
        "--details",
        "all of it",
        "--component",
        "backup.sh",
        "--context",
        "video=/in/a=b.mp4",
        "--dedupe-key",
        "k",
    ]
    result = vv("alert", "critical", "Storage gone", *options, "--suggest", "df -h", "--suggest", "mount -a")

    alert = state.events("alert")[0]
    assert (result.returncode, result.stdout.strip()) == (0, alert["id"])
    assert alert["level"] == "CRITICAL"
    assert alert["details"] == "all of it"
    assert alert["context"] == {"video": "/in/a=b.mp4"}
    assert alert["suggested_actions"] == "df -h\nmount -a"
    assert state.lines()[0]["component"] == "backup.sh"


def test_details_may_come_from_standard_input(state: State) -> None:
    vv("alert", "ERROR", "t", "--details", "-", stdin="line 1\nline 2\n")

    assert state.events("alert")[0]["details"] == "line 1\nline 2\n"


def test_an_alert_with_a_wrong_level_is_raised_and_the_mistake_told(state: State) -> None:
    result = vv("alert", "CRITCAL", "t")

    assert result.returncode == 2
    assert "not 'CRITCAL'; the alert was raised as ERROR" in result.stderr
    assert state.events("alert")[0]["level"] == "ERROR"


def test_context_without_a_value_is_wrong_use(state: State) -> None:
    result = vv("alert", "ERROR", "t", "--context", "video")

    assert (result.returncode, state.files()) == (2, [])
    assert "KEY=VALUE, not 'video'" in result.stderr


def test_a_heartbeat_is_recorded_silently(state: State) -> None:
    result = vv("heartbeat", "backup")

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert state.events("heartbeat")[0]["job"] == "backup"


@pytest.mark.parametrize("args", [("heartbeat", "backup"), ("alert", "ERROR", "t")])
def test_what_cannot_be_recorded_fails(state: State, args: tuple[str, ...]) -> None:
    state.folder.write_text("a file where the folder should be")

    result = vv(*args)

    assert result.returncode == 1
    assert "could not be recorded" in result.stderr


def test_a_job_that_succeeds_is_silent_and_recorded(state: State) -> None:
    result = vv("cron", "--job", "cleanup", "--", *sh("echo out; echo err >&2"))

    started, finished = state.events()
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert (started["type"], started["job"]) == ("job.started", "cleanup")
    assert [finished[key] for key in ("result", "exit_code", "output")] == ["success", 0, "out\nerr\n"]


def test_a_job_that_fails_shows_its_output_and_passes_its_code_on(state: State) -> None:
    result = vv("cron", "--job", "cleanup", "--", *sh("echo out; echo err >&2; exit 3"))

    finished = state.events("job.finished")[0]
    assert (result.returncode, result.stdout) == (3, "out\nerr\n")
    assert "job 'cleanup' failed" in result.stderr
    assert [finished[key] for key in ("result", "exit_code", "error")] == ["failure", 3, "exit code 3"]


def test_a_job_that_is_killed_tells_the_signal(state: State) -> None:
    result = vv("cron", "--job", "cleanup", "--", *sh("kill -9 $$"))

    finished = state.events("job.finished")[0]
    assert result.returncode == finished["exit_code"] == 137
    assert finished["error"] == "killed by signal 9 (SIGKILL)"


@pytest.mark.real_kernel
def test_a_command_that_cannot_start_is_told_and_gives_127(state: State) -> None:
    result = vv("cron", "--job", "cleanup", "--", "/no/such/command", "--job", "x")

    assert result.returncode == state.events("job.finished")[0]["exit_code"] == 127
    assert "cannot start '/no/such/command': No such file or directory" in result.stderr


def test_a_jobs_own_options_are_left_to_it(state: State) -> None:
    result = vv("cron", "--job", "cleanup", *sh('echo "$@" >&2; exit 1'), "--", "--job", "--help")

    assert result.stdout == "--job --help\n"


def test_no_command_is_wrong_use(state: State) -> None:
    assert (vv("cron", "--job", "cleanup").returncode, state.files()) == (2, [])


def test_enormous_output_is_cut_to_its_end(state: State) -> None:
    result = vv("cron", "--job", "cleanup", "--", *sh("head -c 5000000 /dev/zero | tr '\\0' x; echo end; exit 1"))

    finished = state.events("job.finished")[0]
    assert result.stdout.endswith("xend\n")
    assert len(result.stdout) < 300_000
    assert finished["output"].endswith("xend\n")
    assert len(finished["output"].encode()) <= 10_000


def test_what_a_job_leaves_in_the_background_does_not_hold_it_up(state: State) -> None:
    result = vv("cron", "--job", "cleanup", "--", *sh("sleep 300 & echo $! >&2; exit 1"))

    os.kill(int(result.stdout), signal.SIGKILL)
    assert result.returncode == 1


def test_a_signal_is_passed_on_and_the_end_recorded(state: State) -> None:
    wrapper = subprocess.Popen([VV, "cron", "--job", "cleanup", "--", "sleep", "300"], stderr=subprocess.DEVNULL)
    wait_until(lambda: state.events("job.started"))
    wait_until(lambda: Path(f"/proc/{wrapper.pid}/task/{wrapper.pid}/children").read_text())
    wrapper.send_signal(signal.SIGTERM)

    assert wrapper.wait(30) == 143
    assert state.events("job.finished")[0]["error"] == "killed by signal 15 (SIGTERM)"


def test_a_job_that_runs_is_seen_while_it_runs(state: State) -> None:
    with subprocess.Popen([VV, "cron", "--job", "cleanup", "--", "cat"], stdin=subprocess.PIPE) as wrapper:
        started = wait_until(lambda: state.events("job.started"))
        assert wrapper.stdin is not None
        wrapper.stdin.close()

    assert started[0]["run"] == state.events("job.finished")[0]["run"]
