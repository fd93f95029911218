"""One bad collector costs its own series, and nothing else."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tests.support.waiting import wait_until
from vv_exporter.web.guard import CollectorError, Guarded, checked, gather


class Collecting:
    """A collector made of a function."""

    def __init__(self, name: str, collect: Callable[[], Iterable[Metric]]) -> None:
        self.name = name
        self.collect = collect


def family(name: str, value: float = 1.0) -> Metric:
    return GaugeMetricFamily(name, "Test.", value=value)


def good(name: str) -> Guarded:
    return Guarded(Collecting(name, lambda: [family(f"{name}_value")]))


def success(families: Iterable[Metric]) -> dict[str, float]:
    return by_collector(families, "vv_collector_success")


def by_collector(families: Iterable[Metric], name: str) -> dict[str, float]:
    (found,) = [one for one in families if one.name == name]
    return {sample.labels["collector"]: sample.value for sample in found.samples}


def names(families: Iterable[Metric]) -> set[str]:
    return {one.name for one in families}


class Hanging:
    """A collector that hangs until it is released, and counts its runs."""

    name = "hanging"

    def __init__(self) -> None:
        self.release = threading.Event()
        self.runs = 0
        self.at_once = 0
        self.most_at_once = 0

    def collect(self) -> Iterator[Metric]:
        self.runs += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.release.wait(30)
        self.at_once -= 1
        yield family("hanging_value")


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    collector = Hanging()
    yield collector
    collector.release.set()


def test_families_of_all_collectors_come_together_with_success_and_duration() -> None:
    families = gather([good("a"), good("b")])

    assert {"a_value", "b_value", "vv_collector_success", "vv_collector_duration_seconds"} == names(families)
    assert success(families) == {"a": 1.0, "b": 1.0}
    assert all(0 <= value < 1 for value in by_collector(families, "vv_collector_duration_seconds").values())


def test_one_that_hangs_costs_its_own_series_and_the_deadline_once(hanging: Hanging) -> None:
    guarded = [Guarded(hanging), good("b")]

    families = gather(guarded, 1.0)

    assert success(families) == {"hanging": 0.0, "b": 1.0}
    assert "b_value" in names(families)
    assert "hanging_value" not in names(families)

    began = time.monotonic()
    for _ in range(20):
        gather(guarded, 1.0)
    assert time.monotonic() - began < 10  # waiting for it each time would take twenty


def test_one_that_hangs_keeps_its_only_thread_and_comes_back_when_it_returns(hanging: Hanging) -> None:
    guarded = [Guarded(hanging)]
    threads = threading.active_count()
    gather(guarded, 0.01)
    wait_until(lambda: hanging.runs)
    for _ in range(5):
        gather(guarded, 0.01)

    assert hanging.runs == 1
    assert threads + 1 == threading.active_count()

    hanging.release.set()
    wait_until(lambda: success(gather(guarded, 0.5)) == {"hanging": 1.0})


def test_parallel_scrapes_share_a_run(hanging: Hanging) -> None:
    guarded = [Guarded(hanging)]
    results: list[dict[str, float]] = []
    scrapes = [threading.Thread(target=lambda: results.append(success(gather(guarded, 10)))) for _ in range(8)]
    for scrape in scrapes:
        scrape.start()
    wait_until(lambda: hanging.runs)
    hanging.release.set()
    for scrape in scrapes:
        scrape.join()

    assert results == [{"hanging": 1.0}] * 8
    assert hanging.most_at_once == 1


def raises(error: BaseException) -> Callable[[], Iterator[Metric]]:
    def collect() -> Iterator[Metric]:
        yield family("bad_value")
        raise error

    return collect


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), GeneratorExit(), MemoryError()])
def test_one_that_raises_in_the_middle_costs_all_its_series_and_can_be_asked_again(error: BaseException) -> None:
    guarded = [Guarded(Collecting("bad", raises(error))), good("b")]

    for _ in range(2):
        families = gather(guarded)
        assert success(families) == {"bad": 0.0, "b": 1.0}
        assert "bad_value" not in names(families)


def test_of_two_that_yield_one_family_the_first_keeps_it() -> None:
    guarded = [
        Guarded(Collecting("first", lambda: [family("shared")])),
        Guarded(Collecting("second", lambda: [family("own"), family("shared")])),
    ]

    families = gather(guarded)

    assert success(families) == {"first": 1.0, "second": 0.0}
    assert {"shared"} == {name for name in names(families) if not name.startswith("vv_")}
    assert guarded[1].error == "yielded shared, which first has yielded already"


def test_the_guards_own_families_cannot_be_taken() -> None:
    assert success(gather([Guarded(Collecting("thief", lambda: [family("vv_collector_success")]))])) == {"thief": 0.0}


def test_an_expositions_name_is_taken_too() -> None:
    counter = CounterMetricFamily("things", "Test.", value=1)
    guarded = [
        Guarded(Collecting("first", lambda: [counter])),
        Guarded(Collecting("second", lambda: [family("things_total")])),
    ]

    assert success(gather(guarded)) == {"first": 1.0, "second": 0.0}


def with_sample(name: str, labels: dict[str, str], value: object) -> Metric:
    made = GaugeMetricFamily("bad", "Test.")
    made.add_sample(name, labels, value)  # type: ignore[arg-type]
    return made


def twice() -> Metric:
    made = with_sample("bad", {"a": "b"}, 1)
    made.add_sample("bad", {"a": "b"}, 2)
    return made


@pytest.mark.parametrize(
    "family",
    [
        with_sample("bad", {}, None),
        with_sample("bad", {}, "many"),
        with_sample("other", {}, 1),
        with_sample("bad", {"a": 5}, 1),  # type: ignore[dict-item]
        with_sample("bad", {"a": "caf\udce9.mp4"}, 1),
        with_sample("bad", {"a-b": "c"}, 1),
        with_sample("bad", {"__name__": "c"}, 1),
        twice(),
        GaugeMetricFamily("bad", "caf\udce9", value=1),
        "no family",
    ],
    ids=str,
)
def test_what_no_exposition_could_hold_is_refused(family: Metric) -> None:
    with pytest.raises(CollectorError):
        checked([family])

    assert success(gather([Guarded(Collecting("bad", lambda: [family])), good("b")])) == {"bad": 0.0, "b": 1.0}


def test_an_episode_is_logged_once_at_its_beginning_and_once_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    broken = True

    def collect() -> Iterable[Metric]:
        if broken:
            raise OSError("disk gone")
        return [family("flaky_value")]

    guarded = [Guarded(Collecting("flaky", collect))]
    caplog.set_level(logging.INFO)
    for _ in range(3):
        gather(guarded)
    broken = False
    for _ in range(3):
        gather(guarded)

    assert caplog.messages == ["collector flaky: OSError: disk gone", "collector flaky answers again"]
