"""Containers that are replaced under other names, on a real Engine: tasks of a swarm, `docker compose run`."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.types import ContainerSpec, NetworkAttachmentConfig, RestartPolicy, TaskTemplate

from tests.support.engine import Engine, busybox_image, private_engine_or_skip
from tests.support.exporter import Exporter
from tests.support.ports import free_port
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

COMPOSE = """
name: site
services:
  web:
    image: {image}
    network_mode: none
    command: sleep 1000
    stop_grace_period: 0s
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One of its own: it becomes a swarm."""
    with private_engine_or_skip() as engine:
        yield engine


@pytest.fixture
def exporter(engine: Engine, tmp_path: Path) -> Iterator[Exporter]:
    with Exporter(tmp_path / "state", DOCKER_HOST=engine.host) as exporter:
        exporter.wait_for("vv_docker_event_stream_connected", 1)
        yield exporter


@pytest.fixture
def swarm(engine: Engine) -> Iterator[docker.APIClient]:
    with contextlib.closing(engine.client()) as client:
        address = f"127.0.0.1:{free_port()}"
        client.init_swarm(advertise_addr=address, listen_addr=address)
        yield client
        client.leave_swarm(force=True)


def serve(client: docker.APIClient, image: str, name: str, command: str) -> None:
    """As `docker service create`, with one task that is started again a second after its end."""
    task = TaskTemplate(
        ContainerSpec(image, command=["sh", "-c", command]),
        restart_policy=RestartPolicy(condition="any", delay=10**9),
        networks=[NetworkAttachmentConfig("host")],
    )
    client.create_service(task, name=name)


def expected_and_down(exporter: Exporter) -> set[str]:
    metrics = exporter.metrics()
    prefix = 'vv_container_expected{name="'
    names = {
        sample.removeprefix(prefix)[:-2] for sample, value in metrics.items() if sample.startswith(prefix) and value
    }
    return {name for name in names if metrics[f'vv_container_running{{name="{name}"}}'] == 0}


def test_a_task_that_crashes_in_a_loop_is_counted_by_its_slot(
    engine: Engine, exporter: Exporter, swarm: docker.APIClient
) -> None:
    image = busybox_image(engine)
    serve(swarm, image, "crashing", "sleep 1; exit 3")
    serve(swarm, image, "steady", "sleep 1000")
    counted = 'vv_container_restarts_total{cause="policy",name="crashing.1"}'

    wait_until(lambda: exporter.metrics().get(counted, 0) >= 3, 120, what="restarts of the slot")
    assert exporter.metrics()['vv_container_restarts_total{cause="policy",name="steady.1"}'] == 0

    swarm.update_service(
        swarm.inspect_service("steady")["ID"],
        version=swarm.inspect_service("steady")["Version"]["Index"],
        task_template={**swarm.inspect_service("steady")["Spec"]["TaskTemplate"], "ForceUpdate": 1},
        name="steady",
    )
    tasks = 'vv_container_expected{name="steady.1.'
    wait_until(lambda: sum(sample.startswith(tasks) for sample in exporter.metrics()) >= 2, 120, what="its successor")
    wait_until(lambda: not any(name.startswith("steady") for name in expected_and_down(exporter)), 60, what="one place")
    assert exporter.metrics()['vv_container_restarts_total{cause="policy",name="steady.1"}'] == 0


def test_what_compose_runs_once_is_nobodys_and_what_it_recreates_is_not_down(
    engine: Engine, exporter: Exporter, tmp_path: Path
) -> None:
    file = tmp_path / "compose.yml"
    file.write_text(COMPOSE.format(image=busybox_image(engine)))

    def compose(*words: str) -> None:
        command = ["docker", "compose", "--file", file, *words]
        subprocess.run(command, env=engine.environment, check=True, timeout=120, capture_output=True)

    compose("up", "--detach")
    exporter.wait_for('vv_container_running{name="site-web-1"}', 1, 60)
    compose("run", "--rm", "web", "true")
    compose("run", "web", "true")
    compose("up", "--detach", "--force-recreate")
    compose("up", "--detach", "--scale", "web=2")
    exporter.wait_for('vv_container_running{name="site-web-2"}', 1, 60)

    assert not [sample for sample in exporter.metrics() if "site-web-run" in sample]
    wait_until(lambda: expected_and_down(exporter) == set(), 60, what="nothing that is down")
    compose("down", "--timeout", "0")
