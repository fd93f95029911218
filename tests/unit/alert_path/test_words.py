"""What is told directly is, word for word, what promtool proves that the rules say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client.core import GaugeMetricFamily

from tests.support.proofs import Proof, proofs
from vv_exporter.alert_path.conditions import CONDITIONS, HMAC_WINDOW_SECONDS, Fired, Now, find_conditions, fire
from vv_exporter.alert_path.last_line import message_of
from vv_exporter.alert_path.words import Sample, Words, WordsError, humanize, humanize_duration
from vv_exporter.settings import load

PROOFS = [proof for proof in proofs() if proof.alert in CONDITIONS and proof.severity == "critical"]
FAILED = "vv_hmac_operations_total"


def now_of(proof: Proof) -> Now:
    """The series of the proof at its time, as the exporter's own."""
    families: dict[tuple[str, ...], GaugeMetricFamily] = {}
    failures: dict[tuple[str, str], float] = {}
    for series in proof.series:
        value = series.at(proof.last)
        if value is None or series.labels["device"] != proof.labels["device"]:
            continue
        labels = {name: text for name, text in series.labels.items() if name != "device"}
        if series.name == FAILED and labels["result"] == "failed":
            before = series.at(int((proof.at - HMAC_WINDOW_SECONDS) // proof.interval)) if proof.at > 900 else 0.0
            failures[labels["operation"], labels["component"]] = value - (before or 0.0)
        family = families.setdefault((series.name, *labels), GaugeMetricFamily(series.name, "x", labels=list(labels)))
        family.add_metric(list(labels.values()), value)
    return Now(families.values(), proof.labels["device"], proof.at, failures)


def fired_by(proof: Proof) -> Iterator[Fired]:
    now = now_of(proof)
    yield from (fire(alert, observed, now) for alert, observed in find_conditions(now) if alert == proof.alert)


def test_each_condition_has_a_proof() -> None:
    assert {proof.alert for proof in PROOFS} == CONDITIONS.keys()


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.alert)
def test_it_is_the_rules_alert_with_its_labels_and_words(proof: Proof) -> None:
    matching = [one for one in fired_by(proof) if one.labels == proof.labels]

    (found,) = matching
    said = {name: text for name, text in found.annotations.items() if text}
    assert said == {name: text for name, text in proof.annotations.items() if text}


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.alert)
def test_the_message_has_all_fields(proof: Proof) -> None:
    settings = load({"VV_STATE_DIR": "/nonexistent", "VV_RUNBOOK_BASE_URL": "https://example.org/r"})
    message = message_of(next(fired_by(proof)), settings, 1_700_000_000.0, "")

    assert message.title == proof.annotations["summary"]
    assert message.details.startswith(proof.annotations["description"].replace("/var/lib/vv/logs", "/nonexistent/logs"))
    assert (message.severity, message.component) == ("critical", proof.labels["component"])
    assert message.runbook_url == f"https://example.org/r/{proof.alert}.md"
    assert "/var/lib/vv/logs" not in message.suggested_actions
    assert message.suggested_actions.startswith("1. ")
    assert message.alert_id


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0"), (1234567.0, "1.235M"), (0.0123, "12.3m"), (-1500.0, "-1.5k"), (float("nan"), "nan"), (1e30, "1e+06Y")],
)
def test_numbers_are_as_prometheus_writes_them(value: float, said: str) -> None:
    assert humanize(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0s"), (59.5, "59.5s"), (61.0, "1m 1s"), (3600.0, "1h 0m 0s"), (90061.0, "1d 1h 1m 1s"), (0.25, "250ms")],
)
def test_durations_are_as_prometheus_writes_them(value: float, said: str) -> None:
    assert humanize_duration(value) == said


@pytest.mark.parametrize(
    "template",
    ["{{ end }}", "{{ with . }}x", "{{ unknown 1 }}", "{{ range . }}{{ end }}", '{{ query "a +" }}', "{{ $x }}", "{{"],
)
def test_what_is_not_understood_is_said_and_not_guessed(template: str) -> None:
    with pytest.raises(WordsError):
        Words(lambda _: [], {}, 0.0, 0.0).fill(template)


HOSTILE = '{{ query "x" }}"}{$labels.path}\n<!channel>\\'


def test_a_hostile_name_is_only_quoted() -> None:
    labels = {"path": HOSTILE, "role": "system", "device": "edge-1"}
    samples = [Sample({**labels, "path": "/other"}, 5.0), Sample(labels, 7.0)]
    words = Words(lambda _: samples, labels, 1.0, 0.0)

    template = '{{ with printf "a{path=%q}" $labels.path | query }}{{ . | first | value | printf "%.0f" }}{{ end }}'
    assert words.fill(template) == "7"
    assert words.fill("on {{ $labels.path }}") == f"on {HOSTILE}"
