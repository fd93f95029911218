"""The real self-monitor on a real Docker Engine, beside the real exporter."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
import msgspec
import pytest

from tests.support.device import Channels, Device, about
from tests.support.engine import Engine, busybox_image, private_engine_or_skip
from tests.support.exporter import Exporter
from tests.support.servers import Programs
from tests.support.waiting import wait_until
from vv_exporter.stack.processes import Child
from vv_exporter.supervisor.mailbox import Seen, View

pytestmark = pytest.mark.docker

FAST = {"SELF_MONITOR_BACKOFF": "300ms", "SELF_MONITOR_BACKOFF_MAX": "500ms"}
CONFIG = """
self_monitor: {containers: [web, named]}
"""
FAILS = "echo starting; echo 'disk full'; exit 3"
LIVES = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


class Site:
    """An Engine, an exporter and a self-monitor that share a state folder."""

    def __init__(self, engine: Engine, image: str, folder: Path, config: str = CONFIG, **environ: str) -> None:
        self.engine = engine
        self.image = image
        self.client = engine.client()
        self.state = folder / "state"
        (folder / "vv.yml").write_text(config)
        self.environ = {"DOCKER_HOST": engine.host, "VV_CONFIG": str(folder / "vv.yml"), **FAST, **environ}
        self.exporter = Exporter(self.state, **self.environ)
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("VV_", "DOCKER_"))},
            **self.exporter.environ,
        }
        self._child = Child(
            "self-monitor", [sys.executable, "-m", "vv_exporter", "self-monitor"], folder / "self-monitor.out", self.env
        )
        self._since = time.time()

    def __enter__(self) -> "Site":
        self.exporter.start()
        self.exporter.wait_for("vv_docker_event_stream_connected", 1)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._child.exit_code() is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.stop()
        if error is not None:
            error.add_note(f"the self-monitor said last:\n{self._child.tail(40)}")
        self.exporter.stop()
        for container in self.client.containers(all=True):
            with contextlib.suppress(docker.errors.APIError):
                self.client.remove_container(container["Id"], force=True)
        self.client.close()

    def begin(self) -> None:
        """Start the self-monitor and do not wait."""
        self._child.start()

    def start(self) -> None:
        """Start the self-monitor, and wait until it has looked."""
        begun = time.time()
        self.begin()
        wait_until(lambda: (self.view() or View(0, ())).checked > begun, 20, what="the self-monitor's first look")

    def stop(self) -> None:
        self._child.stop()

    def kill(self) -> None:
        """End the self-monitor as the kernel would."""
        self._child.signal(signal.SIGKILL)
        self._child.stop()

    def view(self) -> View | None:
        path = self.state / "self-monitor" / "view.json"
        return msgspec.json.decode(path.read_bytes(), type=View) if path.exists() else None

    def seen(self, name: str = "web") -> Seen:
        view = self.view()
        assert view is not None
        return next(one for one in view.containers if one.name == name)

    def gave_up(self, name: str = "web") -> bool:
        return self.seen(name).gave_up

    def vv(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "vv_exporter", *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def run(self, name: str = "web", command: str = LIVES, policy: str = "no", **options: Any) -> None:
        """As `docker run -d`."""
        config = {key: options.pop(key) for key in ("healthcheck", "labels") if key in options}
        host = self.client.create_host_config(network_mode="none", restart_policy={"Name": policy}, **options)
        self.client.create_container(self.image, ["sh", "-c", command], name=name, host_config=host, **config)
        self.client.start(name)

    def events(self, name: str = "web") -> Counter[str]:
        """What the Engine says that happened to a container."""
        filters = {"container": [name], "event": ["start", "die", "stop", "restart"]}
        found = self.client.events(since=self._since, until=time.time(), filters=filters, decode=True)
        return Counter(event["Action"] for event in found)

    def running(self, name: str = "web") -> bool:
        return bool(self.client.inspect_container(name)["State"]["Running"])

    def rounds(self, count: int = 1) -> None:
        """Wait until the self-monitor has surely looked again: each heartbeat follows ten looks."""
        before = self.seen_checks()
        wait_until(lambda: self.seen_checks() >= before + count, 60, what="more looks")

    def seen_checks(self) -> float:
        return self.exporter.metrics().get('vv_events_total{type="supervisor.checked"}', 0.0)


@pytest.fixture
def site(docker_engine: Engine, busybox: str, tmp_path: Path) -> Iterator[Site]:
    with Site(docker_engine, busybox, tmp_path) as site:
        yield site


def test_a_container_that_always_fails_is_restarted_exactly_five_times(site: Site) -> None:
    site.start()
    site.run(command=FAILS)

    wait_until(site.gave_up, 60, what="giving up")
    site.exporter.wait_for('vv_self_monitor_gave_up{name="web"}', 1)
    site.exporter.wait_for('vv_container_restarts_total{cause="self_monitor",name="web"}', 5)
    site.rounds()
    metrics = site.exporter.metrics()
    assert site.events()["start"] == 1 + 5
    assert metrics['vv_self_monitor_restarts_total{name="web",result="ok"}'] == 5
    assert metrics['vv_self_monitor_restarts_total{name="web",result="failed"}'] == 0
    assert metrics['vv_container_restarts_total{cause="manual",name="web"}'] == 0
    assert metrics['vv_self_monitor_restarts_in_window{name="web"}'] == 5
    assert metrics['vv_self_monitor_max_restarts{name="web"}'] == 5
    assert [sample for sample in metrics if sample.startswith("vv_last_failure_info") and "disk full" in sample]


def test_killing_it_at_any_moment_changes_nothing(site: Site) -> None:
    site.start()
    site.run(command=FAILS)
    chance = random.Random(7)
    for _ in range(8):
        time.sleep(chance.uniform(0.1, 1.6))  # no condition to wait for: it is to be hit at different moments
        site.kill()
        site.begin()

    wait_until(site.gave_up, 150, what="giving up")
    site.exporter.wait_for('vv_container_restarts_total{cause="self_monitor",name="web"}', 5)
    site.rounds()
    assert site.events()["start"] == 1 + 5
    assert site.exporter.metrics()['vv_self_monitor_restarts_total{name="web",result="ok"}'] == 5


def test_an_operator_takes_a_container_up_again(site: Site) -> None:
    site.environ["SELF_MONITOR_MAX_RESTARTS"] = site.env["SELF_MONITOR_MAX_RESTARTS"] = "2"
    site.start()
    site.run(command=f"test -e /tmp/cured && exec sleep 1000; {FAILS}")
    wait_until(site.gave_up, 60, what="giving up")
    site.exporter.wait_for('vv_self_monitor_gave_up{name="web"}', 1)
    listed = site.vv("containers", "list")

    resumed = site.vv("containers", "resume", "web")
    wait_until(lambda: site.events()["start"] == 1 + 2 + 2 and site.gave_up(), 60, what="two more restarts")

    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == "web is taken up again\n"
    assert listed.returncode == 0, listed.stderr
    assert "given up: it ended with exit code 3" in listed.stdout
    assert "2/2" in listed.stdout
    assert site.vv("containers", "resume", "nobody").returncode == 1


def test_a_container_that_is_recreated_is_taken_up_again(site: Site) -> None:
    site.env["SELF_MONITOR_MAX_RESTARTS"] = "1"
    site.start()
    site.run(command=FAILS)
    wait_until(site.gave_up, 60, what="giving up")
    site.client.remove_container("web")
    site.run()

    wait_until(lambda: not site.gave_up(), 30, what="taking it up again")
    site.exporter.wait_for('vv_self_monitor_gave_up{name="web"}', 0)
    site.client.kill("web")
    wait_until(lambda: site.running(), 30, what="a restart")


def test_what_an_operator_stops_stays_stopped(site: Site) -> None:
    site.start()
    site.run(command="sleep 1000")
    site.run("named", command=LIVES, policy="always")
    wait_until(lambda: site.seen("web").verdict == site.seen("named").verdict == "well", 20, what="both seen")
    site.client.stop("web", timeout=0)
    site.client.stop("named")
    for name in ("web", "named"):
        wait_until(lambda name=name: "stopped by an operator" in site.seen(name).verdict, 20, what="what it says of it")
    site.rounds()

    assert not site.running("web")
    assert not site.running("named")
    site.client.start("web")
    site.rounds()
    site.client.kill("web")
    wait_until(lambda: site.running("web"), 30, what="a restart of what was started again")


@pytest.mark.parametrize("policy", ["no", "always"])
def test_what_was_stopped_while_it_was_down_stays_stopped(site: Site, policy: str) -> None:
    site.start()
    site.run(command="sleep 1000", policy=policy)
    site.run("named")
    wait_until(lambda: len((site.view() or View(0, ())).containers) == 2, 20, what="both seen")
    site.kill()
    site.client.stop("web", timeout=0)
    site.client.kill("named")
    site.start()

    wait_until(lambda: site.running("named"), 30, what="a restart of what was killed")
    site.rounds()
    assert not site.running("web")


def test_what_the_engine_forgot_meanwhile_is_left_alone_if_it_looks_stopped(site: Site) -> None:
    site.start()
    site.run(command="sleep 1000")
    site.run("named", command="sleep 1000")
    wait_until(lambda: len((site.view() or View(0, ())).containers) == 2, 20, what="both seen")
    site.kill()
    site.client.stop("web", timeout=0)
    site.client.kill("named", "SIGSEGV")
    site.run("other")
    for _ in range(150):  # more events than the Engine keeps
        site.client.rename("other", "another")
        site.client.rename("another", "other")
    site.start()

    wait_until(lambda: site.running("named"), 30, what="a restart of what crashed")
    site.rounds()
    assert not site.running("web")


def test_a_container_is_not_restarted_for_a_health_check_that_a_pause_interrupted(site: Site) -> None:
    """As a backup does it: the check that was under way fails for the pause, and the next one comes much later."""
    second = 10**9
    check = {"test": ["CMD-SHELL", "sleep 2"], "interval": 3 * second, "timeout": 4 * second, "retries": 1}
    site.run(healthcheck=check)
    site.start()
    healthy, unhealthy = (f'vv_container_health{{name="web",status="{status}"}}' for status in ("healthy", "unhealthy"))
    site.exporter.wait_for(healthy, 1, 30)

    def is_interrupted() -> bool:
        """Whether the pause met a check."""
        site.client.pause("web")
        with contextlib.suppress(AssertionError):
            wait_until(lambda: site.client.inspect_container("web")["State"]["Health"]["Status"] == "unhealthy", 6)
            return True
        site.client.unpause("web")
        return False

    wait_until(is_interrupted, 90, what="a check that is interrupted")
    site.exporter.wait_for('vv_container_state{name="web",state="paused"}', 1)
    assert not {healthy, unhealthy} & site.exporter.metrics().keys()
    site.client.unpause("web")
    seen = set[str]()
    wait_until(lambda: seen.update({healthy, unhealthy} & site.exporter.metrics().keys()) or healthy in seen, 60)
    site.rounds()

    assert seen == {healthy}
    assert site.events() == Counter(start=1)


def test_an_unhealthy_container_is_restarted(site: Site) -> None:
    site.start()
    check = {"test": ["CMD", "test", "-e", "/tmp/well"], "interval": 10**9, "retries": 2}
    site.run(command=f"test -e /tmp/again && touch /tmp/well; touch /tmp/again; {LIVES}", healthcheck=check)

    site.exporter.wait_for('vv_container_restarts_total{cause="self_monitor",name="web"}', 1, 40)
    site.exporter.wait_for('vv_container_health{name="web",status="healthy"}', 1, 20)
    site.rounds()
    assert site.events()["restart"] == 1
    assert site.seen().verdict == "well"


def test_a_container_without_its_program_is_restarted(docker_engine: Engine, busybox: str, tmp_path: Path) -> None:
    config = "self_monitor: {containers: [web], processes: {web: sleep}}"
    with Site(docker_engine, busybox, tmp_path, config) as site:
        site.start()
        site.run(command="test -e /tmp/again && exec sleep 1000; touch /tmp/again; exec tail -f /dev/null")

        wait_until(lambda: site.events()["restart"] == 1, 60, what="a restart")
        wait_until(lambda: site.seen().verdict == "well", 20, what="that it is well")


def test_a_crash_loop_of_docker_is_ended_when_that_is_wanted(site: Site) -> None:
    site.env |= {"SELF_MONITOR_ON_EXHAUSTED": "stop", "SELF_MONITOR_MAX_RESTARTS": "3"}
    site.start()
    site.run(command=FAILS, policy="always")
    site.exporter.wait_for('vv_self_monitor_gave_up{name="web"}', 1, 60)
    wait_until(lambda: site.client.inspect_container("web")["HostConfig"]["RestartPolicy"]["Name"] != "always", 60)
    wait_until(lambda: site.client.inspect_container("web")["State"]["Status"] == "exited", 60, what="its end")

    started = site.events()["start"]
    site.rounds()
    assert site.events()["start"] == started
    assert site.vv("containers", "resume", "web").returncode == 0
    wait_until(lambda: site.events()["start"] > started, 30, what="a start after it was taken up again")
    assert site.client.inspect_container("web")["HostConfig"]["RestartPolicy"]["Name"] == "always"


def test_only_what_was_opted_in_is_touched(docker_engine: Engine, busybox: str, tmp_path: Path) -> None:
    project = "com.docker.compose.project"
    with Site(docker_engine, busybox, tmp_path, "self_monitor: {projects: [vv]}") as site:
        site.client.tag(busybox, "vv-test/prometheus", "v3")
        site.start()
        site.run("labelled", labels={"vv.self-monitor": "true"})
        site.run("member", labels={project: "vv"})
        site.run("opted-out", labels={project: "vv", "vv.self-monitor": "false"})
        site.run("stranger", labels={project: "other"})
        site.image = "vv-test/prometheus:v3"
        site.run("prometheus", labels={project: "vv", "vv.self-monitor": "true"})
        wait_until(lambda: len((site.view() or View(0, ())).containers) == 2, 20, what="two seen")
        for name in ("labelled", "member", "opted-out", "stranger", "prometheus"):
            site.client.kill(name)

        wait_until(lambda: site.running("labelled") and site.running("member"), 30, what="their restarts")
        site.rounds()
        assert not any(site.running(name) for name in ("opted-out", "stranger", "prometheus"))


def test_a_container_that_is_forgotten_is_not_expected_any_more(
    docker_engine: Engine, busybox: str, tmp_path: Path
) -> None:
    with Site(docker_engine, busybox, tmp_path, "self_monitor: {projects: [vv]}") as site:
        site.env["SELF_MONITOR_BACKOFF"] = site.env["SELF_MONITOR_BACKOFF_MAX"] = "10m"
        site.env["SELF_MONITOR_WINDOW"] = "2h"
        site.start()
        site.run(labels={"com.docker.compose.project": "vv"})
        site.exporter.wait_for('vv_container_running{name="web"}', 1)
        site.client.kill("web")
        site.exporter.wait_for('vv_container_running{name="web"}', 0)
        assert site.exporter.metrics()['vv_container_expected{name="web"}'] == 1

        forgotten = site.vv("containers", "forget", "web")

        assert forgotten.returncode == 0, forgotten.stderr
        site.exporter.wait_for('vv_container_expected{name="web"}', 0)
        wait_until(lambda: site.seen().verdict == "left alone", 20, what="that it is left alone")


def test_an_engine_that_hangs_stops_the_heartbeat_and_nothing_else(tmp_path: Path) -> None:
    with private_engine_or_skip() as engine, Site(engine, busybox_image(engine), tmp_path) as site:
        site.start()
        site.run()
        site.exporter.wait_for('vv_self_monitor_max_restarts{name="web"}', 5)
        os.kill(engine.pid, signal.SIGSTOP)
        try:
            site.exporter.wait_for("vv_docker_up", 0)
            checks = site.seen_checks()
            began = time.monotonic()
            site.stop()
            stopped = time.monotonic() - began
            site.begin()
            time.sleep(12)  # longer than the heartbeat's interval
            assert site.seen_checks() <= checks + 1
        finally:
            os.kill(engine.pid, signal.SIGCONT)
        assert stopped < 8
        site.client.kill("web")
        wait_until(lambda: site.running(), 60, what="a restart when the Engine answers again")
        assert site.events()["start"] == 2
        engine.cut_power()
        engine.start_again()
        site.exporter.wait_for("vv_docker_event_stream_connected", 1, 30)
        checks = site.seen_checks()
        wait_until(lambda: site.seen_checks() > checks, 60, what="a look at the new Engine's containers")


def test_two_of_them_are_refused(site: Site) -> None:
    site.start()
    second = site.vv("self-monitor")

    assert second.returncode == 2
    assert "another self-monitor" in second.stderr


@pytest.mark.prometheus
def test_what_fails_persistently_is_told_with_its_last_log_lines(
    docker_engine: Engine, busybox: str, tmp_path: Path, programs: Programs
) -> None:
    """`vv up` runs it, for there is something to do; and after five restarts a pager rings."""
    client = docker_engine.client()
    host = client.create_host_config(network_mode="none")
    with Channels() as channels:
        environ = {**channels.environ(), **FAST, "DOCKER_HOST": docker_engine.host}
        try:
            with Device(tmp_path, environ, CONFIG) as device:
                wait_until(
                    lambda: device.query("vv_self_monitor_last_check_timestamp_seconds"), 30, what="its first look"
                )
                client.create_container(busybox, ["sh", "-c", FAILS], name="web", host_config=host)
                client.start("web")

                page = channels.pagerduty.wait_for(about("ContainerFailedPersistently", "web"), 90)
                assert page.json["payload"]["severity"] == "critical"
                for text in ("at most: 5", "exit code 3", "starting | disk full", " containers resume web"):
                    assert text in page.body.decode(), text
                assert len(device.query("vv_self_monitor_gave_up == 1")) == 1
                (restarts,) = device.query('vv_container_restarts_total{name="web",cause="self_monitor"}')
                assert restarts["value"][1] == "5"
            assert channels.violations() == []
        finally:
            with contextlib.suppress(docker.errors.APIError):
                client.remove_container("web", force=True)
            client.close()
