"""A wrong configuration stops the product with one clear line that names the key, and exit code 2."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.exporter import QUIET, Exporter
from tests.support.ports import free_port


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]


def run(tmp_path: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VV_")}
    env = {**kept, "VV_STATE_DIR": str(tmp_path / "state"), "VV_EXPORTER_PORT": str(free_port()), **environ}
    return subprocess.run(
        [sys.executable, "-m", "vv_exporter", *(arguments or ("exporter",))],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def complaint(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2, result
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("INFO")]
    return line


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"VV_STATEDIR": "/x"}, "vv: VV_STATEDIR: unknown key; did you mean VV_STATE_DIR?"),
        ({"VV_SCRAPE_INTERVAL": "soon"}, "vv: VV_SCRAPE_INTERVAL: "),
        ({"VV_CONFIG": "/nowhere/vv.yml"}, "vv: VV_CONFIG: /nowhere/vv.yml cannot be read (No such file or directory)"),
        (
            {"SLACK_WEBHOOK_URL_FILE": "/nowhere"},
            "vv: SLACK_WEBHOOK_URL: SLACK_WEBHOOK_URL_FILE: /nowhere cannot be read",
        ),
        ({"VV_STATE_DIR": "/proc/nowhere"}, "vv: VV_STATE_DIR: /proc/nowhere/exporter cannot be used"),
    ],
    ids=["unknown key", "bad duration", "missing file", "unreadable secret", "state folder"],
)
@pytest.mark.parametrize("command", ["exporter", "up"])
def test_one_line_names_the_key(tmp_path: Path, command: str, environ: dict[str, str], said: str) -> None:
    if command == "up" and "VV_STATE_DIR" in environ:
        said = "vv: VV_STATE_DIR: "
    line = complaint(run(tmp_path, command, **environ))

    assert line.startswith(said)


def test_several_mistakes_are_counted_and_vv_config_check_names_them_all(tmp_path: Path) -> None:
    wrong = {"VV_SCRAPE_INTERVAL": "soon", "DISK_WARNING_FREE": "lots"}

    assert complaint(run(tmp_path, **wrong)).endswith("(and 1 more: vv config check)")
    checked = run(tmp_path, "config", "check", **wrong)
    assert checked.returncode == 2
    told = checked.stdout + checked.stderr
    assert "VV_SCRAPE_INTERVAL: " in told
    assert "DISK_WARNING_FREE: " in told


def test_a_port_in_use_is_named_with_its_key(tmp_path: Path, taken: int) -> None:
    variable = complaint(run(tmp_path, VV_EXPORTER_PORT=str(taken)))
    flag = complaint(run(tmp_path, "exporter", "--web.listen-address", f"127.0.0.1:{taken}"))
    stack = complaint(run(tmp_path, "up", VV_PROMETHEUS_PORT=str(taken)))

    assert "VV_EXPORTER_PORT" in variable
    assert flag.startswith("vv: --web.listen-address")
    assert stack.startswith("vv: VV_PROMETHEUS_PORT: ")
    assert all(f"{taken}" in line and "in use" in line for line in (variable, flag, stack))


def test_a_second_exporter_on_the_same_state_is_refused(tmp_path: Path) -> None:
    with Exporter(tmp_path / "state"):
        line = complaint(run(tmp_path))

    assert line == f"vv: VV_STATE_DIR: another exporter is using {tmp_path}/state/exporter; stop it first"


def test_a_wrong_web_configuration_is_named(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("basic_auth_users: {admin: not-a-hash}\n")

    assert complaint(run(tmp_path, "exporter", "--web.config.file", str(file))).startswith("vv: --web.config.file: ")


def test_an_alert_into_a_folder_that_no_exporter_reads_says_so(tmp_path: Path) -> None:
    def alert(folder: Path) -> str:
        environ = {**os.environ, "VV_STATE_DIR": str(folder)}
        command = [sys.executable, "-m", "vv_exporter", "alert", "error", "somewhere"]
        return subprocess.run(command, env=environ, check=True, capture_output=True, text=True, timeout=60).stderr

    with Exporter(tmp_path / "read", **QUIET):
        assert alert(tmp_path / "read") == ""
        assert f"no exporter reads {tmp_path / 'other' / 'journal'} now" in alert(tmp_path / "other")
    assert f"no exporter reads {tmp_path / 'read' / 'journal'} now" in alert(tmp_path / "read")
