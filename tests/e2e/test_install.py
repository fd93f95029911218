"""`make install` into a folder, as who makes a package does: what it puts where, and that it works from there.

Where systemd's own tools are on the machine they judge the units, too.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import units
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from vv_exporter.installation import rights
from vv_exporter.settings.environmentfile import parse_environment_file
from vv_exporter.stack import victoria
from vv_exporter.stack.processes import Child
from vv_exporter.stack.servers import ready

CHECKOUT = Path(__file__).parents[2]
UNITS = ("vv-docker-proxy.service", "vv-exporter.service", "vv-fleet-agent.service", "vv-self-monitor.service")
BECOMES_ANOTHER = "vv-fleet-agent.service"
"""It is vmagent after its start, which says nothing to systemd."""
PREFIX = "/opt/vv"
OPERATORS = "VV_DEVICE_ID=edge-7\n"
WORST = 20  # tenths, of the 100 that systemd-analyze security gives to a unit with no protection at all


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that stands for /."""
    root = tmp_path_factory.mktemp("root")
    (root / "etc/vv").mkdir(parents=True)
    (root / "etc/vv/vv.env").write_text(OPERATORS)
    done = subprocess.run(
        [CHECKOUT / "deploy" / "install.sh", sys.executable, sys.executable],
        env=os.environ | {"DESTDIR": str(root), "PREFIX": PREFIX},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def run(root: Path, *arguments: str) -> str:
    command = [root / PREFIX[1:] / "bin" / "python", "-m", "vv_exporter", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout


def test_everything_is_in_its_place(installed: Path) -> None:
    files = {
        str(path.relative_to(installed))
        for path in installed.rglob("*")
        if PREFIX[1:] + "/" not in str(path) and path.is_file()
    }

    units = {f"etc/systemd/system/{unit}" for unit in UNITS}
    assert files - {"usr/local/bin/vv"} == units | {"etc/sysusers.d/vv.conf", "etc/tmpfiles.d/vv.conf", "etc/vv/vv.env"}
    assert str((installed / "usr/local/bin/vv").readlink()) == f"{PREFIX}/bin/vv"
    assert (installed / "opt/vv/bin/vv").read_text().startswith(f"#!{PREFIX}/bin/python\n")


def test_it_works_from_there_with_its_own_configuration(installed: Path, tmp_path: Path) -> None:
    assert run(installed, "--version").startswith("vv, version")
    (tmp_path / "vv.yml").write_text(f"settings: {{VV_STATE_DIR: {tmp_path}/state}}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VV_CONFIG", str(tmp_path / "vv.yml"))
        run(installed, "config", "render", "--out", str(tmp_path / "out"))
    assert (tmp_path / "out" / "rules" / "containers.yml").exists()


def test_what_the_operator_wrote_is_kept_and_a_newer_version_adds_what_it_needs(installed: Path) -> None:
    text = (installed / "etc/vv/vv.env").read_text()

    assert text.startswith(OPERATORS)
    assert parse_environment_file(text) == {"VV_DEVICE_ID": "edge-7", "VV_DEPLOYMENT": "systemd"}


@contextlib.contextmanager
def listening(path: Path) -> Iterator[list[str]]:
    """What is said to systemd at this socket, read when it is looked at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.setblocking(False)

        class Told(list[str]):
            def __contains__(self, item: object) -> bool:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        self.append(sock.recv(100).decode())
                return super().__contains__(item)

        yield Told()


def test_the_exporter_tells_systemd_how_it_is_going(installed: Path, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("VV_", "DOCKER_"))}
    env |= {"VV_STATE_DIR": str(tmp_path / "state"), "VV_CONFIG": "", "VV_EXPORTER_PORT": str(free_port())}
    env |= {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "600000"}
    command = [installed / "opt/vv/bin/python", "-m", "vv_exporter", "exporter"]
    with listening(tmp_path / "n") as told:
        child = Child("the exporter", command, tmp_path / "out", env)
        child.start()
        try:
            wait_until(lambda: "READY=1" in told, 30, what="READY=1")
            wait_until(lambda: "WATCHDOG=1" in told, 30, what="WATCHDOG=1")
        finally:
            child.stop()
        assert "STOPPING=1" in told


def test_the_agent_of_a_fleet_runs_as_its_unit_says(installed: Path, tmp_path: Path, store_program: Path) -> None:
    """Without any right, where the state is not to be looked into; none of its settings are passed on."""
    (command,) = units.unit(BECOMES_ANOTHER)["ExecStart"]
    data, closed, port = tmp_path / "data", tmp_path / "closed", free_port()
    closed.mkdir(mode=0o000)
    settings = {"VV_FLEET_URL": "http://127.0.0.1:9", "VV_FLEET_TOKEN": "t0ken", "VV_FLEET_AGENT_PORT": str(port)}
    settings |= {"VV_STATE_DIR": f"{closed}/state", "VV_CONFIG": "", "VV_DEVICE_ID": "edge-7"}
    python = f"{installed}{PREFIX}/bin/python -m vv_exporter"
    child = Child(
        "the agent",
        [
            *(["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []),
            *command.replace("@PREFIX@/bin/vv", python).replace(rights.AGENT_DIR, str(data)).split(),
        ],
        tmp_path / "out",
        {"PATH": f"{store_program.parent}:/usr/bin:/bin", "HOME": str(closed), **settings},
    )
    child.start()
    try:
        wait_until(lambda: ready(port, "/health"), 60, what="vmagent")
        (agent,) = [one for one in psutil.process_iter(["cmdline"]) if f"127.0.0.1:{port}" in str(one.info["cmdline"])]
        assert Path(agent.exe()).name == victoria.AGENT
        assert "PATH" in agent.environ()
        assert not any(name.startswith("VV_") for name in agent.environ())
    except AssertionError as error:
        error.add_note(child.tail(20))
        raise
    finally:
        child.stop()
    assert (data / "queue").is_dir()
    assert (data / "config/secrets/fleet_token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("unit", UNITS)
def test_the_units_give_no_more_than_is_needed(installed: Path, tmp_path: Path, unit: str) -> None:
    text = (installed / "etc/systemd/system" / unit).read_text()

    for line in (
        "Type=exec" if unit == BECOMES_ANOTHER else "Type=notify",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "SystemCallFilter=@system-service",
    ):
        assert line in text.splitlines(), line
    assert re.search(r"^User=vv", text, re.M)
    assert bool(re.search(r"^WatchdogSec=\d+$", text, re.M)) == (unit != BECOMES_ANOTHER)
    assert re.search(r"^MemoryMax=\d+M$", text, re.M)
    assert "@PREFIX@" not in text
    if shutil.which("systemd-analyze"):
        (tmp_path / unit).write_text(text.replace(PREFIX, f"{installed}{PREFIX}"))
        _judge(tmp_path / unit)


def _judge(unit: Path) -> None:
    """Ask systemd itself."""
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    said = [line for line in verified.stderr.splitlines() if unit.name in line or str(unit) in line]
    assert said == [], verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={WORST}", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout[-1500:] + judged.stderr


def test_users_and_folders_are_declared_as_systemd_wants_them(installed: Path) -> None:
    users = (installed / "etc/sysusers.d/vv.conf").read_text()
    folders = (installed / "etc/tmpfiles.d/vv.conf").read_text()

    assert [line.split()[1] for line in users.splitlines() if line.startswith("u ")] == [
        "vv",
        "vv-self-monitor",
        "vv-docker",
    ]
    assert "d /var/lib/vv/journal 3770 vv vv -" in folders.splitlines()
    if os.geteuid() == 0 and shutil.which("systemd-sysusers") and shutil.which("systemd-tmpfiles"):
        for tool in (["systemd-sysusers"], ["systemd-tmpfiles", "--create"]):
            done = subprocess.run([*tool, f"--root={installed}"], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        for entry in (*rights.STATE, *rights.CONFIGURATION, *rights.SOCKETS):
            path = installed / (entry.path if entry.path[:1] == "/" else f"{rights.STATE_DIR}/{entry.path}")[1:]
            if entry.kind == "folder" and entry.owner != rights.SELF_MONITOR:
                found = path.stat()
                assert found.st_mode & 0o7777 == entry.mode, path
                assert (found.st_uid == 0) == (entry.owner == rights.ROOT), path
                assert (found.st_gid == 0) == (entry.group == rights.ROOT), path
