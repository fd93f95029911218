"""An Engine that answers, but not all questions: each costs itself only, and what is not known is not called down."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.unit.containers.engines import Containers, MemoryEngine, container_id
from vv_exporter.collectors.containers import ContainersCollector
from vv_exporter.containers import watch as watching
from vv_exporter.containers.asker import Asker
from vv_exporter.containers.engine import EngineError, NoAnswerError
from vv_exporter.containers.records import CONTAINERS, REASONS, ContainerRecord, all_series
from vv_exporter.containers.watch import ContainerWatch
from vv_exporter.context import Context
from vv_exporter.metrics.containers import EXITS
from vv_exporter.settings import load
from vv_exporter.state.store import Store

pytestmark = pytest.mark.usefixtures("quick")


class Device:
    """The watch, driven step by step, and what a scrape shows."""

    def __init__(self, containers: Containers, folder: Path, store: Store, clock: Clock) -> None:
        (folder / "vv.yml").write_text("containers: {essential: [web]}")
        self.settings = load({"VV_STATE_DIR": str(folder), "VV_CONFIG": str(folder / "vv.yml")})
        self.containers, self.store, self.clock = containers, store, clock
        self.begin()

    def begin(self) -> None:
        """The exporter is started, or started again."""
        self.watch = ContainerWatch("unix:///x", self.settings.containers, self.store, self.clock, self.clock)
        context = Context(self.settings, self.store, self.clock, self.clock)
        self.collector = ContainersCollector(context, self.watch, Asker(self.watch.connect, self.clock))

    def go(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.watch.follow_once()

    def shows(self, sample: str, name: str = "") -> float | None:
        found = {
            tuple(one.labels.values()): one.value
            for family in self.collector.collect()
            for one in family.samples
            if one.name == f"vv_{sample}"
        }
        return found.get((name,) if name else ())

    def exits(self, name: str) -> dict[str, float]:
        """By reason."""
        counted = {reason: self.store.value(EXITS, (name, reason)) for reason in REASONS}
        return {reason: count for reason, count in counted.items() if count}

    def record(self, name: str) -> ContainerRecord:
        record = self.store.document(CONTAINERS, name)
        assert record is not None, f"nothing is known of {name}"
        return record


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for: the Engine is in memory."""
    monkeypatch.setattr(watching, "_EVENT_WAIT_SECONDS", 0.0)


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> Containers:
    containers = Containers()

    def connect(_host: str) -> MemoryEngine:
        if "everything" in containers.silent:
            raise EngineError("connection refused")
        if "ping" in containers.silent:
            raise NoAnswerError("Read timed out.")
        return MemoryEngine(containers)

    monkeypatch.setattr(watching, "Engine", connect)
    return containers


@pytest.fixture
def device(containers: Containers, tmp_path: Path) -> Iterator[Device]:
    clock = Clock()
    store = Store(tmp_path / "state.db", clock)
    yield Device(containers, tmp_path, store, clock)
    store.close()


def test_a_container_whose_inspection_hangs_at_the_start_is_shown_as_the_list_has_it(device: Device) -> None:
    device.containers.run("web")
    device.containers.run("other")
    device.containers.silent.add("web")
    device.go(5)

    assert device.shows("container_running", "web") == 1
    assert device.shows("container_inspect_success", "web") == 0
    assert device.shows("container_inspect_success", "other") == 1
    assert device.shows("docker_request_success", "inspect") == 0
    assert device.shows("docker_up") == 1
    assert device.watch.current, "the self-monitor would start nothing"


@pytest.mark.parametrize("problem", ["json", "500 Server Error: layer does not exist"])
def test_a_container_whose_inspection_is_broken_costs_itself_only(device: Device, problem: str) -> None:
    device.containers.run("web", health="unhealthy")
    device.containers.run("other")
    device.containers.broken["web"] = problem
    device.go(5)

    assert device.shows("container_running", "web") == 1
    assert device.record("web").health == "unhealthy"
    assert device.shows("container_inspect_success", "web") == 0
    assert device.record("other").policy == "on-failure"


def test_others_are_followed_while_one_hangs_and_it_is_asked_for_with_growing_pauses(device: Device) -> None:
    device.containers.run("web")
    device.containers.run("other")
    device.go(5)
    device.containers.silent.add("web")
    device.containers.tell("web", "health_status", 10, detail="unhealthy")
    device.go(5)
    device.containers.asked.clear()
    device.containers.tell("other", "die", 20, exitCode="3")
    device.go(1)

    assert device.record("other").exit_code == 3
    assert device.record("web").health == "unhealthy", "what an event says needs no inspection"
    device.go(600)
    assert 3 <= device.containers.asked.count("web") <= 6
    assert device.shows("container_running", "web") == 1


def test_a_container_that_ends_while_its_inspection_hangs_is_down(device: Device) -> None:
    device.containers.run("web")
    device.go(5)
    device.containers.silent.add("web")
    device.containers.run("web", "exited", code=137)
    device.containers.tell("web", "die", 20, exitCode="137")
    device.go(5)

    assert device.shows("container_running", "web") == 0
    assert device.shows("container_expected", "web") == 1
    assert device.shows("container_last_exit_code", "web") == 137


@pytest.mark.parametrize("told", [True, False], ids=["late", "never"])
def test_an_end_that_the_list_shows_before_its_event_is_counted_once(device: Device, told: bool) -> None:
    device.containers.run("web")
    device.go(5)
    device.containers.silent.add("web")
    device.containers.run("web", "exited", code=3)
    device.go(watching.RECONCILE_INTERVAL_SECONDS)
    if told:
        device.containers.tell("web", "die", 20, exitCode="3")
    device.go(60)
    assert device.shows("container_running", "web") == 0
    device.containers.silent.clear()
    device.go(400)

    assert device.exits("web") == {"error": 1}


def test_many_that_hang_keep_the_others_from_nothing(device: Device) -> None:
    for number in range(50):
        device.containers.run(f"stuck{number}")
        device.containers.silent.add(f"stuck{number}")
    device.containers.run("web")
    device.go(3)

    assert device.shows("container_running", "web") == 1
    assert device.shows("container_running", "stuck49") == 1
    assert device.watch.current
    assert len(device.containers.asked) <= 10, "each is waited for"
    device.go(25)
    assert device.shows("container_inspect_success", "web") == 1
    assert device.record("web").policy == "on-failure"
    assert device.shows("container_inspect_success", "stuck49") == 0


def test_what_happened_is_counted_once_the_inspection_comes(device: Device) -> None:
    device.containers.run("web", "exited", code=3)
    device.go(5)
    device.containers.silent.add("web")
    device.containers.start_again("web", 30)  # while nobody looked
    device.begin()
    device.go(5)
    assert device.shows("container_running", "web") == 1

    device.containers.silent.clear()
    device.go(60)

    assert device.shows("container_inspect_success", "web") == 1
    assert device.store.value(all_series("web")[2][0], ("web", "manual")) == 1


def test_what_it_did_before_it_could_be_inspected_is_not_counted(device: Device) -> None:
    device.containers.run("web")
    device.containers.silent.add("web")
    device.go(5)
    device.containers.silent.clear()
    device.go(60)

    assert not device.record("web").listed_only
    assert {device.store.value(metric, labels) for metric, labels in all_series("web")} == {0}


def test_a_crash_and_a_restart_while_it_cannot_be_inspected_are_counted(device: Device) -> None:
    device.containers.run("web")
    device.containers.silent.add("web")
    device.go(5)
    device.containers.tell("web", "die", 20, exitCode="1")
    device.containers.tell("web", "start", 25)
    device.containers.start_again("web", 25)
    device.go(10)
    device.containers.silent.clear()
    device.go(120)

    values = {labels[1:]: device.store.value(metric, labels) for metric, labels in all_series("web")}
    assert values["error",] == 1
    assert values["manual",] == 1
    assert device.shows("container_running", "web") == 1


def test_a_container_that_vanishes_before_it_could_be_inspected_is_not_missed(device: Device) -> None:
    device.containers.run("temporary")
    device.containers.silent.add("temporary")
    device.go(5)
    del device.containers.states["temporary"]
    device.containers.tell("temporary", "destroy", 20)
    device.go(5)

    assert device.shows("container_expected", "temporary") == 0


def test_a_list_that_hangs_leaves_the_events(device: Device) -> None:
    device.containers.run("web")
    device.go(5)
    device.containers.silent.add("list")
    device.go(60)
    device.containers.tell("web", "die", 20, exitCode="1")
    device.go(1)

    assert device.shows("container_running", "web") == 0
    assert device.shows("docker_request_success", "list") == 0
    assert device.shows("docker_up") == 1


def test_a_list_that_hangs_at_the_start_calls_nothing_down(device: Device) -> None:
    device.containers.run("web")
    device.containers.silent.add("list")
    device.go(30)

    assert device.shows("container_running", "web") is None
    assert device.shows("docker_request_success", "list") == 0
    assert not device.watch.current
    device.containers.silent.clear()
    device.go(90)
    assert device.shows("container_running", "web") == 1


def test_without_an_event_stream_containers_are_asked_for_again_and_again(device: Device) -> None:
    device.containers.run("web")
    device.containers.silent.add("events")
    device.go(30)
    assert device.shows("container_running", "web") == 1
    assert device.shows("docker_request_success", "events") == 0
    assert device.shows("docker_event_stream_connected") == 0
    assert device.watch.current, "the self-monitor would start nothing"

    device.containers.run("web", "exited", code=3)
    device.go(15)
    assert device.shows("container_running", "web") == 0

    device.containers.silent.clear()
    device.go(90)
    assert device.shows("docker_event_stream_connected") == 1


def test_a_stream_that_is_silent_about_what_happens_is_begun_anew(device: Device) -> None:
    device.containers.run("web")
    device.go(5)
    device.containers.deaf = True
    device.containers.run("web", "exited", code=3)
    device.containers.tell("web", "die", 20, exitCode="3")
    device.go(400)
    assert device.shows("container_running", "web") == 0
    assert device.shows("docker_request_success", "events") == 0

    device.containers.deaf = False
    device.go(10)
    assert device.shows("docker_request_success", "events") == 1
    assert device.exits("web") == {"error": 1}


@pytest.mark.parametrize("request_", ["info", "kept"])
@pytest.mark.parametrize("known", [False, True])
def test_an_engine_that_does_not_tell_whether_it_is_a_new_one_is_followed(
    device: Device, request_: str, known: bool
) -> None:
    device.containers.run("web")
    device.containers.kept_events = 0
    if known:
        device.go(5)
        device.begin()
    device.containers.silent.add(request_)
    device.go(5)

    assert device.watch.current
    assert device.shows("container_running", "web") == 1


def test_an_engine_that_accepts_and_is_silent_has_perhaps_what_is_listed(device: Device) -> None:
    device.containers.silent.add("ping")
    device.go(30)

    assert device.shows("docker_up") == 0
    assert device.shows("container_running", "web") is None


def test_an_engine_that_goes_away_is_down_and_not_half_deaf(device: Device) -> None:
    device.containers.run("web")
    device.go(5)
    device.containers.silent.add("everything")
    device.go(30)

    assert device.shows("docker_up") == 0
    assert device.shows("docker_request_success", "inspect") is None
    assert device.shows("container_inspect_success", "web") == 1


def test_ids_are_as_dockers() -> None:
    assert len(container_id("web")) == 64
