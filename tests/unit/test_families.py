"""What is kept of a family between scrapes changes nothing of what is shown: it is what prometheus_client makes."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, UnknownMetricFamily
from prometheus_client.core import Metric as Family

from vv_core.common.texts import escaped
from vv_exporter.common import families
from vv_exporter.metrics import Labels, Metric, counter, counters, gauge, gauges, histogram, histograms
from vv_exporter.web.guard import CollectorError, checked
from vv_exporter.web.routes.metrics import encode

GAUGE = gauge("vv_x_seconds", 'A "help" of\ntwo lines \\.', "zone", "name")
COUNTER = counter("vv_x_things_total", "Things.", "name")
HISTOGRAM = histogram("vv_x_size_bytes", "Sizes.", "zone", "a", buckets=(0.1, 1.0, 2500000.0))
PLAIN = gauge("vv_x_plain", "Without labels.")

ACCEPTED = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;"
    "version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
    "application/openmetrics-text;version=1.0.0",
    "application/openmetrics-text;version=2.0.0;escaping=values",
    "application/openmetrics-text;version=1.0.0;escaping=dots",
    "application/openmetrics-text",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "*/*",
    "",
)

TEXT = st.sampled_from(["scan", 'a"b', "a\\b", "two\nlines", "100%s", "câmera", "\u202e"]) | st.text(max_size=5)
NUMBER = st.one_of(st.sampled_from([0.0, -0.0, 1e6, 1234567.5, 1.7e9, 1e21]), st.floats(), st.integers(-9, 10**9))
COUNTS = st.tuples(*[st.integers(0, 10**7)] * 4)


def unique(rows: Iterable[Any]) -> list[Any]:
    return list({tuple(escaped(one) for one in row[0]): row for row in rows}.values())


SCRAPES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.tuples(TEXT, TEXT), NUMBER), max_size=4).map(unique),
        st.lists(st.tuples(st.tuples(TEXT), NUMBER, st.none() | NUMBER), max_size=4).map(unique),
        st.lists(st.tuples(st.tuples(TEXT, TEXT), COUNTS, NUMBER, NUMBER), max_size=3).map(unique),
    ),
    max_size=4,
)


def by_prometheus_client(metric: Metric, rows: Iterable[Any]) -> Family:
    """The same by prometheus_client's own families."""
    made: Any = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily, "histogram": HistogramMetricFamily}
    family = made[metric.type](metric.name, metric.help, labels=metric.labels)
    for labels, *values in rows:
        values = [None if one is None else _plain(one) for one in values]
        names = [escaped(one) for one in labels]
        if metric.type == "gauge":
            family.add_metric(names, values[0])
        elif metric.type == "counter":
            family.add_metric(names, values[0], created=values[1])
        else:
            counts, total, created = values
            bounds = [*(repr(bound) for bound in metric.buckets), "+Inf"]
            family.add_metric(names, [(bound, sum(counts[: n + 1])) for n, bound in enumerate(bounds)], total)
            family.add_sample(f"{metric.name}_created", dict(zip(metric.labels, names, strict=True)), created)
    return family


def _plain(value: Any) -> Any:
    return value if isinstance(value, tuple) else float(value) + 0.0


@given(scrapes=SCRAPES, accept=st.sampled_from(ACCEPTED))
def test_scrape_after_scrape_it_is_the_text_of_prometheus_client(scrapes: list[Any], accept: str) -> None:
    for of_gauge, of_counter, of_histogram in scrapes:
        ours = [gauges(GAUGE, of_gauge), counters(COUNTER, of_counter), histograms(HISTOGRAM, of_histogram)]
        theirs = [
            by_prometheus_client(GAUGE, of_gauge),
            by_prometheus_client(COUNTER, of_counter),
            by_prometheus_client(HISTOGRAM, of_histogram),
        ]
        for family in (ours, theirs):
            family += [gauges(PLAIN, [((), 1)]), UnknownMetricFamily("vv_x_count", "Untyped.", value=4)]

        assert encode(checked(ours)[0], accept) == encode(checked(theirs)[0], accept)


def test_who_asks_for_samples_gets_those_of_prometheus_client() -> None:
    rows = [(("yard", "scan"), (1, 0, 2, 0), 3.5, 1.7e9), (("gate", "scan"), (0, 0, 0, 0), 0.0, 1.7e9)]

    assert histograms(HISTOGRAM, rows) == by_prometheus_client(HISTOGRAM, rows)
    assert checked([histograms(HISTOGRAM, rows)])[1] == checked([by_prometheus_client(HISTOGRAM, rows)])[1]
    assert checked([counters(COUNTER, [])])[1] == checked([by_prometheus_client(COUNTER, [])])[1]


@pytest.mark.parametrize("twins", [("scan", "scan"), ("a\u202eb", r"a\u202eb")])
def test_two_series_that_look_alike_are_refused(twins: Labels) -> None:
    with pytest.raises(CollectorError, match="duplicate series"):
        checked([counters(COUNTER, [((one,), 1.0, None) for one in twins])])


@pytest.mark.parametrize("value", ["much", None, object()])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        gauges(PLAIN, [((), value)])


def test_labels_that_were_shown_before_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    made = families._label_pair
    monkeypatch.setattr(families, "_label_pair", lambda name, value: names.append(value) or made(name, value))
    rows = [((f"job-{number}",), 1.0, 1.0) for number in range(100)]

    for value in range(5):
        encode([counters(COUNTER, [(labels, value, 1.0) for labels, *_ in rows])], ACCEPTED[0])
    assert len(names) == 2 * 100  # once as they are, once with a bucket's bound

    encode([counters(COUNTER, [*rows, (("new",), 1.0, 1.0)])], ACCEPTED[0])
    assert names[200:] == ["new"] * 2


def test_what_did_not_change_in_a_histogram_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers: list[float] = []
    text = families._go_number
    monkeypatch.setattr(families, "_go_number", lambda value: numbers.append(value) or text(value))
    rows = [((str(number), "x"), (1, 0, 0, 0), 1.0, 1.0) for number in range(100)]

    first = encode([histograms(HISTOGRAM, rows)], ACCEPTED[0])
    numbers.clear()
    assert encode([histograms(HISTOGRAM, rows)], ACCEPTED[0]) == first
    assert numbers == []

    encode([histograms(HISTOGRAM, [*rows[:99], (rows[99][0], (1, 1, 0, 0), 3.0, 1.0)])], ACCEPTED[0])
    assert numbers == [1, 2, 2, 2, 2, 3, 1]


def test_nothing_is_kept_of_series_that_are_gone() -> None:
    for number in range(50):
        family = gauges(GAUGE, [((f"zone-{number}", "x"), 1.0)])

    assert isinstance(family, families.ShapedFamily)
    assert len(family._shape._heads) == 1
