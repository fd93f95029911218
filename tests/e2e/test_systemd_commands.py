"""Commands of messages and runbooks as they are told on a device with systemd, typed where there is none.

The command line with the services' file of settings, the servers, the folders, the rendered configuration: with other
ports and folders than the defaults. What asks systemd itself is tried on a whole device (tests/field).
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import typed
from tests.support.exporter import QUIET, Exporter
from tests.support.ports import free_port
from tests.support.receivers import DeadMan, Slack, Webhook
from tests.support.servers import Alertmanager, Programs, Prometheus
from tests.support.waiting import wait_until
from vv_exporter.render.commands import ENVIRONMENT_FILE, RENDERED
from vv_exporter.settings import load

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(600)]
OF_SYSTEMD = ("systemctl", "journalctl")
IN_OTHER_STATES = ("containers list", "/ingest-paused", " doctor", "digest --send", " drill", "state/self-", ".jsonl")
"""What there is where a self-monitor has looked, the disk is full, all is installed, mail is configured or a script
runs; and the drill, which has tests of its own."""


class Device(NamedTuple):
    """What runs, and where its own folder is."""

    folder: Path
    lines: list[str]
    changing: list[str]
    path: str

    def type_in(self, line: str) -> tuple[int, str]:
        """The exit code in the shell of an operator, and what it complains of."""
        own = {str(ENVIRONMENT_FILE): str(self.folder / "vv.env"), RENDERED: str(self.folder / "rendered")}
        for there, here in own.items():
            line = line.replace(there, here)
        done = subprocess.run(
            ["bash", "-c", line],
            env={"PATH": self.path, "HOME": "/nonexistent"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stderr.strip()[:500]


@pytest.fixture(scope="module")
def device(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    folder = tmp_path_factory.mktemp("device")
    (folder / "videos").mkdir()
    ports = {"VV_PROMETHEUS_PORT": free_port(), "VV_ALERTMANAGER_PORT": free_port()}
    with Slack() as slack, Webhook() as webhook, DeadMan() as deadman:
        exporter = Exporter(
            folder / "state",
            **QUIET,
            **{name: str(port) for name, port in ports.items()},
            VV_DEPLOYMENT="systemd",
            VV_DEVICE_ID="edge-7",
            VIDEO_STORAGE_ROOT=str(folder / "videos"),
            SLACK_WEBHOOK_URL=slack.url,
            WEBHOOK_URL=webhook.url,
            DEADMAN_URL=deadman.url,
        )
        (folder / "vv.env").write_text("".join(f"{name}={value}\n" for name, value in exporter.environ.items()))
        settings = load(exporter.environ)
        path = os.pathsep.join([str(Path(sys.executable).parent), str(programs.promtool.parent), os.environ["PATH"]])
        looking, changing = (typed.as_they_stand(settings, changing=changes) for changes in (False, True))
        found = Device(folder, [*filter(_is_ours, looking)], [*filter(_is_ours, changing)], path)
        rendering = next(line for line in found.changing if "config render" in line and "promtool" not in line)
        with exporter:
            assert found.type_in(rendering) == (0, ""), rendering
            config = folder / "rendered"
            with (
                Alertmanager(config / "alertmanager.yml", folder / "am", programs, ports["VV_ALERTMANAGER_PORT"]),
                Prometheus(config / "prometheus.yml", folder / "pr", programs, ports["VV_PROMETHEUS_PORT"]),
            ):
                wait_until((exporter.state / "logs" / "app.log").exists, 30, what="app.log")
                yield found


def _is_ours(line: str) -> bool:
    """Whether it is about the monitoring, and what it needs is here."""
    ours = ("vv ", "promtool ", "amtool ", "127.0.0.1:", "/state")
    return (
        any(words in line for words in ours)
        and not line.startswith(OF_SYSTEMD)
        and not any(words in line for words in IN_OTHER_STATES)
    )


def test_every_command_that_only_looks_works_as_it_is_typed(device: Device) -> None:
    """It may find nothing; it may not fail."""
    assert len(device.lines) > 60
    assert all(f"127.0.0.1:{port}" not in line for line in device.lines for port in (9090, 9093, 19461))

    with ThreadPoolExecutor(3) as at_once:
        said = dict(zip(device.lines, at_once.map(device.type_in, device.lines), strict=True))
    failed = {line: done for line, done in said.items() if done[0] not in (0, 1) or done[1]}
    assert failed == {}, "\n".join(f"{line}: {why}" for line, why in failed.items())


def test_every_command_that_changes_something_works_as_it_is_typed(device: Device) -> None:
    lines = [line for line in device.changing if line.startswith("vv --env-file") and "quarantine" not in line]
    assert len(lines) >= 6

    said = {line: device.type_in(line) for line in lines}
    assert {line: done for line, done in said.items() if done[0]} == {}
