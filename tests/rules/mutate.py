"""Whether the unit tests of the rules notice a change of the rules: each mutant is one small change, and must fail one.

    python -m tests.rules.mutate PROMTOOL [RULES.yml …]     prints the mutants that no test noticed

Changed are comparisons, numbers, durations, label matchers, set operators, the labels of `by` and `on`, `for`,
`keep_firing_for`, labels and annotations; and whole rules are left out.
"""

import copy
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "prometheus" / "rules"
FLEET = HERE.parent / "fleet"
"""Where the unit tests of fleet/rules are."""
WORKERS = 2
ENVIRONMENT = os.environ | {"GOGC": "400"}  # promtool is short-lived: it need not tidy up so often

Rule = dict[str, Any]

COMPARISONS = {"<": ("<=", ">"), ">": (">=", "<"), ">=": (">", "<"), "<=": ("<", ">"), "==": ("!=",), "!=": ("==",)}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
OPERATORS = {"and": ("unless",), "unless": ("and",), "or": ("and",)}

# The newest value within the window (lines 3 and 8 of these rules): one that is older than the window is the older
# value as well, so that a longer window finds no difference, and nothing new.
EQUIVALENT = re.compile(r":new(15m: line [38] .* 15m → 1800s|1h: line [38] .* 1h → 7200s)$")


@dataclass(frozen=True)
class Mutant:
    """A rules file with one change, in which rule, and what was changed."""

    rule: str
    change: str
    document: str


def mutants(file: Path) -> Iterator[Mutant]:
    """All mutants of a rules file."""
    document = yaml.safe_load(file.read_text())
    for group_index, group in enumerate(document["groups"]):
        for rule_index, rule in enumerate(group["rules"]):
            rule_name = rule.get("alert") or rule["record"]
            name = f"{file.stem} #{rule_index} {rule_name}"
            for change, replacement in chain([("left out", None)], changes(rule)):
                mutated = copy.deepcopy(document)
                rules = mutated["groups"][group_index]["rules"]
                rules[rule_index : rule_index + 1] = [] if replacement is None else [replacement]
                if not EQUIVALENT.search(f"{name}: {change}"):
                    yield Mutant(rule_name, f"{name}: {change}", json.dumps(mutated))


def changes(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Each change of one rule, with what was changed."""
    for change, expression in expressions(rule["expr"]):
        yield change, {**rule, "expr": expression}
    for key in ("for", "keep_firing_for"):
        if key in rule:
            yield f"no {key}", {other: value for other, value in rule.items() if other != key}
            yield f"{key} 10 s longer", {**rule, key: f"{seconds(rule[key]) + 10}s"}
            yield f"{key} 10 s shorter", {**rule, key: f"{seconds(rule[key]) - 10}s"}
    for part in ("labels", "annotations"):
        for key in rule.get(part, {}):
            yield f"{part} {key}", {**rule, part: {**rule[part], key: "mutant"}}


def expressions(expr: str) -> Iterator[tuple[str, str]]:
    """Each change of an expression."""
    outside = re.sub(r"\{[^}]*\}", lambda match: "_" * len(match[0]), expr)  # positions stay as they are
    yield from _replaced(expr, outside, r"(?<![=!<>])(?:[<>]=?|[=!]=)", COMPARISONS.__getitem__)
    yield from _replaced(expr, outside, r"\b(?:and|or|unless)\b", OPERATORS.__getitem__)
    yield from _replaced(expr, outside, r"(?<![\w.:\[])\d+(?:\.\d+)?(?![\w.:])", _other_numbers)
    yield from _replaced(expr, outside, r"(?<=\[)\d+[smhd](?=\])|(?<=offset )\d+[smhd]", _other_durations)
    yield from _replaced(expr, expr, r'(?<=[=~]")[^"]+(?=")', lambda _: ("mutant",))
    yield from _replaced(expr, outside, r"(?<=by \()[\w, ]+(?=\))|(?<=on \()[\w, ]+(?=\))", _fewer_labels)


def _replaced(
    expr: str, searched: str, pattern: str, others: Callable[[str], tuple[str, ...]]
) -> Iterator[tuple[str, str]]:
    for match in re.finditer(pattern, searched):
        for other in others(match[0]):
            line = expr.count("\n", 0, match.start()) + 1
            yield (
                f"line {line} of its expression, {match[0]} → {other or 'nothing'}",
                expr[: match.start()] + other + expr[match.end() :],
            )


def _other_numbers(number: str) -> tuple[str, ...]:
    if "." in number:
        return (str(float(number) / 2), str(float(number) * 1.5))
    return (str(int(number) + 1), str(int(number) - 1))


def _other_durations(duration: str) -> tuple[str, ...]:
    return (f"{seconds(duration) // 2}s", f"{seconds(duration) * 2}s")


def _fewer_labels(labels: str) -> tuple[str, ...]:
    names = labels.split(", ")
    return tuple(", ".join(names[:index] + names[index + 1 :]) for index in range(len(names)))


def seconds(duration: str) -> int:
    """A duration such as 90s or 1h30m in seconds."""
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))


@dataclass(frozen=True)
class Proof:
    """A unit test by itself: the text of its cases, and how many evaluations it takes."""

    document: str
    text: str
    evaluations: int


@cache
def proofs(file: Path) -> list[Proof]:
    """The unit tests of a rules file, the quick ones first."""
    found = []
    for path in sorted((HERE if file.parent.resolve() == RULES else FLEET).glob(f"{file.stem}_*test.yml")):
        whole = yaml.safe_load(path.read_text()) | {"rule_files": [file.name]}
        found += [_proof(whole | {"tests": [test]}) for test in whole["tests"]]
    return sorted(found, key=lambda proof: proof.evaluations)


def _proof(whole: dict[str, Any]) -> Proof:
    """A file of unit tests with a single one."""
    (test,) = whole["tests"]
    cases = [*test.get("alert_rule_test", []), *test.get("promql_expr_test", [])]
    last = max(seconds(case["eval_time"]) for case in cases)
    document = json.dumps(whole)  # JSON is YAML, and much faster
    return Proof(document, str(cases), last // seconds(whole.get("evaluation_interval", "1m")))


def related(rules: list[Rule], name: str) -> set[str]:
    """The names of the rules that a rule depends on, of those that depend on it, and of what these depend on.

    All others have no part in what it does: left out, they cost no time.
    """
    texts = {_name(rule): "" for rule in rules}
    for rule in rules:
        texts[_name(rule)] += str(rule)
    uses = {user: {used for used in texts if used != user and used in text} for user, text in texts.items()}
    found = {name} | _reached({user: {used for used in texts if user in uses[used]} for user in texts}, name)
    return found.union(*(_reached(uses, one) for one in found))


def _reached(edges: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        fresh = edges.get(waiting.pop(), set()) - found
        found |= fresh
        waiting += fresh
    return found


def _name(rule: Rule) -> str:
    return str(rule.get("alert") or rule["record"])


def pruned(document: str, names: set[str]) -> str:
    """The rules file with the rules of these names only."""
    parsed = yaml.safe_load(document)
    groups = [
        group | {"rules": [rule for rule in group["rules"] if _name(rule) in names]} for group in parsed["groups"]
    ]
    return json.dumps({"groups": groups})


def noticed(documents: Sequence[str], proofs_: Sequence[Proof], file: Path, promtool: Path) -> list[bool]:
    """Whether each proof fails with its document in the place of the rules file: one run of promtool for all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (document, proof) in enumerate(zip(documents, proofs_, strict=True)):
            (folder / str(number)).mkdir()
            (folder / str(number) / file.name).write_text(document)
            (folder / str(number) / "proof.yml").write_text(proof.document)
        paths = [f"{number}/proof.yml" for number in range(len(documents))]
        command = [promtool.resolve(), "test", "rules", "--junit=result.xml", *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=ENVIRONMENT)
        if "parse error" in done.stdout + done.stderr:
            raise ValueError(f"a mutant is no valid rule and proves nothing: {done.stdout}{done.stderr}")
        suites = list(ElementTree.parse(folder / "result.xml").getroot().iter("testsuite"))
    if [suite.get("name") for suite in suites] != paths:
        raise ValueError(f"promtool did not test everything: {done.stdout}{done.stderr}")
    return [suite.get("failures") != "0" or suite.get("errors") != "0" for suite in suites]


def rule_survivors(file: Path, name: str, tried: list[Mutant], promtool: Path) -> list[Mutant]:
    """The mutants of one rule that no unit test notices.

    First the cases of each test that are about the rules which are related to this one, with these rules and those that
    the cases name, what costs little first; the few mutants that are left, with whole tests and the whole file.
    """
    rules = [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    names = related(rules, name)
    kept = {
        proof: names.union(*(related(rules, one) for one in map(_name, rules) if one in proof.text))
        for proof in _about(file, names)
    }
    left = tried
    for proof in sorted(kept, key=lambda proof: proof.evaluations * len(kept[proof])):
        left = _unnoticed(left, kept[proof], proof, file, promtool)
    for proof in sorted(proofs(file), key=lambda proof: name not in proof.text):
        left = _unnoticed(left, set(map(_name, rules)), proof, file, promtool)
    return left


def _about(file: Path, names: set[str]) -> list[Proof]:
    """The unit tests with those of their cases that name these rules, or any alert."""
    found = []
    for proof in proofs(file):
        whole = json.loads(proof.document)
        (test,) = whole["tests"]
        for kind, key in (("alert_rule_test", "alertname"), ("promql_expr_test", "expr")):
            test[kind] = [case for case in test.get(kind, []) if any(one in case[key] for one in (*names, "ALERTS"))]
        if test["alert_rule_test"] or test["promql_expr_test"]:
            found.append(_proof(whole))
    return found


def _unnoticed(mutants_: list[Mutant], names: set[str], proof: Proof, file: Path, promtool: Path) -> list[Mutant]:
    """Those that a proof passes, with the rules of these names alone; all, if it does not pass the unchanged rules."""
    if not mutants_:
        return []
    if noticed([pruned(file.read_text(), names)], [proof], file, promtool) == [True]:
        return mutants_
    documents = [pruned(mutant.document, names) for mutant in mutants_]
    seen = noticed(documents, [proof] * len(mutants_), file, promtool)
    return [mutant for mutant, is_seen in zip(mutants_, seen, strict=True) if not is_seen]


def survivors(file: Path, promtool: Path, part: int = 0, parts: int = 1) -> tuple[list[str], int]:
    """What was changed without any test noticing, and how many changes were tried: all, or one part of them."""
    tried: dict[str, list[Mutant]] = {}
    for mutant in islice(mutants(file), part, None, parts):
        tried.setdefault(mutant.rule, []).append(mutant)
    with ThreadPoolExecutor(WORKERS) as pool:
        left = pool.map(lambda item: rule_survivors(file, *item, promtool), tried.items())
        return [mutant.change for some in left for mutant in some], sum(map(len, tried.values()))


def main(promtool: str, *files: str) -> int:
    """Print the survivors; 1 when there are some."""
    found = 0
    for file in [Path(name) for name in files] or sorted(RULES.glob("*.yml")):
        left, tried = survivors(file, Path(promtool))
        found += len(left)
        print("\n".join([f"{file.name}: {tried} mutants, {len(left)} not noticed", *left]), flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
