"""A container of a real Engine dies, and a stopped Engine is noticed: as far as Slack and PagerDuty."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from tests.support.device import Channels, Device, about
from tests.support.engine import Engine, busybox_image, private_engine
from tests.support.servers import Programs
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.prometheus]

CONFIG = "containers: {essential: [agent_dvr]}\n"
NAMES = ("agent_dvr", "scene_scanner", "finished", "stopped_by_hand")


@pytest.fixture
def engine(docker_engine: Engine) -> Iterator[Engine]:
    """An Engine of its own, for it will be stopped; `docker_engine` says whether one can be had."""
    with private_engine() as engine:
        yield engine


@pytest.fixture
def client(engine: Engine) -> Iterator[docker.APIClient]:
    client = engine.client()
    yield client
    client.close()


def start(client: docker.APIClient, image: str, name: str, command: str = "trap '' TERM; sleep 1000 & wait") -> None:
    host = client.create_host_config(network_mode="none")
    client.create_container(image, ["sh", "-c", command], name=name, host_config=host)
    client.start(name)


def test_what_dies_is_told_and_what_was_meant_to_end_is_not(
    tmp_path: Path, engine: Engine, client: docker.APIClient, programs: Programs
) -> None:
    image = busybox_image(engine)
    for name in NAMES:
        start(client, image, name, "sleep 2" if name == "finished" else "sleep 1000")
    with Channels() as channels:
        environ = {**channels.environ(), "DOCKER_HOST": engine.host}
        with Device(tmp_path, environ, CONFIG) as device:
            wait_until(lambda: len(device.query("vv_container_running")) == len(NAMES), 30, what="all containers")
            client.kill("agent_dvr")
            client.kill("scene_scanner")
            client.stop("stopped_by_hand", timeout=0)

            page = channels.pagerduty.wait_for(about("ContainerDown", "agent_dvr"), 90)
            slack = channels.slack.wait_for(about("ContainerDown", "scene_scanner"), 90)
            assert page.json["payload"]["severity"] == "critical"
            assert "docker logs" in str(slack.json["attachments"])
            down = {
                alert["labels"]["name"]: alert["labels"]["severity"]
                for alert in device.alerts(alertname="ContainerDown")
            }
            assert down == {"agent_dvr": "critical", "scene_scanner": "error"}

            client.start("agent_dvr")
            channels.pagerduty.wait_for(
                lambda request: (
                    request.json["event_action"] == "resolve" and request.json["dedup_key"] == page.json["dedup_key"]
                ),
                240,
            )

            with contextlib.suppress(docker.errors.DockerException):
                client.remove_container("scene_scanner", force=True)
            engine.shut_down()
            channels.pagerduty.wait_for(about("DockerUnreachable"), 120)
            assert {alert["status"]["state"] for alert in device.alerts(alertname="ContainerDown")} <= {"suppressed"}
        assert channels.violations() == []


def test_what_is_started_again_is_not_told(
    tmp_path: Path, engine: Engine, client: docker.APIClient, programs: Programs
) -> None:
    """By hand, anew as compose does it, by Docker's policy, by the self-monitor; all are essential."""
    image, once = busybox_image(engine), "test -e /tmp/again && exec sleep 1000; touch /tmp/again; sleep 3; exit 1"
    listed = ("restarted", "made-anew", "by-policy", "by-self-monitor")
    for name in ("restarted", "made-anew", "fails"):
        start(client, image, name)
    config = f"containers: {{essential: [{', '.join(listed)}]}}\nself_monitor: {{containers: [by-self-monitor]}}\n"
    with Channels() as channels:
        environ = {**channels.environ(), "DOCKER_HOST": engine.host}
        with Device(tmp_path, environ, config) as device:
            wait_until(lambda: device.query("vv_self_monitor_last_check_timestamp_seconds"), 30, what="its first look")
            for name, policy in (("by-policy", "on-failure"), ("by-self-monitor", "no")):
                host = client.create_host_config(network_mode="none", restart_policy={"Name": policy})
                client.create_container(image, ["sh", "-c", once], name=name, host_config=host)
                client.start(name)
            client.restart("restarted", timeout=1)
            client.stop("made-anew", timeout=1)
            client.remove_container("made-anew")
            start(client, image, "made-anew")
            for name, cause in (("by-policy", "policy"), ("by-self-monitor", "self_monitor"), ("restarted", "manual")):
                counted = f'vv_container_restarts_total{{name="{name}",cause="{cause}"}} == 1'
                wait_until(lambda query=counted: device.query(query), 60, what=counted)
            client.kill("fails")

            channels.slack.wait_for(about("ContainerDown", "fails"), 60)
            assert device.query('ALERTS{alertname="ContainerDown",name!="fails"}') == []
            assert channels.pagerduty.matching(about("ContainerDown")) == []


def test_what_docker_starts_again_after_its_own_restart_is_not_told(
    tmp_path: Path, engine: Engine, client: docker.APIClient, programs: Programs
) -> None:
    """As when Docker is upgraded: each container ends, and its Engine takes a while to come back."""
    image = busybox_image(engine)
    host = client.create_host_config(network_mode="none", restart_policy={"Name": "unless-stopped"})
    for name in ("agent_dvr", "scene_scanner"):
        client.create_container(image, ["sleep", "1000"], name=name, host_config=host)  # as process 1 deaf to SIGTERM
        client.start(name)
    with Channels() as channels:
        environ = {**channels.environ(), "DOCKER_HOST": engine.host}
        with Device(tmp_path, environ, CONFIG) as device:
            both = "count(vv_container_running == 1) == 2"
            wait_until(lambda: device.query(both), 60, what="the containers")
            engine.shut_down()
            wait_until(lambda: device.query("vv_docker_up == 0"), 60, what="the Engine's end")
            time.sleep(12)  # longer than a container may be down
            engine.start_again()
            wait_until(lambda: device.query(f"vv_docker_up == 1 and on () ({both})"), 60, what="the Engine's start")
            time.sleep(5)  # a look, a rule and a half second of grouping

            assert device.query('last_over_time(ALERTS{alertname="ContainerDown"}[5m])') == []
            assert channels.pagerduty.matching(about("ContainerDown")) == []
