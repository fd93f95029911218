"""Containers that are replaced under other names: the place is watched, and who had it before is not down for ever."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.unit.containers.engines import Containers, MemoryEngine
from tests.unit.containers.test_half_deaf import Device
from vv_exporter.containers import watch as watching
from vv_exporter.containers.expectation import FORGET_AFTER
from vv_exporter.containers.observed import decode_event, place_of
from vv_exporter.metrics.containers import RESTARTS
from vv_exporter.state.store import Store

PROJECT, SERVICE = "com.docker.compose.project", "com.docker.compose.service"
NUMBER, ONE_OFF = "com.docker.compose.container-number", "com.docker.compose.oneoff"
TASK = "com.docker.swarm.task.name"


def compose(number: str = "1", **more: str) -> dict[str, str]:
    return {PROJECT: "vv", SERVICE: "web", NUMBER: number, ONE_OFF: "False", **more}


def task(slot: str, task_id: str) -> dict[str, str]:
    return {"com.docker.swarm.service.name": "stack_web", TASK: f"stack_web.{slot}.{task_id}"}


@pytest.mark.parametrize(
    ("labels", "place"),
    [
        (task("1", "aaa"), "swarm stack_web.1"),
        (task("1", "bbb"), "swarm stack_web.1"),
        (task("2", "aaa"), "swarm stack_web.2"),
        (task("node5", "aaa"), "swarm stack_web.node5"),  # of a global service
        (compose(), "compose vv/web/1"),
        (compose("2"), "compose vv/web/2"),
        (compose() | {ONE_OFF: "True"}, ""),
        ({PROJECT: "vv", SERVICE: "web"}, ""),
        ({TASK: "nonsense"}, ""),
        ({}, ""),
    ],
)
def test_what_names_a_place(labels: Mapping[str, str], place: str) -> None:
    assert place_of(labels) == place


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Device]:
    containers, clock = Containers(), Clock()
    monkeypatch.setattr(watching, "_EVENT_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(watching, "Engine", lambda _host: MemoryEngine(containers))
    store = Store(tmp_path / "state.db", clock)
    yield Device(containers, tmp_path, store, clock)
    store.close()


def crash(device: Device, name: str, seconds: int) -> None:
    device.containers.states[name] = "exited", "", 1
    device.containers.tell(name, "die", seconds, exitCode="1", **device.containers.labels[name])


def begin(device: Device, name: str, seconds: int, labels: Mapping[str, str]) -> None:
    device.containers.started[name] = 0
    device.containers.run(name, **labels)
    device.containers.start_again(name, seconds)
    device.containers.tell(name, "start", seconds, **labels)


SUCCESSIONS = {
    "a task of a swarm": ("stack_web.1.aaa", task("1", "aaa"), "stack_web.1.bbb", task("1", "bbb")),
    "compose, recreated": ("0123456789ab_vv-web-1", compose(), "vv-web-1", compose()),
    "compose, another separator": ("vv_web_1", compose(), "vv-web-1", compose()),
}


@pytest.mark.parametrize("succession", SUCCESSIONS)
def test_the_old_one_is_down_until_its_successor_runs(device: Device, succession: str) -> None:
    old, old_labels, new, new_labels = SUCCESSIONS[succession]
    device.containers.run(old, **old_labels)
    device.go(3)
    crash(device, old, 5)
    device.go(2)
    assert (device.shows("container_expected", old), device.shows("container_running", old)) == (1, 0)

    begin(device, new, 8, new_labels)
    device.go(3)

    assert device.shows("container_expected", old) == 0
    assert (device.shows("container_expected", new), device.shows("container_running", new)) == (1, 1)


@pytest.mark.parametrize("succession", SUCCESSIONS)
def test_when_the_old_one_is_removed_its_series_end(device: Device, succession: str) -> None:
    old, old_labels, new, new_labels = SUCCESSIONS[succession]
    device.containers.run(old, **old_labels)
    device.go(3)
    crash(device, old, 5)
    begin(device, new, 8, new_labels)
    device.go(3)
    del device.containers.states[old]
    device.containers.tell(old, "destroy", 12, **old_labels)
    device.go(int(watching.RECONCILE_INTERVAL_SECONDS) + 2)

    assert FORGET_AFTER > 10 * watching.RECONCILE_INTERVAL_SECONDS
    assert device.shows("container_running", old) is None
    assert device.shows("container_expected", new) == 1


def test_the_successor_that_crashes_is_down(device: Device) -> None:
    device.containers.run("stack_web.1.aaa", **task("1", "aaa"))
    device.go(3)
    crash(device, "stack_web.1.aaa", 5)
    begin(device, "stack_web.1.bbb", 8, task("1", "bbb"))
    device.go(3)
    crash(device, "stack_web.1.bbb", 12)
    device.go(3)

    assert device.shows("container_expected", "stack_web.1.aaa") == 0
    assert device.shows("container_expected", "stack_web.1.bbb") == 1
    assert device.shows("container_running", "stack_web.1.bbb") == 0


SLOT = "stack_web.1"


def restarts(device: Device, name: str = SLOT) -> float | None:
    return device.store.value(RESTARTS, (name, "policy"))


def test_a_slot_counts_the_tasks_that_crash_in_a_loop_and_each_task_none(device: Device) -> None:
    device.containers.run(f"{SLOT}.t0", **task("1", "t0"))
    device.go(3)
    assert restarts(device) == 0
    for number in range(1, 6):
        crash(device, f"{SLOT}.t{number - 1}", 5 * number)
        begin(device, f"{SLOT}.t{number}", 5 * number + 2, task("1", f"t{number}"))
        device.go(3)
        del device.containers.states[f"{SLOT}.t{number - 1}"]
        device.containers.tell(f"{SLOT}.t{number - 1}", "destroy", 5 * number + 3, **task("1", f"t{number - 1}"))
        device.go(3)

    assert restarts(device) == 5
    assert {restarts(device, f"{SLOT}.t{number}") or 0 for number in range(6)} == {0}


def test_a_task_that_was_stopped_for_another_is_no_restart(device: Device) -> None:
    device.containers.run(f"{SLOT}.old", **task("1", "old"))
    device.go(3)
    device.containers.tell(f"{SLOT}.old", "kill", 5, signal="15", **task("1", "old"))
    crash(device, f"{SLOT}.old", 6)
    begin(device, f"{SLOT}.new", 8, task("1", "new"))
    device.go(3)

    assert restarts(device) == 0


@pytest.mark.parametrize(("labels", "name"), [(task("2", "x"), "stack_web.2"), (compose(), "vv/web/1"), ({}, "")])
def test_what_starts_elsewhere_counts_nothing_for_a_slot(device: Device, labels: Mapping[str, str], name: str) -> None:
    device.containers.run(f"{SLOT}.aaa", **task("1", "aaa"))
    device.go(3)
    crash(device, f"{SLOT}.aaa", 5)
    begin(device, "other", 8, labels)
    device.go(3)

    assert restarts(device) == 0
    assert not restarts(device, name)


def test_the_series_of_a_slot_end_with_its_last_task(device: Device) -> None:
    device.containers.run(f"{SLOT}.aaa", **task("1", "aaa"))
    device.go(3)
    device.containers.tell(f"{SLOT}.aaa", "kill", 5, signal="15", **task("1", "aaa"))
    crash(device, f"{SLOT}.aaa", 6)
    device.containers.tell(f"{SLOT}.aaa", "stop", 6, **task("1", "aaa"))
    device.go(3)
    del device.containers.states[f"{SLOT}.aaa"]
    device.containers.tell(f"{SLOT}.aaa", "destroy", 9, **task("1", "aaa"))
    device.go(3)
    assert restarts(device) == 0
    device.clock.advance(FORGET_AFTER + 1)
    device.go(int(watching.RECONCILE_INTERVAL_SECONDS) + 2)

    assert restarts(device) is None


@pytest.mark.parametrize("other", [task("2", "ccc"), compose("2"), {}], ids=["slot", "number", "none"])
def test_another_place_is_no_successor(device: Device, other: Mapping[str, str]) -> None:
    device.containers.run("stack_web.1.aaa", **task("1", "aaa"))
    device.go(3)
    crash(device, "stack_web.1.aaa", 5)
    begin(device, "other", 8, other)
    device.go(3)

    assert device.shows("container_expected", "stack_web.1.aaa") == 1


def test_an_older_one_that_runs_is_no_successor(device: Device) -> None:
    device.containers.run("stack_web.1.old", **task("1", "old"))
    device.go(3)
    begin(device, "stack_web.1.new", 4, task("1", "new"))
    device.go(2)
    crash(device, "stack_web.1.new", 6)
    device.go(2)

    assert device.shows("container_expected", "stack_web.1.new") == 1


@pytest.mark.parametrize(
    ("attributes", "action", "code", "detail"),
    [
        ({"containerExitCode": "137"}, "die", "137", None),
        ({"exitCode": "1", "containerExitCode": "1"}, "die", "1", None),
        ({"health_status": "unhealthy"}, "health_status", None, "unhealthy"),
    ],
)
def test_what_podman_calls_otherwise_is_understood(
    attributes: Mapping[str, str], action: str, code: str | None, detail: str | None
) -> None:
    quoted = ", ".join(f'"{name}": "{value}"' for name, value in {"name": "web", **attributes}.items())
    event = decode_event(
        f'{{"Type": "container", "Action": "{action}", "Actor": {{"ID": "ab", "Attributes": {{{quoted}}}}}, '
        '"timeNano": 5}'.encode()
    )

    assert event is not None
    assert (event.action, event.attributes.get("exitCode"), event.attributes.get("detail")) == (action, code, detail)
