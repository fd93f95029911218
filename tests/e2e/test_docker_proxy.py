"""The proxy before a real Engine: the clients of exporter and self-monitor work through it, and see no secret."""

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors
import pytest
import requests

from tests.support.engine import Engine as Daemon
from tests.support.waiting import wait_until
from vv_exporter.containers.engine import Engine, EngineError
from vv_exporter.containers.resources import Running
from vv_exporter.stack.processes import Child
from vv_exporter.supervisor.actions import Actions, RefusedError

pytestmark = pytest.mark.docker

SECRET = "proxy-hunter2"
SLEEP = f"echo started {SECRET}; trap 'exit 0' TERM; sleep 1000 & wait"


@dataclass
class Proxy:
    """The hosts of its two sockets, and its process."""

    read: str
    act: str
    child: Child


@pytest.fixture(scope="module")
def proxy(docker_engine: Daemon) -> Iterator[Proxy]:
    with tempfile.TemporaryDirectory(prefix="vv-") as name:
        folder = Path(name)
        read, act = folder / "read.sock", folder / "act.sock"
        env = {key: value for key, value in os.environ.items() if not key.startswith(("VV_", "DOCKER_"))}
        env |= {"DOCKER_HOST": docker_engine.host, "VV_CONFIG": "", "VV_STATE_DIR": str(folder / "state")}
        command = [sys.executable, "-m", "vv_exporter", "docker-proxy", "--read", read, "--act", act]
        child = Child("the proxy", command, folder / "proxy.out", env)
        child.start()
        try:
            wait_until(lambda: read.exists() and act.exists(), 20, what="the sockets")
            yield Proxy(f"unix://{read}", f"unix://{act}", child)
        finally:
            child.stop()


@contextlib.contextmanager
def container(client: docker.APIClient, image: str, name: str, **labels: str) -> Iterator[str]:
    """A container full of secrets; its id."""
    identity: str = client.create_container(
        image,
        ["sh", "-c", SLEEP],
        name=name,
        environment={"PASSWORD": SECRET},
        labels={"token": SECRET, **labels},
        host_config=client.create_host_config(network_mode="none"),
        healthcheck={"test": ["CMD-SHELL", f"echo {SECRET}"], "interval": 500_000_000},
    )["Id"]
    try:
        client.start(identity)
        yield identity
    finally:
        client.remove_container(identity, force=True)


def test_the_exporter_sees_all_it_needs_and_no_secret(
    docker_client: docker.APIClient, busybox: str, proxy: Proxy
) -> None:
    engine = Engine(proxy.read)
    before = engine.time()
    follower = engine.follow(before)
    assert follower.connected.wait(20)
    with container(docker_client, busybox, "proxied", **{"vv.self-monitor": "true"}) as identity:
        engine.ping()
        assert identity in [listed.id for listed in engine.containers()[0]]
        wait_until(lambda: _inspected(engine, identity).health == "healthy", 30, what="its health")
        seen = _inspected(engine, identity)
        assert (seen.name, seen.state, seen.opted) == ("proxied", "running", "true")
        used = engine.usage(Running(identity, "proxied"))
        assert used is not None
        assert (used.memory or 0) > 0
        docker_client.kill(identity)
        actions: list[str] = []

        def ended() -> bool:
            actions.extend(event.action for event in follower.take(1) if event.id == identity)
            return "die" in actions

        wait_until(ended, 30, what="the event of its end")
        assert {"start", "health_status", "kill", "die"} <= set(actions)
        assert engine.kept_events(engine.time()) > 4
        with contextlib.closing(docker.APIClient(proxy.read, version="auto")) as client:
            raw = [
                client._get(client._url(path)).content
                for path in ("/containers/json?all=1", f"/containers/{identity}/json", "/info", "/version")
            ]
            until = str(int(time.time()) + 1)
            raw.append(client._get(client._url("/events"), params={"since": "0", "until": until}).content)
    assert [answer for answer in raw if SECRET.encode() in answer] == []
    assert identity.encode() in raw[-1]
    follower.close()
    engine.close()


def test_the_exporter_can_change_nothing(docker_client: docker.APIClient, busybox: str, proxy: Proxy) -> None:
    actions = Actions(proxy.read)
    with container(docker_client, busybox, "untouched", **{"vv.self-monitor": "true"}) as identity:
        for action in (actions.stop, actions.restart, actions.start):
            with pytest.raises(RefusedError, match="does not allow"):
                action(identity)
        assert actions.log_tail(identity, 5) == ""
        assert docker_client.inspect_container(identity)["State"]["Running"]


def test_the_self_monitor_acts_on_what_it_was_given_alone(
    docker_client: docker.APIClient, busybox: str, proxy: Proxy
) -> None:
    actions = Actions(proxy.act)
    with (
        container(docker_client, busybox, "given", **{"vv.self-monitor": "true"}) as given,
        container(docker_client, busybox, "not-given") as other,
    ):
        wait_until(lambda: actions.log_tail(given, 5), 20, what="its log")
        assert actions.runs(given, "sleep")
        actions.restart(given)
        actions.set_policy(given, "on-failure", 3)
        actions.stop(given)
        assert not docker_client.inspect_container(given)["State"]["Running"]
        actions.start(given)
        state = docker_client.inspect_container(given)
        assert state["State"]["Running"]
        assert state["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}

        for action in (actions.stop, actions.restart, actions.start, lambda one: actions.set_policy(one, "always")):
            with pytest.raises(RefusedError, match="not-given was not given"):
                action(other)
        assert actions.log_tail(other, 5) == ""
        assert docker_client.inspect_container(other)["RestartCount"] == 0
        assert docker_client.inspect_container(other)["State"]["Running"]


@pytest.mark.parametrize("socket", ["read", "act"])
def test_nobody_makes_containers_or_runs_commands(
    docker_client: docker.APIClient, busybox: str, proxy: Proxy, socket: str
) -> None:
    with (
        contextlib.closing(docker.APIClient(getattr(proxy, socket), version="auto")) as client,
        container(docker_client, busybox, "closed", **{"vv.self-monitor": "true"}) as identity,
    ):
        attempts = [
            lambda: client.create_container(busybox, ["sh"], host_config=client.create_host_config(privileged=True)),
            lambda: client.exec_create(identity, ["env"]),
            lambda: client.get_archive(identity, "/etc/passwd"),
            lambda: client.remove_container(identity, force=True),
            lambda: client.images(),
            lambda: client.volumes(),
            lambda: client.attach(identity),
            lambda: client.update_container(identity, mem_limit="1g"),
        ]
        for attempt in attempts:
            with pytest.raises(docker.errors.APIError) as refused:
                attempt()
            assert refused.value.status_code in (400, 403)


def test_an_engine_that_hangs_is_an_error_in_time_and_works_again(docker_engine: Daemon, proxy: Proxy) -> None:
    if not docker_engine.private:
        pytest.skip("only an Engine of our own can be frozen")
    engine = Engine(proxy.read)
    os.kill(docker_engine.pid, signal.SIGSTOP)
    try:
        with pytest.raises(EngineError):
            engine.ping()
    finally:
        os.kill(docker_engine.pid, signal.SIGCONT)

    wait_until(lambda: engine.ping() is None, 30, what="the Engine")
    engine.close()


def test_a_refusal_says_what_and_why(proxy: Proxy) -> None:
    with contextlib.closing(docker.APIClient(proxy.read, version="auto")) as client:
        answer: requests.Response = client._get(client._url("/images/json"))

    assert answer.status_code == 403
    assert json.loads(answer.text) == {"message": "the proxy does not allow this: GET /images/json"}


def _inspected(engine: Engine, identity: str):  # type: ignore[no-untyped-def]
    found = engine.inspect(identity)
    assert found is not None
    return found
