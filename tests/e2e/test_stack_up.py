"""`vv up` as a person runs it: it serves, says where, and leaves nothing behind, however it ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.ports import free_port
from tests.support.servers import Programs
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
RUNNING = "Ctrl-C stops everything."
pytestmark = [pytest.mark.prometheus, pytest.mark.usefixtures("programs")]


class Up:
    """A running `vv up` in a terminal session of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.ports = {name: free_port() for name in ("EXPORTER", "PROMETHEUS", "ALERTMANAGER")}
        self.state = folder / "state"
        self._output = folder / "output"
        ports = {f"VV_{name}_PORT": str(port) for name, port in self.ports.items()}
        own = {"DOCKER_HOST": f"unix://{folder}/no-engine.sock", "VV_CONFIG": "", "VV_SCRAPE_INTERVAL": "1s"}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vv_exporter", "up", "--state-dir", str(self.state)],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=ROOT,
                env=dict(os.environ) | own | ports | environment,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_until_running(self) -> list[psutil.Process]:
        """Returns its child processes."""
        wait_until(lambda: RUNNING in self.output or self.process.poll() is not None, 60, what="the end of the start")
        assert RUNNING in self.output, self.output
        children: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return children

    def listeners(self) -> list[int]:
        """Those of its ports on which somebody listens."""
        return [port for port in self.ports.values() if _listens(port)]

    def end(self) -> int:
        return self.process.wait(60)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose `vv up` does not outlive the test."""
    yield tmp_path
    for process in psutil.process_iter(["cmdline"]):
        if str(tmp_path) in " ".join(process.info["cmdline"] or []):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def test_it_serves_and_all_targets_are_up(folder: Path) -> None:
    up = Up(folder)
    up.wait_until_running()

    def health() -> list[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{up.ports['PROMETHEUS']}/api/v1/targets", timeout=5) as answer:
            return [target["health"] for target in json.load(answer)["data"]["activeTargets"]]

    wait_until(lambda: set(health()) == {"up"}, 30, what="all targets up")
    for port in up.ports.values():
        assert f"http://127.0.0.1:{port}" in up.output
    up.process.send_signal(signal.SIGTERM)
    up.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_stops_without_a_trace(folder: Path, number: signal.Signals) -> None:
    up = Up(folder)
    children = up.wait_until_running()
    assert len(children) == 3
    assert len(up.listeners()) == 3

    os.killpg(up.process.pid, number)  # as a terminal does

    assert up.end() == 0, up.output
    assert not [child for child in children if child.is_running()]
    assert up.listeners() == []
    assert "Traceback" not in up.output


def test_it_starts_again_on_the_same_state(folder: Path) -> None:
    for _ in range(2):
        up = Up(folder)
        up.wait_until_running()
        up.process.send_signal(signal.SIGINT)
        assert up.end() == 0, up.output


def test_its_servers_end_when_it_is_killed(folder: Path) -> None:
    up = Up(folder)
    children = up.wait_until_running()

    up.process.kill()
    up.end()

    wait_until(lambda: not [child for child in children if _lives(child)], 30, what="the end of the children")


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_all_stops_when_one_part_dies(folder: Path) -> None:
    up = Up(folder)
    children = up.wait_until_running()
    (prometheus,) = (child for child in children if "prometheus.yml" in " ".join(child.cmdline()))

    prometheus.kill()

    assert up.end() == 1
    assert "Prometheus was ended by SIGKILL; it said last" in up.output
    assert up.listeners() == []


def test_a_port_in_use_is_told_before_anything_starts(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = Up(folder, VV_ALERTMANAGER_PORT=str(port))

        assert up.end() == 2
    (line,) = up.output.splitlines()
    assert "VV_ALERTMANAGER_PORT" in line
    assert str(port) in line
    assert not up.state.exists()


def test_wrong_configuration_names_its_key(folder: Path) -> None:
    up = Up(folder, VV_SCRAPE_INTERVAL="often")

    assert up.end() == 2
    (line,) = up.output.splitlines()
    assert "VV_SCRAPE_INTERVAL" in line


def test_a_secret_is_in_no_log_and_in_nobodys_arguments(folder: Path, programs: Programs) -> None:
    secret = "T000-very-secret"
    up = Up(folder, SLACK_WEBHOOK_URL=f"http://127.0.0.1:{free_port()}/{secret}")
    children = up.wait_until_running()
    arguments = [" ".join(child.cmdline()) for child in children]
    up.process.send_signal(signal.SIGINT)
    up.end()

    assert not [line for line in arguments if secret in line]
    assert secret not in up.output
    texts = [path.read_text(errors="replace") for path in up.state.rglob("*.log")]
    assert texts
    assert not [text for text in texts if secret in text]
