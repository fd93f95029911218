"""Unit tests of alerts that follow from one in which they fire: the same with a gap, on two devices, after a reset.

Every alert has a test, written by hand, in which it fires. What must hold for each alert whatever it is about is made
from that one, so that no alert can lack it: `gap`, `two_devices`, and of alerts on counters `reset` and `first`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml
from tests.rules.catalogue import PROOFS, Rule, rules_of
from tests.rules.mutate import RULES, related, seconds

STEP = 10  # seconds between scrapes, and between evaluations; six times as much where it takes hours
HOURS = 3600 * 2
QUIET = 120  # steps before something happens
OFF = 2 * 1440  # steps of a minute: longer than any rule looks back
Values = Sequence[float | str | None]
Test = dict[str, Any]

COUNTER = re.compile(r"_(total|count|sum|bucket)\{")
TOKEN = re.compile(r"(?P<first>-?[0-9.e]+|_|stale)(?P<each>[+-][0-9.e]+)?(?:x(?P<times>\d+))?$")


@dataclass(frozen=True)
class Seed:
    """An alert at one severity, and what makes it fire: series by their selectors, a value each `STEP`, up to then."""

    alert: str
    severity: str
    domain: str
    count: int
    step: int
    series: Mapping[str, Values]

    @property
    def steps(self) -> int:
        """How many steps it takes until it fires."""
        return max(len(values) for values in self.series.values())


def seeds() -> dict[tuple[str, str], Seed]:
    """The quickest hand-written test of each alert and severity."""
    found: dict[tuple[str, str], Seed] = {}
    for file in PROOFS:
        document = yaml.safe_load(file.read_text())
        for test in document["tests"]:
            for case in test.get("alert_rule_test", []):
                if not all("device" in alert["exp_labels"] for alert in case["exp_alerts"]):
                    continue  # what an absent series brings has no device yet
                for severity in {alert["exp_labels"]["severity"] for alert in case["exp_alerts"]}:
                    seed = _seed(document, test, case, severity)
                    known = found.get((seed.alert, severity))
                    if known is None or seed.steps < known.steps:
                        found[seed.alert, severity] = seed
    return found


def _seed(document: Test, test: Test, case: Test, severity: str) -> Seed:
    interval = seconds(test["interval"])
    step = 6 * STEP if seconds(case["eval_time"]) >= HOURS and interval >= 6 * STEP else STEP
    until = seconds(case["eval_time"]) // step
    every = interval // step
    return Seed(
        case["alertname"],
        severity,
        document["rule_files"][0].rpartition("/")[2].removesuffix(".yml"),
        sum(alert["exp_labels"]["severity"] == severity for alert in case["exp_alerts"]),
        step,
        {one["series"]: _spread(expand(str(one["values"])), every, until + 1) for one in test["input_series"]},
    )


def expand(notation: str) -> list[float | str | None]:
    """The values of a series in promtool's notation; None where there is none."""
    found: list[float | str | None] = []
    for match in (TOKEN.match(token) for token in notation.split()):
        assert match, notation
        first, each, times = match["first"], float(match["each"] or 0), int(match["times"] or 0)
        if first == "_":
            found += [None] * max(times, 1)
        elif first == "stale":
            found += ["stale"] * (times + 1)
        else:
            found += [float(first) + each * number for number in range(times + 1)]
    return found


def _spread(values: Values, every: int, length: int) -> Values:
    """The values with as many steps between them."""
    spread: list[float | str | None] = []
    for value in values:
        spread += [value, *([None] * (every - 1))]
    return spread[:length] + [None] * (length - len(spread))


def notation(values: Values) -> str:
    """Promtool's notation of values."""
    return " ".join("_" if value is None else str(value) for value in values)


def _last(values: Values) -> float | None:
    """What a series still has at its end."""
    present = [value for value in values if value is not None]
    return present[-1] if present and isinstance(present[-1], float) else None


def gap(seed: Seed) -> Test:
    """The exporter is restarted while the alert fires: two scrapes have nothing. Nobody is told of an end."""
    series = {
        name: [*values, *([_last(values)] * 2 if name.startswith("up{") else ["stale", None]), *[_last(values)] * 6]
        for name, values in seed.series.items()
    }
    return _test(seed, "gap", series, {seed.steps - 1 + later: seed.count for later in (0, 1, 2, 3, 6)})


def two_devices(seed: Seed) -> Test:
    """The same on another device: its own alert, and no other on either."""
    twice = dict(seed.series) | {
        re.sub(r'device="([^"]*)"', r'device="\1-too"', name): values for name, values in seed.series.items()
    }
    return _test(seed, "two devices", twice, {seed.steps - 1: 2 * seed.count})


def grown(values: Values) -> float:
    """How much a counter grew."""
    numbers = [value for value in values if isinstance(value, float)]
    return numbers[-1] - numbers[0] if isinstance(values[0], float) else (numbers or [0.0])[-1]


def reset(seed: Seed) -> Test:
    """A counter that begins anew is nothing; what it counts then is told."""
    return _test(
        seed,
        "reset",
        _phases(seed, lambda growth: [*[growth + 7.0] * QUIET, *[0.0] * QUIET, *[growth] * 2]),
        {QUIET: 0, QUIET + 30: 0, 2 * QUIET - 1: 0, 2 * QUIET + 1: seed.count},
    )


def first(seed: Seed) -> Test:
    """The first of a series that was never there before, which nobody has seen at 0."""
    return _test(
        seed,
        "first",
        _phases(seed, lambda growth: [*[None] * QUIET, *[growth] * 2]),
        {QUIET - 1: 0, QUIET + 1: seed.count},
    )


def pause(seed: Seed) -> Test:
    """Two days off, then what was counted before the first scrape: the exporter holds it back for two of them."""
    return _after_two_days(seed, "pause", lambda growth: [7.0] * 30, lambda growth: [7.0, 7.0, *[7.0 + growth] * 2])


def pause_of_a_new_series(seed: Seed) -> Test:
    """The same for a series that was never there: it is held at 0."""
    return _after_two_days(
        seed, "new after a pause", lambda growth: [None] * 30, lambda growth: [0.0, 0.0, growth, growth]
    )


def pause_without_news(seed: Seed) -> Test:
    """A counter that comes back after two days as it was is nothing."""
    return _after_two_days(seed, "nothing in a pause", lambda growth: [7.0] * 30, lambda growth: [7.0] * 4, told=False)


def _after_two_days(
    seed: Seed, kind: str, before: Callable[[float], Values], after: Callable[[float], Values], *, told: bool = True
) -> Test:
    seed = replace(seed, step=60)
    off: Values = [None] * OFF
    series = _phases(seed, lambda growth: [*before(growth), *off, *after(growth)])
    working: Values = [*[1.0] * 30, *off, *[1.0] * 4]
    series |= {name: working for name in series if name.startswith("vv_collector_success")}
    back = 30 + OFF
    return _test(seed, kind, series, {29: 0, back: 0, back + 1: 0, back + 3: seed.count if told else 0})


def _phases(seed: Seed, of_counter: Callable[[float], Values]) -> dict[str, Values]:
    """Counters as `of_counter` makes them of their growth; collectors work all the time; other series are left out."""
    counters = {
        name: of_counter(grown(values))
        for name, values in seed.series.items()
        if COUNTER.search(name) and grown(values)
    }
    length = max(map(len, counters.values()))
    working = {name: [1.0] * length for name in map(collector_of, counters, [seed] * len(counters)) if name}
    return counters | working


def rules_about(seed: Seed) -> list[Rule]:
    """The rules that have a part in the alert."""
    rules = rules_of(RULES / f"{seed.domain}.yml")
    names = related(rules, seed.alert)
    return [rule for rule in rules if (rule.get("alert") or rule["record"]) in names]


def collector_of(name: str, seed: Seed) -> str:
    """The series of the collector that brings a counter, as the rules know it; empty where they know none."""
    found = re.search(r'collector="\w+"', "".join(str(rule["expr"]) for rule in rules_about(seed)))
    target = re.findall(r'\b(?:device|instance|job)="[^"]*"', name)
    return f"vv_collector_success{{{','.join([*target, found[0]])}}}" if found else ""


def on_counters(seed: Seed) -> bool:
    """Whether the alert fires by counters alone, of the exporter's own."""
    own = [rule for rule in rules_about(seed) if rule.get("alert") == seed.alert]
    return all(":new" in rule["expr"] for rule in own) and any(
        COUNTER.search(name) and grown(values) for name, values in seed.series.items()
    )


def _test(seed: Seed, kind: str, series: Mapping[str, Values], counts: Mapping[int, int]) -> Test:
    """How many alerts fire after so many steps."""
    expression = f'count(ALERTS{{alertname="{seed.alert}",severity="{seed.severity}",alertstate="firing"}})'
    if kind == "gap":  # others may come to fire with time
        expression = f"clamp_max({expression}, {seed.count})"
    return {
        "name": f"{kind} of {seed.alert} ({seed.severity})",
        "interval": f"{seed.step}s",
        "input_series": [{"series": name, "values": notation(values)} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": f"{step * seed.step}s",
                "exp_samples": [{"labels": "{}", "value": count}] if count else [],
            }
            for step, count in counts.items()
        ],
    }
