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

from tests.support.engine import Engine, EngineUnavailableError, busybox_image, private_engine
from tests.support.exporter import Exporter
from tests.support.waiting import wait_until
from vv_exporter.stack.processes import Child
from vv_exporter.supervisor.room import Seen, View

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

    def rounds(self, count: int = 3) -> None:
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
    site.rounds(1)
    metrics = site.exporter.metrics()
    assert site.events()["start"] == 1 + 5
    assert metrics['vv_self_monitor_restarts_total{name="web",result="ok"}'] == 5
    assert metrics['vv_self_monitor_restarts_total{name="web",result="failed"}'] == 0
    assert metrics['vv_container_restarts_total{cause="manual",name="web"}'] == 0
    assert metrics['vv_self_monitor_restarts_in_window{name="web"}'] == 5
    assert metrics['vv_self_monitor_max_restarts{name="web"}'] == 5
    assert [sample for sample in metrics if sample.startswith("vv_last_failure_info") and "disk full" in sample]
