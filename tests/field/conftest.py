"""The device that all tests of this folder share, in the order in which they stand: a boot takes minutes.

To work on one test: `VV_FIELD_DEVICE=FOLDER make field ARGS="-k clock"` keeps the device as it was set up, and goes on
from there the next time.
"""

import os
import re
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.field import report
from tests.field.machine import BOOT, WAIT, Machine
from tests.support.receivers import Slack
from tests.support.waiting import wait_until

UNITS = ("vv-docker-proxy", "vv-exporter", "vv-self-monitor")
DAYS_BEHIND = 40
AHEAD_SECONDS = 5 * 3600
PROBED = 'vv_filesystem_probe_success{path="/srv/video",role="video_storage"}'
SET_UP = "set-up"
PAST = re.compile(r"^(?!vv_exporter_loop_due_).*(_timestamp_seconds|_created|_time_seconds)\b")
"""Series whose values are times; none of those that a device of these tests shows lies ahead by itself, but when its
loops are due."""
HOST = "10.0.2.2"
"""This machine, as the device sees it: https://www.qemu.org/docs/master/system/devices/net.html."""
DIAGNOSIS = "journalctl --no-pager -n 40 -u 'vv-*' | cut -c1-300; docker ps -a; vv containers list"
_DROP_IN = "/etc/systemd/system/vv-exporter.service.d/50-sooner.conf"
_SOONER = "[Service]\\nWatchdogSec=45\\nTimeoutStartSec=60\\nRestartSec=1\\n"
"""Than on a user's device: a test waits for it. An emulated device is slow, so it is not much sooner."""


@pytest.fixture(scope="session")
def slack() -> Iterator[Slack]:
    """A channel outside of the device."""
    with Slack() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A device with `make install` done, which is off."""
    kept = os.environ.get("VV_FIELD_DEVICE")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("device")
    with Machine(folder) as device:
        yield device


@pytest.fixture(scope="session")
def device(machine: Machine, slack: Slack) -> Machine:
    """The device as its operator has set it up at its first boot; its clock was days behind."""
    if machine.is_saved:
        machine.restore(SET_UP)
        write_settings(machine, slack)
        machine.check("systemctl restart vv-exporter", timeout=BOOT)
        return machine
    machine.boot(clock=datetime.now(UTC) - timedelta(days=DAYS_BEHIND))
    set_up(machine, slack)
    machine.save(SET_UP)
    return machine


def set_up(machine: Machine, slack: Slack) -> None:
    """docs/deployment.md, "Without Docker: systemd"."""
    write_settings(machine, slack)
    machine.check(f"mkdir -p $(dirname {_DROP_IN}); printf '{_SOONER}' > {_DROP_IN}")
    machine.check("vv --env-file /etc/vv/vv.env config check")
    machine.check(f"systemctl daemon-reload; systemctl enable --now {' '.join(UNITS)}", timeout=BOOT)
    for line in machine.run("vv doctor").output.splitlines():
        if line.startswith("wrong: "):
            machine.check(line.rpartition(": ")[2], timeout=BOOT)


def write_settings(machine: Machine, slack: Slack, **more: str) -> None:
    """What the operator writes into /etc/vv/vv.env."""
    settings = {
        "VV_DEVICE_ID": "field",
        "VIDEO_STORAGE_ROOT": "/srv/video",
        "VV_DIRECT_AFTER": "10s",
        "VV_ALERT_PATH_AFTER": "30s",
        "SLACK_WEBHOOK_URL": slack.url.replace("127.0.0.1", HOST),
        **more,
    }
    lines = " ".join(f"{name}={value}" for name, value in settings.items())
    machine.check(f"printf '%s\\n' {lines} > /etc/vv/vv.env")


def wait_until_nothing_is_in_the_future(device: Machine) -> None:
    """Neither on the timeline nor in a series; the beat of the alert path is shown for a second."""

    def nothing_is() -> bool:
        shown = device.moments() | {name: value for name, value in device.metrics().items() if PAST.search(name)}
        now = device.now()  # asked last
        assert {name: value for name, value in shown.items() if value > now} == {}
        return True

    wait_until(nothing_is, WAIT, what="the past")


@pytest.fixture(autouse=True)
def _diagnosis(machine: Machine, request: pytest.FixtureRequest) -> Iterator[None]:
    """What the device's journal said last, where a test fails."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed and machine.is_on:
        print(machine.run(DIAGNOSIS).output)


_passed: list[str] = []
_versions: list[str] = []


@pytest.fixture(scope="session", autouse=True)
def _known_versions(device: Machine) -> None:
    _versions.append(device.check(report.VERSIONS))
    print(_versions[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember what passed."""
    result = yield
    if result.when == "call" and result.passed:
        _passed.append(result.nodeid)
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    """After a run of all tests that passed: write down what was proven."""
    if _versions and len(_passed) == session.testscollected and _is_whole(session.config):
        modules = {item.path.name: item.module for item in session.items if isinstance(item, pytest.Function)}
        described = {name: str(module.__doc__).splitlines()[0] for name, module in modules.items()}
        report.write(_versions[0], _passed, described)


def _is_whole(config: pytest.Config) -> bool:
    return not (config.option.keyword or config.option.deselect) and all(Path(path).is_dir() for path in config.args)
