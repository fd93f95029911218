"""`vv up` as a person runs it: it serves, says where, and leaves nothing behind, however it ends."""

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.ports import free_port
from tests.support.servers import Programs
from tests.support.waiting import wait_until
from vv_exporter.stack.supervision import AGAIN_AND_AGAIN

ROOT = Path(__file__).parents[2]
RUNNING = "Ctrl-C stops everything."
PARTS = ("vv_exporter exporter", "alertmanager.yml", "prometheus.yml")
KILLS = int(os.environ.get("VV_TEST_KILLS", "1"))
"""Of each server, at random moments; of fifty each it is known that they do not matter."""
SEED = int(os.environ.get("VV_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
pytestmark = [pytest.mark.prometheus, pytest.mark.usefixtures("programs")]


class Up:
    """A running `vv up` in a terminal session of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.ports = {name: free_port() for name in ("EXPORTER", "PROMETHEUS", "ALERTMANAGER")}
        self.state = folder / "state"
        self._output = folder / "output"
        own = {"DOCKER_HOST": f"unix://{folder}/no-engine.sock", "VV_CONFIG": "", "VV_SCRAPE_INTERVAL": "1s"}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vv_exporter", "up", "--state-dir", str(self.state)],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=ROOT,
                env=dict(os.environ) | own | self.ports_told() | environment,
            )

    def ports_told(self) -> dict[str, str]:
        """What says where it serves."""
        return {f"VV_{name}_PORT": str(port) for name, port in self.ports.items()}

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

    def children(self) -> list[psutil.Process]:
        """The processes that it runs now."""
        return [child for child in psutil.Process(self.process.pid).children(recursive=True) if _lives(child)]

    def part(self, children: list[psutil.Process], word: str) -> psutil.Process:
        """The one with this word in its command line."""
        (found,) = (child for child in children if word in " ".join(child.cmdline()))
        return found

    def timeline(self) -> str:
        """The page of the timeline."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['EXPORTER']}/timeline", timeout=5) as answer:
            return str(answer.read(), "utf-8")

    def asked(self, query: str) -> set[str]:
        """The values that Prometheus answers."""
        url = f"http://127.0.0.1:{self.ports['PROMETHEUS']}/api/v1/query?query={query}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return {sample["value"][1] for sample in json.load(answer)["data"]["result"]}

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


def test_a_server_that_dies_is_started_again_and_takes_no_other_with_it(folder: Path) -> None:
    up = Up(folder)
    children = up.wait_until_running()
    exporter, alertmanager, prometheus = (up.part(children, word) for word in PARTS)

    for server in (prometheus, alertmanager):
        server.kill()
        server.wait()

    wait_until(lambda: len(up.listeners()) == 3 and len(up.children()) == 3, 30, what="all servers again")
    assert exporter.is_running()
    assert "Prometheus was ended by SIGKILL; it is started again." in up.output
    assert "Alertmanager was ended by SIGKILL; it is started again." in up.output
    wait_until(lambda: "Prometheus ended and is started again" in up.timeline(), 30, what="the timeline")
    up.process.send_signal(signal.SIGTERM)
    assert up.end() == 0, up.output
    assert up.listeners() == []


def test_the_exporter_dies_again_and_again_and_people_are_told(folder: Path) -> None:
    up = Up(folder)
    children = up.wait_until_running()
    servers = [up.part(children, word) for word in PARTS[1:]]
    for count in range(1, AGAIN_AND_AGAIN + 1):
        exporter = up.part(up.children(), PARTS[0])
        exporter.kill()
        exporter.wait()
        wait_until(lambda: len(up.children()) == 3 and len(up.listeners()) == 3, 60, what=f"the exporter, {count}")

    log = up.state / "logs" / "app.log"
    alert = "ERROR VVEvent: The exporter keeps exiting"
    wait_until(lambda: alert in log.read_text(), 60, what="the alert in app.log")
    assert all(server.is_running() for server in servers)


@pytest.mark.timeout(120 + 60 * KILLS)
def test_servers_that_are_killed_at_random_moments_take_no_other_with_them(folder: Path) -> None:
    up = Up(folder)
    running = {word: up.part(up.wait_until_running(), word) for word in PARTS}
    chance = random.Random(SEED)
    kills = [word for word in PARTS for _ in range(KILLS)]
    chance.shuffle(kills)
    for word in kills:
        time.sleep(chance.uniform(0, 2))
        running[word].kill()
        running[word].wait()
        wait_until(lambda: len(up.children()) == 3 and len(up.listeners()) == 3, 60, what=f"{word} again, seed {SEED}")
        running[word] = up.part(up.children(), word)
        assert all(server.is_running() for server in running.values()), (word, SEED)

    wait_until(lambda: up.asked('up{job="vv-exporter"}') == {"1"}, 60, what="a sample of the exporter")
    wait_until(lambda: up.asked("vv_alert_path_up") == {"1"}, 120, what="the alert path")
    up.process.send_signal(signal.SIGTERM)
    assert up.end() == 0, up.output
    assert up.listeners() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_at_any_moment_of_a_restart(folder: Path, number: signal.Signals) -> None:
    up = Up(folder)
    children = up.wait_until_running()
    for child in children:
        child.kill()
    wait_until(lambda: "it is started again" in up.output, 10, what="the restart")

    up.process.send_signal(number)

    assert up.end() == 0, up.output
    assert up.listeners() == []


def test_what_cannot_be_started_is_told_and_the_rest_runs(folder: Path) -> None:
    broken = folder / "state" / "stack" / "prometheus" / "wal"
    broken.parent.mkdir(parents=True)
    broken.write_text("no folder")
    up = Up(folder)
    up.wait_until_running()

    assert re.search(r"^Prometheus ended with exit code 1; it is started again\. It said last", up.output, re.MULTILINE)
    assert sorted(up.listeners()) == sorted((up.ports["EXPORTER"], up.ports["ALERTMANAGER"]))
    broken.unlink()
    wait_until(lambda: len(up.listeners()) == 3, 60, what="Prometheus")


def test_prometheus_lives_on_a_full_file_system_and_one_killed_there_is_back_when_there_is_space(folder: Path) -> None:
    disk = folder / "state"
    disk.mkdir()
    with (folder / "image").open("wb") as image:
        image.truncate(100_000_000)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-F", folder / "image"], check=True)
    subprocess.run(["mount", "-o", "loop", folder / "image", disk], check=True)
    try:
        up = Up(folder)
        up.wait_until_running()
        wait_until(lambda: up.asked("up") == {"1"}, 30, what="samples that are stored")
        _fill(disk / "full")
        first = up.part(up.children(), PARTS[2])

        def refused() -> bool:  # its log lies on the same disk, and cannot tell
            ages = [float(age) for age in up.asked("time()-timestamp(up)")]
            return bool(ages) and min(ages) > 3

        wait_until(refused, 60, what="samples that are not stored")
        _wait_for_rounds(up, 15)  # it used to die within ten seconds
        assert first.is_running(), up.output
        first.kill()
        first.wait()
        wait_until(lambda: "Prometheus was ended by SIGKILL; it is started again" in up.output, 30, what="the report")
        (disk / "full").unlink()  # until then it starts only where what it wrote last needs no repair
        wait_until(lambda: up.asked("up") == {"1"}, 60, what="samples that are stored again")
        assert len(up.children()) == 3
        up.process.send_signal(signal.SIGTERM)
        assert up.end() == 0, up.output
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def _wait_for_rounds(up: Up, rounds: int) -> None:
    """Until Prometheus has evaluated its rules so many times."""
    name = "prometheus_rule_group_iterations_total"

    def evaluated() -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{up.ports['PROMETHEUS']}/metrics", timeout=5) as answer:
            lines = str(answer.read(), "utf-8").splitlines()
        return max(float(line.split()[-1]) for line in lines if line.startswith(name + "{"))

    wanted = evaluated() + rounds
    wait_until(lambda: evaluated() >= wanted, 120, what="the rules' rounds")


def _fill(path: Path) -> None:
    with path.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65536))
            file.flush()


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
