"""The three units on a device of their own: systemd, cgroup v2, Engine, clock, network, disks. In order."""

import re
import time

import pytest

from tests.field.conftest import AHEAD_SECONDS, PROBED, UNITS, wait_until_nothing_is_in_the_future
from tests.field.machine import WAIT, Machine
from tests.support.receivers import Slack
from tests.support.waiting import wait_until

LIMITS = {"vv-exporter": (256, 128), "vv-self-monitor": (128, 64), "vv-docker-proxy": (96, 96)}
"""Megabytes and tasks that each unit may have, as deploy/systemd says."""
WARNINGS = 'vv_alert_events_total{component="vv alert",severity="warning"}'
QUEUE = 'vv_direct_queue{channel="slack"}'
INTERRUPT = """
set -e
systemctl stop vv-exporter
systemctl start --no-block vv-exporter
until pid=$(systemctl show --value -p MainPID vv-exporter); [ "$pid" != 0 ]; do :; done
[ "$(systemctl show --value -p ActiveState vv-exporter)" = activating ]
kill -%s "$pid"
echo "$pid"
"""
"""Ends or freezes the exporter in the middle of its start; says which process it was."""


def main_pid(machine: Machine, unit: str) -> int:
    return int(machine.check(f"systemctl show --value -p MainPID {unit}"))


def wait_for_another_process(machine: Machine, unit: str, before: int | str) -> None:
    now = f"$(systemctl show --value -p MainPID {unit})"
    machine.wait(f"systemctl is-active {unit} && [ {now} != {before} ]")


def messages(slack: Slack, text: str) -> int:
    """How many that say this have come."""
    return sum(text in str(request.json) for request in slack.received)


def test_the_units_start_where_the_clock_is_days_behind(device: Machine) -> None:
    assert device.check("cat /proc/1/comm") == "systemd"
    assert device.check("stat -fc %T /sys/fs/cgroup") == "cgroup2fs"
    assert device.check(f"systemctl is-active {' '.join(UNITS)}").split() == ["active"] * len(UNITS)
    device.wait_for("vv_docker_up", 1.0)


def test_the_doctor_has_nothing_more_to_say_after_its_cures(device: Machine) -> None:
    assert device.check("vv doctor").startswith("ok: ")
    device.wait_for(PROBED, 1.0)


def test_disks_that_only_the_units_may_not_write_are_not_told_as_read_only(device: Machine) -> None:
    shown = {name: value for name, value in device.metrics().items() if name.startswith("vv_filesystem_readonly{")}

    assert len(shown) == 2
    assert set(shown.values()) == {0.0}


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


@pytest.mark.parametrize(("unit", "own"), [("vv-exporter", "read"), ("vv-self-monitor", "act")])
def test_a_unit_reaches_no_more_of_the_engine_than_its_own(device: Machine, unit: str, own: str) -> None:
    # Even as root: what is hidden is there, by its name, but nobody listens.
    inside = f"nsenter --mount --target {main_pid(device, unit)} python3 -c"
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    sockets = [f"/run/vv-docker/{name}/docker.sock" for name in ("read", "act")] + ["/run/docker.sock"]

    reached = [path for path in sockets if device.run(f"{inside} '{connect}' {path}").code == 0]

    assert reached == [f"/run/vv-docker/{own}/docker.sock"]


def test_a_clock_that_is_set_leaves_nothing_in_the_past(device: Machine) -> None:
    device.check("vv alert WARNING 'Before the clock was set'")
    device.wait_for(WARNINGS, 1.0)
    before = device.moments()

    device.set_clock(time.time())

    after = device.moments()
    assert "Before the clock was set" in after
    assert after.keys() >= before.keys()
    age = device.now() - after["Before the clock was set"]
    assert 0 <= age < 3600, "it keeps its age"
    assert device.check(f"systemctl is-active {' '.join(UNITS)}").split() == ["active"] * len(UNITS)


def test_a_clock_that_was_ahead_leaves_nothing_in_the_future(device: Machine) -> None:
    device.set_clock(time.time() + AHEAD_SECONDS)
    before = device.metrics().get(WARNINGS, 0.0)
    device.check("vv heartbeat nightly; vv alert WARNING 'While the clock was ahead'")
    device.wait_for(WARNINGS, before + 1)
    device.wait_for('vv_job_runs_total{job="nightly",result="success"}', 1.0)

    device.set_clock(time.time())

    wait_until_nothing_is_in_the_future(device)


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_that_is_killed_is_started_again(device: Machine, unit: str) -> None:
    before = main_pid(device, unit)
    device.check(f"kill -KILL {before}")

    wait_for_another_process(device, unit, before)


def test_a_frozen_exporter_is_ended_by_the_watchdog(device: Machine) -> None:
    before = main_pid(device, "vv-exporter")
    device.check(f"kill -STOP {before}")

    wait_for_another_process(device, "vv-exporter", before)
    assert "watchdog timeout" in device.check("journalctl -u vv-exporter --no-pager -n 100").lower()


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_a_start_that_is_interrupted_is_begun_again(device: Machine, signal: str) -> None:
    interrupted = device.check(INTERRUPT % signal)

    wait_for_another_process(device, "vv-exporter", interrupted)
    device.wait_for("vv_docker_up", 1.0)
    assert "Before the clock was set" in device.moments()


@pytest.fixture(scope="module")
def _image(device: Machine) -> None:
    """`box:1`, an image of the device's own: busybox and nothing else."""
    device.check("mkdir -p /opt/image/bin && cp /bin/busybox /opt/image/bin/ && ln -sf busybox /opt/image/bin/sh")
    device.check("tar -C /opt/image -c . | docker import - box:1")


@pytest.mark.usefixtures("_image")
def test_what_containers_use_is_read_from_cgroup_v2(device: Machine) -> None:
    work = "while :; do :; done & busybox sleep 100000"
    device.check(f"docker run -d --name busy --memory 64m --cpus 0.2 box:1 sh -c '{work}'", timeout=WAIT)

    device.wait_for('vv_container_running{name="busy"}', 1.0)
    device.wait_for('vv_container_memory_limit_bytes{name="busy"}', float(64 << 20))
    device.wait_for('vv_container_cpu_limit_cores{name="busy"}', 0.2)
    group = f"/sys/fs/cgroup/system.slice/docker-{device.check('docker inspect -f {{.Id}} busy')}.scope"
    processor = 'vv_container_cpu_seconds_total{name="busy"}'
    wait_until(lambda: device.metrics()[processor] > 0, WAIT, what="processor time")
    shown = device.metrics()
    (used,) = re.findall(r"usage_usec (\d+)", device.check(f"cat {group}/cpu.stat"))
    assert 0 < shown[processor] <= int(used) / 1e6
    assert shown['vv_container_pids{name="busy"}'] == float(device.check(f"cat {group}/pids.current"))
    assert 0 < shown['vv_container_memory_working_set_bytes{name="busy"}'] <= 64 << 20
    device.check("docker rm -f busy")


@pytest.mark.usefixtures("_image")
def test_an_oom_kill_of_a_main_process_is_counted_and_of_a_child_is_no_end(device: Machine) -> None:
    eat, limit = "busybox tail /dev/zero", "--memory 32m --memory-swap 32m"
    device.check(f"docker run -d --name child {limit} box:1 sh -c '{eat}; busybox sleep 100000'", timeout=WAIT)
    device.check(f"docker run -d --name main {limit} box:1 {eat}", timeout=WAIT)

    device.wait_for('vv_container_oom_kills_total{name="main"}', 1.0)
    device.wait_for('vv_container_running{name="main"}', 0.0)
    device.wait_for('vv_container_last_exit_code{name="main"}', 137.0)
    device.wait_for('vv_container_exits_total{name="main",reason="oom"}', 1.0)
    # The container goes on, and is not counted; that something in it was killed is the kernel's word, and the event's.
    told = "docker events --since 1h --until 0s --filter event=oom --filter container=child --format '{{.Action}}'"
    wait_until(lambda: "oom" in device.check(told), WAIT, what="the event of the child")
    device.wait_for('vv_container_running{name="child"}', 1.0)
    assert device.metrics()['vv_container_oom_kills_total{name="child"}'] == 0
    device.check("docker rm -f child main")


def test_a_network_that_goes_and_comes_loses_no_message(device: Machine, slack: Slack) -> None:
    device.qmp("set_link", name="nic", up=False)
    device.check("vv alert CRITICAL 'While the network was away'")
    wait_until(lambda: device.metrics()[QUEUE] >= 1, WAIT, what="a message that waits")
    assert messages(slack, "While the network was away") == 0

    device.qmp("set_link", name="nic", up=True)

    wait_until(lambda: messages(slack, "While the network was away"), WAIT, what="the message")
    device.wait_for(QUEUE, 0.0)
    assert messages(slack, "While the network was away") == 1


def test_a_disk_that_is_pulled_is_told_and_costs_nothing_else(device: Machine, slack: Slack) -> None:
    device.wait_for(PROBED, 1.0)

    device.qmp("device_del", id="videos-disk")

    device.wait_for(PROBED, 0.0)
    assert device.metrics()["vv_docker_up"] == 1.0
    assert device.check(f"systemctl is-active {' '.join(UNITS)}").split() == ["active"] * len(UNITS)
    wait_until(lambda: messages(slack, "/srv/video"), WAIT, what="the message")
