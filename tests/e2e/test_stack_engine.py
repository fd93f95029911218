"""The private Docker Engine of the tests works, and goes without a trace."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
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
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip().removeprefix("unix://")).parent
    assert folder.is_dir()
    processes = _processes_of(folder)
    assert processes

    os.killpg(owner.pid, signal.SIGKILL)
    owner.wait()

    wait_until(lambda: not folder.exists(), 40, what="the end of the Engine's folder")
    wait_until(lambda: not _processes_of(folder), 10, what="the end of its processes")
    assert str(folder) not in Path("/proc/mounts").read_text()


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


def test_a_machines_own_network_is_neither_touched_nor_in_the_way(docker_engine: Engine) -> None:
    """A machine with an Engine of its own: `docker0` with its address, a bridge of compose, FORWARD set to DROP."""
    if not docker_engine.private:
        pytest.skip("there is no private Docker Engine here: the one that answers is used")
    script = f'set -e\n{_MACHINE}\nstate > before\n"$@"\nstate > after'
    command = ["unshare", "--net", "sh", "-c", script, "sh", sys.executable, "-c", _TALKERS]
    environment = docker_engine.environment | {"PYTHONPATH": f"{ROOT}:{ROOT}/exporter"}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        before, after = (Path(folder, name).read_text() for name in ("before", "after"))

    assert "docker0" in before
    assert "172.17.0.1/16" in before
    assert "-P FORWARD DROP" in before
    assert after == before


_MACHINE = """
busybox ip link set lo up
ip link add docker0 type bridge && ip address add 172.17.0.1/16 dev docker0 && ip link set docker0 up
ip link add br-0123456789ab type bridge && ip address add 172.18.0.1/16 dev br-0123456789ab
iptables -P FORWARD DROP && iptables -A FORWARD -i docker0 -j ACCEPT
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables || test ! -e /proc/sys/net/bridge
state() {
  ip -o link; ip -o address show scope global; ip route
  iptables -S; iptables -t nat -S; cat /proc/sys/net/ipv4/ip_forward
}
"""
_TALKERS = """
from tests.support.engine import busybox_image, private_engine
from tests.support.waiting import wait_until
with private_engine() as engine:
    image = busybox_image(engine)
    client = engine.client()
    client.create_network("talk")
    serve = "mkdir /www; echo served > /www/index.html; httpd -f -h /www"
    for name, command in (("web", serve), ("reader", "sleep 1000")):
        options = client.create_host_config(network_mode="talk")
        client.start(client.create_container(image, ["sh", "-c", command], name=name, host_config=options)["Id"])
    def read():
        run = client.exec_create("reader", ["timeout", "5", "wget", "-q", "-O", "-", "http://web/"])["Id"]
        return b"served" in client.exec_start(run)
    wait_until(read, 60, what="one container's answer to another")
    client.close()
"""


def _processes_of(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(folder) in (entry / "cmdline").read_bytes().decode(errors="replace"):
                found.append(int(entry.name))
    return found
