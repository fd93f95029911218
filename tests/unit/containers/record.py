"""Records what a real Engine says while containers live and die: `python -m tests.unit.containers.record` (as root).

Each file in `recorded/VERSION/` is one history: the events of the stream, in order; after each start and each death an
inspection of that container, as soon as it could be made; and an inspection of every container at the end. The Engine
is the one of the tests, with `VV_TEST_ENGINE=recent` the recent one.

`engine_crash.json` of 20.10 was recorded by hand, with the containers of `power_cut`: SIGKILL to dockerd alone, whose
containers survive it; the next dockerd ends them before it starts some again.
"""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors

from tests.support.engine import Engine, busybox_image, private_engine
from tests.support.waiting import wait_until
from vv_exporter.containers.observed import ACTIONS

FOLDER = Path(__file__).parent / "recorded"
Observation = dict[str, Any]
Scenario = Callable[["Recorder"], None]
MEMORY = {"mem_limit": "16m", "memswap_limit": "16m"}


class Recorder:
    """An Engine, the commands of a scenario, and what was observed."""

    def __init__(self, engine: Engine, image: str) -> None:
        self.engine = engine
        self.client = engine.client()
        self.image = image
        self.observations: list[Observation] = []
        self._stream: Any = None
        self._thread: threading.Thread | None = None

    def run(self, name: str, command: str, policy: str = "no", retries: int = 0, **options: Any) -> str:
        """As `docker run -d`."""
        config = {key: options.pop(key) for key in ("healthcheck", "labels") if key in options}
        restart = {"Name": policy, "MaximumRetryCount": retries}
        host = self.client.create_host_config(network_mode="none", restart_policy=restart, **options)
        container: str = self.client.create_container(
            self.image, ["sh", "-c", command], name=name, host_config=host, **config
        )["Id"]
        self.client.start(container)
        return container

    def until(self, action: str, count: int) -> None:
        """Wait for so many events of this kind."""
        wait_until(lambda: self._seen(action) >= count, 30, what=f"{count} × {action}")

    def listen(self, since: float | None = None) -> None:
        """Follow the events."""
        client = self.engine.client()
        filters = {"type": ["container"], "event": list(ACTIONS)}
        self._stream = client.events(since=since, filters=filters, decode=True)
        self._thread = threading.Thread(target=self._follow, args=(self._stream,), daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Look at what is left, once nothing happens any more."""
        assert self._thread is not None
        time.sleep(0.5)
        self._stream.close()
        self._thread.join(5)
        for listed in self.client.containers(all=True):
            self.inspect(listed["Id"])
        self.client.close()

    def inspect(self, container: str) -> None:
        with contextlib.suppress(docker.errors.NotFound, docker.errors.DockerException, OSError):
            self.observations.append({"inspection": _trimmed(self.client.inspect_container(container))})

    def note(self, kind: str) -> None:
        """Something that the stream does not tell."""
        self.observations.append({kind: True})

    def _follow(self, stream: Iterator[Observation]) -> None:
        with contextlib.suppress(docker.errors.DockerException, OSError, ValueError):
            for event in stream:
                self.observations.append({"event": event})
                if event["Action"] in ("start", "die") or event["Action"].startswith("health_status"):
                    self.inspect(event["Actor"]["ID"])

    def _seen(self, action: str) -> int:
        actions = [one["event"]["Action"] for one in list(self.observations) if "event" in one]
        return sum(one.startswith(action) for one in actions)


def _trimmed(inspection: Observation) -> Observation:
    keys = ("Id", "Name", "Created", "RestartCount")
    return {
        **{key: inspection[key] for key in keys},
        "State": {key: value for key, value in inspection["State"].items() if key not in ("Pid", "Health")}
        | {"Health": _health(inspection["State"].get("Health"))},
        "Config": {key: inspection["Config"].get(key) for key in ("Image", "Labels")},
        "HostConfig": {key: inspection["HostConfig"].get(key) for key in ("RestartPolicy", "AutoRemove")},
    }


def _health(health: Observation | None) -> Observation | None:
    return health and {key: health[key] for key in ("Status", "FailingStreak")}


def policy_crash_loop(recorder: Recorder) -> None:
    recorder.run("web", "sleep 0.1; exit 3", "on-failure", 3)
    recorder.until("die", 4)


def instant_crash_loop(recorder: Recorder) -> None:
    recorder.run("web", "exit 1", "on-failure", 5)
    recorder.until("die", 6)


def started_by_hand_after_the_policy_gave_up(recorder: Recorder) -> None:
    recorder.run("web", "sleep 0.1; exit 3", "on-failure", 2)
    recorder.until("die", 3)
    recorder.client.start("web")
    recorder.until("die", 6)


def docker_restart(recorder: Recorder) -> None:
    recorder.run("web", "sleep 1000", "always")
    recorder.client.restart("web", timeout=0)
    recorder.client.restart("web", timeout=0)


def docker_restart_in_back_off(recorder: Recorder) -> None:
    recorder.run("web", "exit 1", "always")
    recorder.until("die", 4)
    recorder.client.restart("web", timeout=0)
    recorder.until("die", 7)
    recorder.client.stop("web", timeout=0)


def stop_and_start(recorder: Recorder) -> None:
    recorder.run("web", "trap 'exit 0' TERM; sleep 1000 & wait", "unless-stopped")
    time.sleep(0.3)
    recorder.client.stop("web", timeout=5)
    recorder.client.start("web")
    recorder.client.stop("web", timeout=0)


def kill_and_start(recorder: Recorder) -> None:
    recorder.run("web", "sleep 1000", "always")
    recorder.client.kill("web", "HUP")
    recorder.client.kill("web")
    recorder.until("die", 1)
    time.sleep(0.3)
    recorder.client.start("web")


def out_of_memory(recorder: Recorder) -> None:
    recorder.run("web", "tail /dev/zero", "on-failure", 2, **MEMORY)
    recorder.until("die", 3)


def recreated_by_hand(recorder: Recorder) -> None:
    recorder.run("web", "sleep 1000", "always")
    recorder.client.remove_container("web", force=True)
    recorder.run("web", "sleep 1000", "always")


def recreated_by_compose(recorder: Recorder) -> None:
    labels = {"com.docker.compose.project": "site", "com.docker.compose.service": "web"}
    old = recorder.run("site-web-1", "sleep 1000", "always", labels=labels)
    host = recorder.client.create_host_config(network_mode="none", restart_policy={"Name": "always"})
    new = recorder.client.create_container(
        recorder.image, ["sleep", "1000"], name=f"{old[:12]}_site-web-1", host_config=host, labels=labels
    )["Id"]
    recorder.client.stop(old, timeout=0)
    recorder.client.remove_container(old)
    recorder.client.rename(new, "site-web-1")
    recorder.client.start(new)


def one_shots(recorder: Recorder) -> None:
    recorder.run("succeeds", "exit 0")
    recorder.run("fails", "exit 2")
    recorder.run("removes_itself", "exit 2", auto_remove=True)
    recorder.until("die", 3)
    recorder.until("destroy", 1)


def unhealthy(recorder: Recorder) -> None:
    check = {"test": ["CMD-SHELL", "test -e /tmp/ok"], "interval": 10**9, "retries": 2}
    container = recorder.run("web", "sleep 1000", healthcheck=check)
    recorder.until("health_status: unhealthy", 1)
    run = recorder.client.exec_create(container, ["touch", "/tmp/ok"])
    recorder.client.exec_start(run)
    recorder.until("health_status: healthy", 1)
    recorder.client.pause(container)
    recorder.client.unpause(container)


def _every_policy(recorder: Recorder) -> None:
    recorder.run("policy_no", "sleep 1000")
    recorder.run("policy_always", "sleep 1000", "always")
    recorder.run("policy_unless_stopped", "sleep 1000", "unless-stopped")
    recorder.run("policy_on_failure", "sleep 1000", "on-failure")
    recorder.run("stopped_always", "sleep 1000", "always")
    recorder.run("stopped_unless", "sleep 1000", "unless-stopped")
    recorder.client.stop("stopped_always", timeout=0)
    recorder.client.stop("stopped_unless", timeout=0)
    time.sleep(3)  # longer than an Engine that goes down takes from its first signal to its last


def _again(recorder: Recorder) -> None:
    since = time.time()
    recorder.note("restarted")
    recorder.engine.start_again()
    recorder.listen(since)


def engine_shut_down(recorder: Recorder) -> None:
    _every_policy(recorder)
    recorder.engine.shut_down()
    recorder.note("lost")
    _again(recorder)


def power_cut(recorder: Recorder) -> None:
    _every_policy(recorder)
    recorder.engine.cut_power()
    recorder.note("lost")
    _again(recorder)


SCENARIOS: tuple[Scenario, ...] = (
    policy_crash_loop,
    instant_crash_loop,
    started_by_hand_after_the_policy_gave_up,
    docker_restart,
    docker_restart_in_back_off,
    stop_and_start,
    kill_and_start,
    out_of_memory,
    recreated_by_hand,
    recreated_by_compose,
    one_shots,
    unhealthy,
    engine_shut_down,
    power_cut,
)


def record(engine: Engine, image: str, scenario: Scenario) -> None:
    recorder = Recorder(engine, image)
    recorder.listen()
    scenario(recorder)
    recorder.finish()
    with contextlib.closing(engine.client()) as client:
        for listed in client.containers(all=True):
            client.remove_container(listed["Id"], force=True)
        version = client.version()["Version"]
    lines = ",\n  ".join(json.dumps(one, sort_keys=True) for one in recorder.observations)
    path = FOLDER / ".".join(version.split(".")[:2]) / f"{scenario.__name__}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'{{"engine": "{version}", "observations": [\n  {lines}\n]}}\n')
    print(path.name, len(recorder.observations))


def main() -> None:
    with private_engine() as engine:
        image = busybox_image(engine, "vv-busybox:1")
        for scenario in SCENARIOS:
            if not sys.argv[1:] or scenario.__name__ in sys.argv[1:]:
                record(engine, image, scenario)


if __name__ == "__main__":
    main()
