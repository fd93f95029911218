"""The device is suspended to memory, with Prometheus and Alertmanager, and wakes later: no untrue word is told."""

import shlex
import time

import pytest

from tests.field.conftest import SET_UP, write_settings
from tests.field.disk import SERVERS_PATH
from tests.field.machine import BOOT, WAIT, Machine
from tests.support.receivers import Slack
from tests.support.waiting import wait_until

SLEEP = 420.0
"""Seconds: longer than samples live (5 min) and than alerts that are not sent again."""
AWAKE = 240.0
"""Seconds after waking, in which every rule was evaluated that a gap could make fire."""
UP = "vv_alert_path_up"
SLEPT = "import time; print(time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())"
pytestmark = pytest.mark.timeout(7200)


@pytest.fixture(scope="module")
def stack(device: Machine, slack: Slack) -> Machine:
    """The device with `vv up` in the place of the exporter's unit, once the alert path has proven itself."""
    device.restore(SET_UP)
    device.set_clock(time.time())
    device.check("systemctl stop vv-exporter vv-self-monitor")
    write_settings(device, slack, VV_ALERT_PATH_AFTER="90s", VV_STATE_DIR="/var/lib/vv-up")
    environment = f"-p EnvironmentFile=/etc/vv/vv.env --setenv=PATH={shlex.quote(SERVERS_PATH)} --setenv=HOME=/root"
    device.check(f"systemd-run --unit=up {environment} /opt/vv/bin/vv up", timeout=BOOT)
    device.wait("systemctl is-active up")
    wait_until(lambda: _shown(device) == 1, 2 * BOOT, what="an alert path that works")
    return device


def _shown(device: Machine) -> float | None:
    time.sleep(2)
    try:
        return device.metrics().get(UP)
    except OSError:
        return None


def test_a_device_that_slept_tells_nothing_that_is_not_so(stack: Machine, slack: Slack) -> None:
    told, slept = len(slack.received), float(stack.check(f"python3 -c {shlex.quote(SLEPT)}"))
    stack.check("systemd-run --on-active=2 --timer-property=AccuracySec=100ms sh -c 'echo mem > /sys/power/state'")
    wait_until(lambda: stack.qmp("query-status")["status"] == "suspended", WAIT, what="sleep")
    time.sleep(SLEEP)
    stack.qmp("system_wakeup")

    stack.wait("true", BOOT)
    assert float(stack.check(f"python3 -c {shlex.quote(SLEPT)}")) - slept > SLEEP / 2
    wait_until(lambda: _shown(stack) == 1, BOOT, what="an alert path that works again")
    time.sleep(AWAKE)
    assert [request.body.decode() for request in slack.received[told:]] == []

    stack.check("VV_STATE_DIR=/var/lib/vv-up vv alert CRITICAL 'After the sleep'")
    slack.wait_for(lambda request: "After the sleep" in request.body.decode(), BOOT)
