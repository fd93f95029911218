"""A container of a real Engine dies, and a stopped Engine is noticed: as far as Slack and PagerDuty."""

import contextlib
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
