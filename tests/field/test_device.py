"""The three units on a device of their own: systemd, cgroup v2, Engine, clock. In order."""

import json
import re
import time

import pytest

from tests.field.conftest import UNITS
from tests.field.machine import Machine

LIMITS = {"vv-exporter": (256, 128), "vv-self-monitor": (128, 64), "vv-docker-proxy": (96, 96)}
"""Megabytes and tasks that each unit may have, as deploy/systemd says."""
VIDEOS = 'path="/srv/video",role="video_storage"'


def main_pid(machine: Machine, unit: str) -> int:
    return int(machine.check(f"systemctl show --value -p MainPID {unit}"))


def test_the_units_start_where_the_clock_is_days_behind(device: Machine) -> None:
    assert device.check("cat /proc/1/comm") == "systemd"
    assert device.check("stat -fc %T /sys/fs/cgroup") == "cgroup2fs"
    assert device.check(f"systemctl is-active {' '.join(UNITS)}").split() == ["active"] * len(UNITS)
    device.wait_for("vv_docker_up", 1.0)


def test_the_doctor_has_nothing_more_to_say_after_its_cures(device: Machine) -> None:
    assert device.check("vv doctor").startswith("ok: ")
    device.wait_for(f"vv_filesystem_probe_success{{{VIDEOS}}}", 1.0)


@pytest.mark.parametrize("unit", UNITS)
def test_the_kernel_keeps_what_a_unit_promises(device: Machine, unit: str) -> None:
    pid = main_pid(device, unit)
    status = device.check(f"cat /proc/{pid}/status")
    assert "NoNewPrivs:\t1\n" in status
    assert "CapEff:\t0000000000000000\n" in status
    assert "CapBnd:\t0000000000000000\n" in status
    assert "Seccomp:\t2\n" in status
    assert not re.search(r"^Uid:\t.*\b0\b", status, re.MULTILINE)
    # In its view of the files, even as root.
    inside = f"nsenter --mount --target {pid}"
    assert "Read-only file system" in device.run(f"{inside} touch /usr/here").output
    assert device.run(f"{inside} ls -A /root").output == ""
    assert "No such file" in device.run(f"{inside} ls /dev/vda").output
    group = f"/sys/fs/cgroup{device.check(f'cut -d: -f3 /proc/{pid}/cgroup')}"
    memory, tasks = LIMITS[unit]
    assert device.check(f"cat {group}/memory.max {group}/pids.max").split() == [str(memory << 20), str(tasks)]


def test_a_clock_that_is_set_leaves_nothing_in_the_past(device: Machine) -> None:
    device.check("vv alert WARNING 'Before the clock was set'")
    device.wait_for('vv_alert_events_total{component="vv alert",severity="warning"}', 1.0)
    before = moments(device)

    device.check(f"date -u -s @{time.time():.0f}")

    device.wait_for('vv_clock_steps_total{direction="forward"}', 1.0)
    after = moments(device)
    assert "Before the clock was set" in after
    assert after.keys() >= before.keys()
    age = device_now(device) - after["Before the clock was set"]
    assert 0 <= age < 3600, "it keeps its age"
    assert device.check(f"systemctl is-active {' '.join(UNITS)}").split() == ["active"] * len(UNITS)


def moments(device: Machine) -> dict[str, float]:
    """What the timeline holds: titles and when (Unix seconds)."""
    found = json.loads(device.get("/api/v1/timeline?since=&limit=1000"))["moments"]
    return {moment["title"]: moment["time"] for moment in found}


def device_now(device: Machine) -> float:
    return float(device.check("date +%s.%N"))
