"""The three units on a device of their own: systemd, cgroup v2, Engine, clock, network, disks. In order."""

import json
import re
import time

import pytest

from tests.field.conftest import UNITS
from tests.field.machine import Machine
from tests.support.receivers import Slack
from tests.support.waiting import wait_until

AHEAD = 5 * 3600  # seconds
LIMITS = {"vv-exporter": (256, 128), "vv-self-monitor": (128, 64), "vv-docker-proxy": (96, 96)}
"""Megabytes and tasks that each unit may have, as deploy/systemd says."""
VIDEOS = 'path="/srv/video",role="video_storage"'


def main_pid(machine: Machine, unit: str) -> int:
    return int(machine.check(f"systemctl show --value -p MainPID {unit}"))


def wait_for_another_process(machine: Machine, unit: str, before: int | str) -> None:
    now = f"$(systemctl show --value -p MainPID {unit})"
    machine.wait(f"systemctl is-active {unit} && [ {now} != {before} ]")


def is_told(slack: Slack, text: str) -> bool:
    return any(text in str(request.json) for request in slack.received)


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


@pytest.mark.parametrize(("unit", "own"), [("vv-exporter", "read"), ("vv-self-monitor", "act")])
def test_a_unit_reaches_no_more_of_docker_than_its_own(device: Machine, unit: str, own: str) -> None:
    # Even as root: what is hidden is there, by its name, but nobody listens.
    inside = f"nsenter --mount --target {main_pid(device, unit)} python3 -c"
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    sockets = [f"/run/vv-docker/{name}/docker.sock" for name in ("read", "act")] + ["/run/docker.sock"]

    reached = [path for path in sockets if device.run(f"{inside} '{connect}' {path}").code == 0]

    assert reached == [f"/run/vv-docker/{own}/docker.sock"]


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


def test_a_clock_that_was_ahead_leaves_nothing_in_the_future(device: Machine) -> None:
    device.check(f"date -u -s @{time.time() + AHEAD:.0f}")
    device.wait_for('vv_clock_steps_total{direction="forward"}', 2.0)
    device.check("vv heartbeat nightly; vv alert WARNING 'While the clock was ahead'")
    device.wait_for('vv_alert_events_total{component="vv alert",severity="warning"}', 2.0)

    device.check(f"date -u -s @{time.time():.0f}")

    device.wait_for('vv_clock_steps_total{direction="back"}', 1.0)
    now = device_now(device)
    assert max(moments(device).values()) <= now
    assert device.metrics()['vv_job_last_success_timestamp_seconds{job="nightly"}'] <= now


def moments(device: Machine) -> dict[str, float]:
    """What the timeline holds: titles and when (Unix seconds)."""
    found = json.loads(device.get("/api/v1/timeline?since=&limit=1000"))["moments"]
    return {moment["title"]: moment["time"] for moment in found}


def device_now(device: Machine) -> float:
    return float(device.check("date +%s.%N"))


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_that_is_killed_is_started_again(device: Machine, unit: str) -> None:
    before = main_pid(device, unit)
    device.check(f"kill -KILL {before}")

    wait_for_another_process(device, unit, before)


def test_a_frozen_exporter_is_ended_by_the_watchdog(device: Machine) -> None:
    before = main_pid(device, "vv-exporter")
    device.check(f"kill -STOP {before}")

    device.wait("journalctl -u vv-exporter --no-pager | grep -i 'watchdog timeout'")
    wait_for_another_process(device, "vv-exporter", before)


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_a_start_that_is_interrupted_is_begun_again(device: Machine, signal: str) -> None:
    device.check("systemctl stop vv-exporter; systemctl start --no-block vv-exporter")
    show = "systemctl show --value vv-exporter -p"
    interrupted = device.wait(
        f'[ "$({show} ActiveState)" = activating ] && pid=$({show} MainPID) && [ $pid -gt 0 ] '
        f"&& kill -{signal} $pid && echo $pid"
    )

    wait_for_another_process(device, "vv-exporter", interrupted)
    device.wait_for("vv_docker_up", 1.0)
    assert "Before the clock was set" in moments(device)


def test_what_containers_use_is_read_from_cgroup_v2(device: Machine) -> None:
    device.check("mkdir -p /opt/image/bin && cp /bin/busybox /opt/image/bin/ && ln -sf busybox /opt/image/bin/sh")
    device.check("tar -C /opt/image -c . | docker import - box:1")
    work = "while :; do :; done & sleep 100000"
    device.check(f"docker run -d --name busy --memory 64m --cpus 0.2 box:1 sh -c '{work}'", timeout=300)

    device.wait_for('vv_container_running{name="busy"}', 1.0)
    device.wait_for('vv_container_memory_limit_bytes{name="busy"}', float(64 << 20))
    device.wait_for('vv_container_cpu_limit_cores{name="busy"}', 0.2)
    group = f"/sys/fs/cgroup/system.slice/docker-{device.check('docker inspect -f {{.Id}} busy')}.scope"
    processor = 'vv_container_cpu_seconds_total{name="busy"}'
    wait_until(lambda: device.metrics()[processor] > 0, 300, what="processor time")
    shown = device.metrics()
    (used,) = re.findall(r"usage_usec (\d+)", device.check(f"cat {group}/cpu.stat"))
    assert 0 < shown[processor] <= int(used) / 1e6
    assert shown['vv_container_pids{name="busy"}'] == float(device.check(f"cat {group}/pids.current"))
    assert 0 < shown['vv_container_memory_working_set_bytes{name="busy"}'] <= 64 << 20
    device.check("docker rm -f busy")


def test_want_of_memory_is_told_of_a_child_and_of_a_main_process(device: Machine) -> None:
    eat, once = "busybox tail /dev/zero", "--memory 32m --memory-swap 32m"
    device.check(f"docker run -d --name child {once} box:1 sh -c '{eat}; busybox sleep 100000'", timeout=300)
    device.check(f"docker run -d --name main {once} box:1 {eat}", timeout=300)

    device.wait_for('vv_container_oom_kills_total{name="main"}', 1.0)
    device.wait_for('vv_container_running{name="main"}', 0.0)
    device.wait_for('vv_container_last_exit_code{name="main"}', 137.0)
    device.wait_for('vv_container_exits_total{name="main",reason="oom"}', 1.0)
    device.wait_for('vv_container_oom_kills_total{name="child"}', 1.0)
    device.wait_for('vv_container_running{name="child"}', 1.0)
    device.check("docker rm -f child main")


def test_a_network_that_goes_and_comes_loses_no_message(device: Machine, slack: Slack) -> None:
    device.qmp("set_link", name="nic", up=False)
    device.check("vv alert CRITICAL 'While the network was away'")
    device.wait_for('vv_alert_events_total{component="vv alert",severity="critical"}', 1.0)
    device.wait_for('vv_direct_queue{channel="slack"}', 1.0)
    assert not is_told(slack, "While the network was away")

    device.qmp("set_link", name="nic", up=True)

    wait_until(lambda: is_told(slack, "While the network was away"), 300, what="the message")
    device.wait_for('vv_direct_queue{channel="slack"}', 0.0)


def test_a_disk_that_is_pulled_is_told_and_costs_nothing_else(device: Machine, slack: Slack) -> None:
    device.wait_for(f"vv_filesystem_probe_success{{{VIDEOS}}}", 1.0)

    device.qmp("device_del", id="videos-disk")

    device.wait_for(f"vv_filesystem_probe_success{{{VIDEOS}}}", 0.0)
    assert device.metrics()["vv_docker_up"] == 1.0
    assert device.check(f"systemctl is-active {' '.join(UNITS)}").split() == ["active"] * len(UNITS)


def test_after_a_power_cut_it_starts_without_the_videos_disk(device: Machine) -> None:
    device.cut()
    device.boot(videos=False)

    for unit in UNITS:
        device.wait(f"systemctl is-active {unit}")
    assert device.run("findmnt /srv/video").code != 0
    device.wait_for(f"vv_filesystem_missing{{{VIDEOS}}}", 1.0)
    assert device.check("ls -A /srv/video") == "", "nothing is made below an empty mount point"
    assert "Before the clock was set" in moments(device)
