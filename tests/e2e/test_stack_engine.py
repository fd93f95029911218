"""The private Docker Engine of the tests works, and goes without a trace."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from tests.support.engine import Engine
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.docker


def test_a_container_runs_and_its_exit_code_is_told(docker_client: docker.APIClient, busybox: str) -> None:
    container = docker_client.create_container(busybox, ["sh", "-c", "echo hello; exit 7"])["Id"]
    docker_client.start(container)

    assert docker_client.wait(container)["StatusCode"] == 7
    assert docker_client.logs(container) == b"hello\n"
    docker_client.remove_container(container)


def test_compose_runs_a_project_with_a_network(docker_engine: Engine, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "index.html").write_text("served\n")
    (tmp_path / "compose.yml").write_text(f"""
name: vv-test-stack
services:
  web:
    image: {busybox}
    command: httpd -f -p 80 -h /web
    volumes: ["{tmp_path}/web:/web:ro"]
    stop_signal: SIGKILL
  reader:
    image: {busybox}
    command: sh -c 'until wget -qO- http://web/; do sleep 0.1; done'
    depends_on: [web]
""")
    compose = ["docker", "compose", "-f", str(tmp_path / "compose.yml")]

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*compose, *arguments], env=docker_engine.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        run("up", "--detach", "--pull", "never")
        wait_until(lambda: "served" in run("logs", "--no-log-prefix", "reader"), 30, what="the answer")
    finally:
        run("down", "--timeout", "1")


def test_nothing_is_left_when_the_tests_are_killed(docker_engine: Engine) -> None:
    if not docker_engine.private:
        pytest.skip("there is no private Docker Engine here: the one that answers is used")
    before = _interfaces()
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip().removeprefix("unix://")).parent
    assert folder.is_dir()
    assert _interfaces() != before
    processes = _processes_of(folder)
    assert processes

    os.killpg(owner.pid, signal.SIGKILL)
    owner.wait()

    wait_until(lambda: not folder.exists(), 40, what="the end of the Engine's folder")
    wait_until(lambda: not _processes_of(folder), 10, what="the end of its processes")
    assert str(folder) not in Path("/proc/mounts").read_text()
    assert _interfaces() == before


_OWNER = """
import time
from tests.support.engine import busybox_image, private_engine
with private_engine() as engine:
    image = busybox_image(engine)
    client = engine.client()
    client.create_network("left")
    options = client.create_host_config(network_mode="left")
    client.start(client.create_container(image, ["sleep", "1000"], host_config=options)["Id"])
    print(engine.host, flush=True)
    time.sleep(1000)
"""


def _interfaces() -> set[str]:
    return {entry.name for entry in Path("/sys/class/net").iterdir()}


def _processes_of(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(folder) in (entry / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(entry.name))
    return found
