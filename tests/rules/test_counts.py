"""Whatever an alert counts, people read the whole number that happened: one event is told as 1, two are told as 2.

The tests are made of the rules themselves, so that no alert can lack one. The numbers of its real description are read
before they are rounded: `increase()` tells of 1.03 or 2.4 where there was 1.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import pytest
from tests.rules.catalogue import ALERTS, NAMES, Rule
from tests.rules.kinds import COUNTER, QUIET, Seed, Values, collector_of, grown, notation, rules_about, seeds
from tests.rules.mutate import ENVIRONMENT
from tests.support.servers import Programs

ROUNDED = 'printf "%.0f"'
SHOWN = 'printf "<%v>"'
EVERY = 3  # steps between two events
LATER = 24  # steps for which a count must stay as it is

NO_EVENTS = {
    "BacklogGrowing": "files that wait, each seen",
    "ChainBroken": "findings of the last verification, a gauge",
    "ChainLinesOutside": "lines ever, the counter as it is",
    "ContainerFailedPersistently": "the limit that was reached",
    "ContainerUnhealthy": "failed checks in a row, by Docker's own count",
    "DvrAuthenticationFailed": "attempts in a row, a gauge",
    "DvrUnreachable": "attempts in a row, a gauge",
    "DvrStreamFrozen": "attempts in a row, a gauge",
    "ExporterLoopStalled": "rounds that failed ever: the counter as it is",
    "FleetConfigRefused": "the version of a configuration",
    "FootageCorrupt": "files that are there, a gauge",
    "FootageUnsigned": "files that wait",
    "HostHighCpu": "processors",
    "HostOverheating": "degrees",
    "InodesLow": "files that still fit",
    "JobRunningTooLong": "runs in progress, a gauge",
    "PipelineStalled": "files that wait",
    "QuarantineGrowing": "files in a folder, each seen",
    "RelayFailing": "alerts that wait, and requests that failed ever: the counter as it is",
    "WebhookFailing": "events that wait, and requests that failed ever: the counter as it is",
}
"""Alerts whose descriptions have whole numbers that are no counts of events, and what they are."""
BY_HAND = {
    "AlertmanagerDown": "meta_test.yml: what it counts is not what makes it fire",
    "StageOverdue": "pipeline_counts_test.yml: it counts runs in progress, and else those that ended",
    "ServerRestarting": "meta_restarts_test.yml: it counts changes of a time",
}
SEEDS = seeds()


def counting(rule: Rule) -> bool:
    return ROUNDED in rule["annotations"]["description"]


def counters(seed: Seed) -> dict[str, Values]:
    """The counters by which the alert fires, those that did not grow left out."""
    return {name: values for name, values in seed.series.items() if COUNTER.search(name) and grown(values)}


def tried() -> list[Seed]:
    """Every alert at every severity that counts events, as its quickest hand-written test makes it fire."""
    names = {rule["alert"] for rule in ALERTS if counting(rule)} - BY_HAND.keys() - NO_EVENTS.keys()
    return [seed for seed in SEEDS.values() if seed.alert in names and counters(seed)]


def counter_of(seed: Seed) -> str:
    """The counter of the events: of those that grow, the one whose growth is what the rule looks for."""
    asked = " ".join(str(rule["expr"]) for rule in rules_about(seed))
    return next(name for name in counters(seed) if chosen(name, asked))


def chosen(name: str, asked: str) -> bool:
    """Whether the matchers that rules have for this metric let this series through."""
    metric, _, labels = name.partition("{")
    own = dict(re.findall(r'(\w+)="([^"]*)"', labels))
    selectors = re.findall(rf"\b{metric}(?:{{([^}}]*)}})?(?![\w{{:])", asked)
    return any(
        all(re.fullmatch(pattern, own.get(label, "")) for label, pattern in re.findall(r'(\w+)=~?"([^"]*)"', matchers))
        for matchers in selectors
    )


def least(seed: Seed) -> int:
    """The smallest count at which it fires: 1, where the rule does not ask for more."""
    asked = [int(number) for number in re.findall(r">= (\d+)", str(rules_about(seed)[-1]["expr"]))]
    known = [values[-1] for name, values in seed.series.items() if name.startswith("vv_threshold_dvr_lost")]
    return int(min(asked or [value for value in known if isinstance(value, float)] or [1]))


def histories(count: int) -> Iterator[tuple[str, list[float | None], int]]:
    """Counters in which `count` events happen: what is special, the values, and the steps until the last event."""
    grows = [float(event) for event in range(1, count + 1) for _ in range(EVERY)]
    last = len(grows) - EVERY
    for special, before in (("long known", [7.0] * QUIET), ("just begun", [7.0] * 2), ("just created", [0.0])):
        base = before[0]
        yield special, [*before, *[base + value for value in grows], *[base + count] * LATER], len(before) + last
    yield "begun anew", [*[7.0] * QUIET, 0.0, *grows, *[float(count)] * LATER], QUIET + 1 + last
    if count == 1:
        yield "never seen before", [*[None] * QUIET, *grows, *[1.0] * LATER], QUIET + last


def cases(seed: Seed) -> Iterator[tuple[str, int, Mapping[str, Values], list[int]]]:
    """Histories of the seed's counter: the name, what is to be told, all series, and at which steps."""
    counter = counter_of(seed)
    for count in (least(seed), least(seed) + 1):
        for special, values, fires in histories(count):
            working = collector_of(counter, seed)
            if special == "never seen before" and not working:
                continue  # such counters exist from the start on
            series: dict[str, Values] = {
                name: [given[-1]] * len(values)
                for name, given in seed.series.items()
                if name.startswith("vv_threshold_")
            }
            series |= {counter: values}
            if working:
                series |= {working: [1.0] * len(values)}
            yield f"{count} {special}", count, series, [fires, fires + 1, fires + EVERY, fires + LATER - 1]


def numbers_told(seed: Seed, programs: Programs, folder: Path) -> dict[str, tuple[int, list[list[float]]]]:
    """By case: what is to be told, and the numbers in the descriptions at each time, as promtool renders them."""
    rules = json.loads(json.dumps(rules_about(seed)))
    for rule in rules:
        if "alert" in rule:
            text = rule["annotations"]["description"].replace(ROUNDED, SHOWN).replace("}}once{{", "}}<1>{{")
            rule["annotations"] = {"description": text}
            rule.pop("for", None)  # what it counts, as soon as there is something
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": seed.domain, "rules": rules}]}))
    found = {name: (count, steps, series) for name, count, series, steps in cases(seed)}
    tests = [
        {
            "name": name,
            "interval": "10s",
            "input_series": [{"series": one, "values": notation(values)} for one, values in series.items()],
            # nothing is expected, so that promtool prints what there is
            "alert_rule_test": [
                {"alertname": seed.alert, "eval_time": f"{10 * step}s", "exp_alerts": []} for step in steps
            ],
        }
        for name, (_, steps, series) in found.items()
    ]
    proof = {"rule_files": ["rules.yml"], "evaluation_interval": "10s", "tests": tests}
    (folder / "proof.yml").write_text(json.dumps(proof))
    command = [programs.promtool.resolve(), "test", "rules", "proof.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=ENVIRONMENT)
    told: dict[str, list[list[float]]] = {name: [] for name in found}
    for failure in re.split(r"^\s*name: ", done.stdout + done.stderr, flags=re.MULTILINE)[1:]:
        numbers = [float(number) for number in re.findall(r"<([\d.e+-]+)>", failure)]
        told[failure.partition(",\n")[0]].append(numbers)
    return {name: (found[name][0], numbers) for name, numbers in told.items()}


@pytest.mark.prometheus
@pytest.mark.parametrize("seed", tried(), ids=lambda seed: f"{seed.alert}-{seed.severity}")
def test_each_event_is_told_as_one(seed: Seed, programs: Programs, tmp_path: Path) -> None:
    told = numbers_told(seed, programs, tmp_path)

    assert len(told) >= 8
    # each number of each description, at each of the four times: some have the count twice, none has another number
    wrong = {name: numbers for name, (count, numbers) in told.items() if len(numbers) < 4 or not all(numbers)}
    wrong |= {name: numbers for name, (count, numbers) in told.items() if set(chain(*numbers)) != {float(count)}}
    assert wrong == {}


def test_every_alert_that_tells_a_count_is_tried() -> None:
    named = {rule["alert"] for rule in ALERTS if counting(rule)}
    with_counters = {seed.alert for seed in tried()}

    assert named - with_counters == NO_EVENTS.keys() | BY_HAND.keys()
    assert NO_EVENTS.keys() | BY_HAND.keys() <= NAMES


def test_no_count_that_people_read_is_extrapolated() -> None:
    """`increase`, `rate` and `delta` are for what is shown as a share of time, never as a number of events."""
    quoted = re.compile(r"\b(?:increase|rate|irate|delta)\(")

    assert [rule["alert"] for rule in ALERTS if quoted.search(rule["annotations"]["description"])] == []
    for rule in ALERTS:
        if counting(rule):
            used = rules_about_text(rule)
            assert not re.search(r"\bincrease\(", used), rule["alert"]


def rules_about_text(rule: Rule) -> str:
    seed = SEEDS[rule["alert"], rule["labels"]["severity"]]
    return " ".join(str(one["expr"]) for one in rules_about(seed))
