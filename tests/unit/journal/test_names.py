"""Names of any length become labels of bounded length, wherever they come from; the scrape stays small."""

import itertools
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest

from tests.unit.journal.conftest import Journal
from vv_core.common.texts import MAX_NAME, escaped, label, name
from vv_exporter.collectors import discover
from vv_exporter.context import Context
from vv_exporter.exporter import reserved_names
from vv_exporter.metrics import all_metrics, counters, gauges, histograms
from vv_exporter.metrics.jobs import JOB_RUNNING, JOB_RUNS
from vv_exporter.services import build_services
from vv_exporter.settings import load
from vv_exporter.state.runs import JOB_RUNS_OPEN, STAGE_RUNS
from vv_exporter.web.guard import Guarded, gather

SCRAPE = yaml.safe_load((Path(__file__).parents[3] / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]


class Registry:
    def __init__(self, families: list[Family]) -> None:
        self.collect = lambda: families


def scraped(journal: Journal) -> list[Family]:
    context = Context(settings=journal.settings, store=journal.store, clock=journal.clock, monotonic=journal.clock)
    services = build_services(context)
    return gather([Guarded(build(services)) for build in discover()], deadline=60)


def exposed(families: list[Family]) -> bytes:
    text: bytes = generate_latest(Registry(families))  # type: ignore[arg-type]
    return text


@pytest.mark.exhaustive
def test_three_hundred_heartbeats_of_huge_names_make_a_small_scrape(journal: Journal) -> None:
    for number in range(300):
        writer = journal.writer(f"w{number}", component="c" * 50_000 + str(number))
        writer.event("heartbeat", job="j" * 60_000 + str(number))
        writer.event("schema.validated", schema="s" * 60_000 + str(number), result="invalid", error="e" * 60_000)
        writer.event(
            "stage.finished", run="1", stage=f"{number}" * 9000, outcome="failure", seconds=1, exception="x" * 999
        )
        writer.event("dvr.attempt", dvr="d" * 60_000 + str(number), result="timeout", error="e" * 60_000)
        writer.event("video.quarantined", reason="r" * 60_000 + str(number), path="p" * 60_000, video="v" * 60_000)
        writer.event("job.started", run=f"{number}", job="j" * 60_000 + str(number))
        writer.event("alert", id=str(number), level="ERROR", title="t" * 60_000, details="d" * 60_000)
        writer.close()
    journal.read()
    families = scraped(journal)

    assert len(exposed(families)) < 8_000_000
    values = [value for family in families for sample in family.samples for value in sample.labels.values()]
    assert max(map(len, values)) <= 1000
    assert len([labels for labels, series in journal.store.series(JOB_RUNS) if labels[1] == "success"]) == 300
    failed = {
        s.labels["collector"] for f in families for s in f.samples if s.name == "vv_collector_success" and not s.value
    }
    assert failed <= {"containers"}


@pytest.mark.exhaustive
def test_the_largest_scrape_is_far_below_the_limits_of_prometheus(journal: Journal) -> None:
    """All families of the store are full, of the longest names, and so are runs and failures."""
    wide = "\N{GRINNING FACE}" * (MAX_NAME - 8)
    numbers = itertools.count()
    for metric in all_metrics().values():
        with journal.store.transaction() as tx:
            for _ in range(metric.limit if metric.labels else 1):
                labels = tuple(f"{wide}{next(numbers):08}" for _ in metric.labels)
                if metric.type == "histogram":
                    tx.observe(metric, labels, 1.0)
                else:
                    tx.set(metric, labels, 1.0)
    writer = journal.writer()
    for number in range(1200):
        writer.event("stage.started", run=f"s{number}", stage=f"{wide}{number:08}")
        writer.event("job.finished", run="j", job=f"{wide}{number:08}", result="failure", seconds=1, error="e" * 5000)
        writer.event("job.started", run=f"j{number}", job=f"{wide}{number:08}")
    journal.read()
    families = scraped(journal)

    assert len(journal.store.docs(STAGE_RUNS)) == len(journal.store.docs(JOB_RUNS_OPEN)) == 1000
    assert sum(len(family.samples) for family in families) < SCRAPE["sample_limit"] / 2
    assert len(exposed(families)) < 256_000_000 / 2
    assert SCRAPE["body_size_limit"] == "256MB"
    samples = [sample for family in families for sample in family.samples]
    assert max(len(sample.labels) for sample in samples) < SCRAPE["label_limit"] / 2
    assert max(len(key) for sample in samples for key in sample.labels) < SCRAPE["label_name_length_limit"] / 2
    longest = max(len(value.encode()) for sample in samples for value in sample.labels.values())
    assert longest <= SCRAPE["label_value_length_limit"] / 2


@given(st.lists(st.text(max_size=300), unique=True))
def test_labels_are_short_and_no_two_names_become_one(names: list[str]) -> None:
    labels = [label(one) for one in names]

    assert len(set(labels)) == len(names)
    assert all(len(one) <= MAX_NAME for one in labels)
    assert [label(one) for one in labels] == labels
    family = gauges(JOB_RUNNING, [((one,), 1.0) for one in names])
    assert [sample.labels["job"] for sample in family.samples] == list(map(escaped, labels))


@pytest.mark.parametrize(
    ("given", "known"),
    [("nightly", "nightly"), ("a" * 128, "a" * 128), ("a\tb", "a b"), (None, "None"), (b"x", "x")],
)
def test_what_scripts_give_as_a_name_becomes_one_line(given: object, known: str) -> None:
    assert name(given) == known


def test_two_long_names_of_scripts_stay_two() -> None:
    names = {name("n" * 1000 + end) for end in ("a", "b")}

    assert len(names) == 2
    assert {len(one) for one in names} == {MAX_NAME}
    assert all(one.startswith("n" * 111) for one in names)


def test_a_long_name_of_the_configuration_is_that_of_the_events(tmp_path: Path) -> None:
    long = "j" * 500
    (tmp_path / "vv.yml").write_text(
        f"jobs: {{{long}: {{schedule: '* * * * *'}}}}\nstages: {{{long}: {{limit: 1m}}}}\n"
    )
    settings = load({"VV_STATE_DIR": str(tmp_path), "VV_CONFIG": str(tmp_path / "vv.yml")})

    assert list(settings.jobs) == [name(long)]
    assert reserved_names(settings)["job"] == {name(long)}
    assert settings.stages.keys() >= {name(long)}


@pytest.mark.parametrize(
    "value", ["\ud800", "caf\udce9", "x" * 999 + "\ud800\udc00", "\ud83d\ude00", "\x1b[2J", '\n\\"']
)
def test_whatever_stands_in_a_label_can_be_shown(value: str) -> None:
    for metric in all_metrics().values():
        labels = (value,) * len(metric.labels)
        if metric.type == "gauge":
            family = gauges(metric, [(labels, 1.0)])
        elif metric.type == "counter":
            family = counters(metric, [(labels, 1.0, 1.0)])
        else:
            family = histograms(metric, [(labels, [1] * (len(metric.buckets) + 1), 1.0, 1.0)])
        for sample in family.samples:
            text = "\n".join(sample.labels.values())
            assert text.encode(errors="replace").decode() == text
