"""The real exporter on a real Docker Engine: what happens to containers, and what `/metrics` says."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from tests.support.engine import Engine, busybox_image, private_engine_or_skip
from tests.support.exporter import Exporter
from tests.support.waiting import wait_until
from tests.unit.containers.trees import lay_out

pytestmark = pytest.mark.docker

MEMORY = {"mem_limit": "16m", "memswap_limit": "16m"}
NEVER_OVER = "sleep 1000"


class Device:
    """An Engine with containers, and an exporter that watches it."""

    def __init__(self, engine: Engine, image: str, exporter: Exporter) -> None:
        self.engine = engine
        self.image = image
        self.exporter = exporter
        self.client = engine.client()
        self.ids: dict[str, str] = {}

    def run(self, name: str, command: str = NEVER_OVER, policy: str = "no", retries: int = 0, **options: Any) -> None:
        """As `docker run -d`."""
        config = {key: options.pop(key) for key in ("healthcheck", "labels") if key in options}
        restart = {"Name": policy, "MaximumRetryCount": retries}
        host = self.client.create_host_config(network_mode="none", restart_policy=restart, **options)
        made = self.client.create_container(self.image, ["sh", "-c", command], name=name, host_config=host, **config)
        self.ids[name] = made["Id"]
        self.start(name)

    def start(self, name: str) -> None:
        """As `docker start`."""
        self.client.start(name)
        self._wait_for_command(name)

    def restart(self, name: str) -> None:
        """As `docker restart -t 0`."""
        self.client.restart(name, timeout=0)
        self._wait_for_command(name)

    def _wait_for_command(self, name: str) -> None:
        """Until its command runs or has ended. A SIGTERM before that meets runc, a program in Go, which ends with 2."""

        def begun() -> bool:
            process = self.client.inspect_container(name)["State"]["Pid"]
            try:
                return not Path(f"/proc/{process}/comm").read_text().startswith("runc")
            except OSError:
                return True

        wait_until(begun, what=f"the command of {name}")

    def empty(self) -> None:
        for container in self.client.containers(all=True):
            with contextlib.suppress(docker.errors.APIError):
                self.client.remove_container(container["Id"], force=True)
        self.client.close()

    def value(self, sample: str) -> float | None:
        return self.exporter.metrics().get(sample)

    def shows(self, timeout: float = 60.0, **values: float) -> None:
        """Wait until samples of container `web` have these values, e.g. `restarts_policy=3`."""
        wanted = {_sample(key): value for key, value in values.items()}

        def seen() -> bool:
            metrics = self.exporter.metrics()
            found = {sample: metrics.get(sample) for sample in wanted}
            assert found == wanted
            return True

        wait_until(seen, timeout, what="the container's samples")


def _sample(key: str) -> str:
    family, _, detail = key.partition("_")
    if family == "restarts":
        return f'vv_container_restarts_total{{cause="{detail}",name="web"}}'
    if family == "exits":
        return f'vv_container_exits_total{{name="web",reason="{detail}"}}'
    return f'vv_container_{key}{{name="web"}}'


@pytest.fixture
def exporter(docker_engine: Engine, tmp_path: Path) -> Iterator[Exporter]:
    with Exporter(tmp_path / "state", DOCKER_HOST=docker_engine.host) as exporter:
        exporter.wait_for("vv_docker_event_stream_connected", 1)
        yield exporter


@pytest.fixture
def device(docker_engine: Engine, busybox: str, exporter: Exporter) -> Iterator[Device]:
    device = Device(docker_engine, busybox, exporter)
    yield device
    device.empty()


@pytest.fixture(scope="module")
def own_engine() -> Iterator[Engine]:
    """One that may be frozen, shut down and started again."""
    with private_engine_or_skip() as engine:
        yield engine


@pytest.fixture
def own_device(own_engine: Engine, tmp_path: Path) -> Iterator[Device]:
    image = busybox_image(own_engine)
    with Exporter(tmp_path / "state", DOCKER_HOST=own_engine.host) as exporter:
        exporter.wait_for("vv_docker_event_stream_connected", 1)
        device = Device(own_engine, image, exporter)
        yield device
        device.empty()


def test_a_crash_loop_by_policy_is_counted_exactly(device: Device) -> None:
    device.run("web", "sleep 0.1; exit 3", "on-failure", 4)

    device.shows(restarts_policy=4, restarts_manual=0, exits_error=5, last_exit_code=3, running=0, expected=1)


def test_restarts_by_hand_are_counted_although_docker_forgets_them(device: Device) -> None:
    device.run("web", policy="always")
    device.restart("web")
    device.client.stop("web", timeout=0)
    device.shows(running=0, expected=0)
    device.start("web")
    device.restart("web")

    device.shows(restarts_manual=3, restarts_policy=0, restarts_daemon=0, exits_signal=3, running=1, expected=1)


def test_a_killed_container_is_down_though_expected(device: Device) -> None:
    device.run("web", policy="always")
    device.client.kill("web")

    device.shows(running=0, expected=1, exits_signal=1, last_exit_code=137)


def test_a_one_shot_that_succeeded_is_not_expected(device: Device) -> None:
    device.run("web", "exit 0")

    device.shows(running=0, expected=0, exits_ok=1)


def test_a_death_for_want_of_memory_is_counted_once(device: Device) -> None:
    device.run("web", "tail /dev/zero", "on-failure", 1, **MEMORY)

    device.shows(oom_kills_total=2, exits_oom=2, exits_signal=0, restarts_policy=1)


def test_counts_go_on_when_the_container_is_recreated(device: Device) -> None:
    device.run("web", policy="always")
    device.restart("web")
    device.client.remove_container("web", force=True)
    device.run("web", policy="always")
    device.restart("web")

    device.shows(restarts_manual=2, exits_signal=3, running=1, expected=1)


def test_an_unhealthy_container_says_so_while_it_runs(device: Device) -> None:
    health = 'vv_container_health{name="web",status="unhealthy"}'
    device.run("web", healthcheck={"test": ["CMD", "false"], "interval": 10**9, "retries": 2})
    wait_until(lambda: device.value(health) == 1, 20, what="unhealthy")
    assert (device.value('vv_container_health_failing_streak{name="web"}') or 0) >= 2

    device.client.stop("web", timeout=0)

    wait_until(lambda: device.value(health) is None, 10, what="no health")


def used(device: Device) -> dict[str, float]:
    """What container `web` uses, by the names of the families."""
    metrics = device.exporter.metrics()
    families = ("cpu", "memory", "network", "blkio", "pids")
    return {
        sample.removesuffix('{name="web"}').removeprefix("vv_container_"): value
        for sample, value in metrics.items()
        if sample.endswith('{name="web"}') and sample.removeprefix("vv_container_").startswith(families)
    }


BUSY = "dd if=/dev/zero of=/tmp/x bs=1M count=20; while :; do :; done"
LIMITS: dict[str, Any] = {"cpu_quota": 50_000, "cpu_period": 100_000, "mem_limit": "64m"}
EVERYTHING = {
    "cpu_seconds_total",
    "cpu_limit_cores",
    "memory_working_set_bytes",
    "memory_limit_bytes",
    "blkio_read_bytes_total",
    "blkio_write_bytes_total",
    "network_receive_bytes_total",
    "network_transmit_bytes_total",
    "pids",
}


def test_what_a_container_uses_is_read_from_the_kernel(device: Device) -> None:
    device.run("web", f"test -e /tmp/again && exec sleep 1000; touch /tmp/again; {BUSY}", "always", **LIMITS)
    wait_until(lambda: used(device).get("cpu_seconds_total", 0) > 1, 60, what="a second of work")
    shown = used(device)

    assert shown.keys() == EVERYTHING
    assert shown["cpu_limit_cores"] == 0.5
    assert shown["memory_limit_bytes"] == 64 << 20
    assert 0 < shown["memory_working_set_bytes"] < 15e6, "20 MB of file pages are not in use"
    assert shown["pids"] == 1
    stats = device.client.stats("web", stream=False)["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
    assert shown["cpu_seconds_total"] <= stats <= used(device)["cpu_seconds_total"]

    device.restart("web")
    wait_until(lambda: 0 < used(device)["cpu_seconds_total"] < stats, 20, what="a new cgroup, which begins at 0")
    device.client.stop("web", timeout=0)
    wait_until(lambda: used(device) == {}, 10, what="the end of its series")


def test_the_traffic_of_a_container_is_its_own(device: Device) -> None:
    """Not that of a container whose network namespace is the device's."""
    network = device.client.create_network("vv-test-traffic")["Id"]
    try:
        for name, mode in (("web", network), ("other", network), ("host", "host")):
            host = device.client.create_host_config(network_mode=mode)
            serve = "mkdir /www; dd if=/dev/zero of=/www/file bs=1M count=5; httpd -f -h /www"
            device.client.create_container(device.image, ["sh", "-c", serve], name=name, host_config=host)
            device.client.start(name)
        address = device.client.inspect_container("web")["NetworkSettings"]["Networks"]["vv-test-traffic"]["IPAddress"]
        fetch = ["wget", "-q", "-O", "/dev/null", f"http://{address}/file"]
        wait_until(lambda: _exit_code(device, "other", fetch) == 0, 20, what="the file")
        sent = 'vv_container_network_transmit_bytes_total{name="web"}'

        wait_until(lambda: 5e6 < (device.value(sent) or 0) < 8e6, 10, what="5 MB sent")
        metrics = device.exporter.metrics()
        assert metrics['vv_container_network_receive_bytes_total{name="other"}'] > 5e6
        assert metrics['vv_container_pids{name="host"}'] >= 1
        assert 'vv_container_network_receive_bytes_total{name="host"}' not in metrics
    finally:
        device.empty()
        with contextlib.closing(device.engine.client()) as client:
            client.remove_network(network)


def _exit_code(device: Device, name: str, command: list[str]) -> int:
    run = device.client.exec_create(name, command)["Id"]
    device.client.exec_start(run)
    return int(device.client.exec_inspect(run)["ExitCode"])


def test_the_devices_files_are_read_where_they_are_mounted(docker_engine: Engine, busybox: str, tmp_path: Path) -> None:
    """As in a container on a device with cgroups v2 and the driver systemd; the files are those of such a device."""
    mounted = {"VV_HOST_PROC": str(tmp_path / "host/proc"), "VV_HOST_SYS": str(tmp_path / "host/sys")}
    with Exporter(tmp_path / "state", DOCKER_HOST=docker_engine.host, **mounted) as exporter:
        device = Device(docker_engine, busybox, exporter)
        try:
            device.run("web")
            lay_out("v2_systemd", tmp_path / "host", device.ids["web"])
            wait_until(lambda: used(device).get("cpu_seconds_total") == 7.5, 20, what="what its files say")
            shown = used(device)
        finally:
            device.empty()

    assert shown == {
        "cpu_seconds_total": 7.5,
        "cpu_limit_cores": 1.5,
        "memory_working_set_bytes": 80 << 20,
        "memory_limit_bytes": 256 << 20,
        "blkio_read_bytes_total": 5096,
        "blkio_write_bytes_total": 8192,
        "pids": 12,
    }


def test_what_a_container_uses_is_asked_of_the_engine_where_its_files_are_out_of_reach(
    docker_engine: Engine, busybox: str, tmp_path: Path
) -> None:
    nowhere = {"VV_HOST_PROC": str(tmp_path / "proc"), "VV_HOST_SYS": str(tmp_path / "sys")}
    with Exporter(tmp_path / "state", DOCKER_HOST=docker_engine.host, **nowhere) as exporter:
        device = Device(docker_engine, busybox, exporter)
        try:
            device.run("web", BUSY, **LIMITS)
            wait_until(lambda: used(device).get("cpu_seconds_total", 0) > 0, 60, what="an answer")
            shown = used(device)
        finally:
            device.empty()

    assert shown.keys() == {name for name in EVERYTHING if not name.startswith("network")}
    assert (shown["cpu_limit_cores"], shown["memory_limit_bytes"]) == (0.5, 64 << 20)
    assert 0 < shown["memory_working_set_bytes"] < 15e6


def test_an_essential_container_that_was_removed_reads_0(docker_engine: Engine, busybox: str, tmp_path: Path) -> None:
    config = tmp_path / "vv.yml"
    config.write_text("containers: {essential: [web], ignore: ['builder-*']}")
    with Exporter(tmp_path / "state", DOCKER_HOST=docker_engine.host, VV_CONFIG=str(config)) as exporter:
        device = Device(docker_engine, busybox, exporter)
        try:
            device.shows(running=0, expected=1)
            device.run("builder-1")
            device.run("web")
            device.shows(running=1, expected=1)
            device.client.stop("web", timeout=0)
            device.client.remove_container("web")

            device.shows(running=0, expected=1)
            metrics = exporter.metrics()
        finally:
            device.empty()

    assert any('essential="true"' in sample and 'name="web"' in sample for sample in metrics)
    assert not any("builder-1" in sample for sample in metrics)


def test_what_happened_while_the_exporter_was_down_is_counted(device: Device) -> None:
    device.run("web", "sleep 0.1; exit 1", "on-failure", 2)
    device.shows(restarts_policy=2)
    device.exporter.stop()
    device.start("web")
    wait_until(lambda: device.client.inspect_container("web")["RestartCount"] == 2, 20, what="two more restarts")
    wait_until(lambda: not device.client.inspect_container("web")["State"]["Running"], 20, what="its end")
    device.exporter.start()

    device.shows(restarts_policy=4, restarts_manual=1, exits_error=6)


def test_what_the_engine_forgot_meanwhile_is_counted_as_far_as_it_is_certain(device: Device) -> None:
    device.run("web", "test -e /tmp/ok && sleep 1000; touch /tmp/ok; sleep 1000", "always")
    device.shows(running=1)
    device.exporter.stop()
    device.restart("web")
    device.run("other")
    for _ in range(150):
        device.client.rename("other", "another")
        device.client.rename("another", "other")
    device.exporter.start()

    device.shows(restarts_manual=1, restarts_policy=0, restarts_daemon=0, running=1)


def test_health_probes_that_flood_the_engines_memory_hide_nothing(device: Device) -> None:
    """It keeps 256 events; each probe of a health check makes three."""
    device.run("web", policy="always")
    device.shows(running=1)
    device.exporter.stop()
    device.restart("web")
    device.client.stop("web", timeout=0)
    device.start("web")
    probes = device.client.events(filters={"event": "exec_create"})
    for number in range(4):
        device.run(f"probed-{number}", healthcheck={"test": ["CMD", "true"], "interval": 10**7, "retries": 3})
    for _ in range(300):
        next(probes)
    probes.close()
    kept = device.client.events(since=0, until=time.time(), decode=True)
    assert {
        event["Action"].partition(":")[0] for event in kept if event["Actor"]["Attributes"].get("name") == "web"
    } == set()
    device.exporter.start()

    # Of the two restarts by hand the first has left no trace: what is certain is counted, and no more.
    device.shows(restarts_manual=1, restarts_policy=0, restarts_daemon=0, running=1)
    device.restart("web")
    device.shows(restarts_manual=2, restarts_policy=0, restarts_daemon=0, running=1)


def test_probes_while_somebody_watches_hide_nothing_at_all(device: Device) -> None:
    for number in range(4):
        device.run(f"probed-{number}", healthcheck={"test": ["CMD", "true"], "interval": 10**7, "retries": 3})
    device.run("web", policy="always")
    device.shows(running=1)
    probes = device.client.events(filters={"event": "exec_create"})
    for _ in range(3):
        device.restart("web")
        for _ in range(100):
            next(probes)
    probes.close()

    device.shows(restarts_manual=3, restarts_policy=0, restarts_daemon=0, exits_signal=3, running=1)


def test_killing_the_exporter_at_any_time_changes_no_count(device: Device) -> None:
    device.run("web", policy="always")
    for round_ in range(6):
        device.restart("web")
        time.sleep(0.13 * round_)  # no condition to wait for: it is to be hit at different moments
        device.exporter.kill()
        device.exporter.start()

    device.shows(restarts_manual=6, exits_signal=6)


def test_an_engine_that_hangs_for_a_minute_delays_nothing_and_loses_nothing(own_device: Device) -> None:
    device = own_device
    device.run("web", BUSY, "always")
    device.shows(running=1)
    frozen = time.monotonic()
    os.kill(device.engine.pid, signal.SIGSTOP)
    try:
        device.exporter.wait_for("vv_docker_up", 0)
        work = used(device)["cpu_seconds_total"]
        wait_until(lambda: used(device)["cpu_seconds_total"] > work, 30, what="what it uses meanwhile")
        os.kill(_main_process(device, "web"), signal.SIGKILL)
        scrapes = [_seconds(device.exporter.metrics)]
        stop = _seconds(device.exporter.stop)
        device.exporter.start()
        while time.monotonic() - frozen < 60:
            scrapes.append(_seconds(device.exporter.metrics))
            time.sleep(1)
    finally:
        os.kill(device.engine.pid, signal.SIGCONT)
    device.exporter.wait_for("vv_docker_event_stream_connected", 1, 60)
    device.shows(restarts_policy=1, exits_signal=1, running=1)
    device.restart("web")

    assert max(scrapes) < 3, "the collectors' deadline, and the machine's own slowness"
    assert stop < 8
    device.shows(restarts_manual=1, restarts_policy=1, restarts_daemon=0, exits_signal=2, running=1)


def _main_process(device: Device, name: str) -> int:
    """Found without the Engine, which does not answer: the process that does the container's work."""
    group = Path("/sys/fs/cgroup").glob(f"**/docker/{device.ids[name]}/cgroup.procs")
    return int(next(group).read_text().split()[0])


@contextlib.contextmanager
def stuck_shim(device: Device, name: str) -> Iterator[None]:
    """Freeze what stands between the Engine and the container, and let somebody wait for it, with the Engine's lock."""
    process = device.client.inspect_container(name)["State"]["Pid"]
    shim = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    client = device.engine.client()
    pausing = threading.Thread(target=client.pause, args=(name,), daemon=True)
    os.kill(shim, signal.SIGSTOP)
    try:
        pausing.start()
        yield
    finally:
        os.kill(shim, signal.SIGCONT)
        pausing.join(timeout=60)
        client.close()
    device.client.unpause(name)


def test_a_container_whose_shim_is_stuck_costs_itself_only(device: Device) -> None:
    device.run("web", policy="on-failure", retries=5)
    device.run("other")
    device.shows(running=1, inspect_success=1)
    device.exporter.stop()
    with stuck_shim(device, "web"):
        device.exporter.start()
        device.shows(60, running=1, expected=1, inspect_success=0)
        assert device.value("vv_docker_up") == 1
        assert device.value('vv_docker_request_success{request="inspect"}') == 0
        assert device.value('vv_container_inspect_success{name="other"}') == 1
        device.client.kill("other")
        device.exporter.wait_for('vv_container_running{name="other"}', 0)
        device.shows(running=1, inspect_success=0)

    device.shows(120, running=1, inspect_success=1)
    assert device.value('vv_docker_request_success{request="inspect"}') == 1
    device.restart("web")
    device.shows(restarts_manual=1, restarts_policy=0, exits_signal=1)


def test_an_engine_that_is_restarted_starts_its_containers_again(own_device: Device) -> None:
    device = own_device
    device.run("web", policy="unless-stopped")
    device.run("single")
    device.run("stopped", policy="unless-stopped")
    device.client.stop("stopped", timeout=0)
    time.sleep(2.5)  # so that it is not stopped together with those that the Engine stops
    device.engine.shut_down()
    device.exporter.wait_for("vv_docker_up", 0)
    device.engine.start_again()
    device.exporter.wait_for("vv_docker_up", 1, 30)

    device.shows(restarts_daemon=1, restarts_manual=0, restarts_policy=0, exits_signal=1, running=1, expected=1)
    assert device.value('vv_container_running{name="single"}') == 0
    assert device.value('vv_container_expected{name="single"}') == 1
    assert device.value('vv_container_expected{name="stopped"}') == 0

    device.exporter.stop()
    device.restart("web")
    device.exporter.start()

    device.shows(restarts_daemon=1, restarts_manual=1, restarts_policy=0, exits_signal=2, running=1)


def test_a_power_cut_is_a_restart_by_the_engine(own_device: Device) -> None:
    device = own_device
    device.run("web", policy="always")
    device.shows(running=1)
    device.exporter.kill()
    device.engine.cut_power()
    device.engine.start_again()
    device.exporter.start()

    device.shows(restarts_daemon=1, restarts_manual=0, restarts_policy=0, running=1, expected=1)


def _seconds(call: Callable[[], object]) -> float:
    begin = time.monotonic()
    call()
    return time.monotonic() - begin
