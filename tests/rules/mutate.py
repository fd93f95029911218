"""Whether the unit tests of the rules notice a change of the rules: each mutant is one small change, and must fail one.

    python -m tests.rules.mutate PROMTOOL [RULES.yml …]     prints the mutants that no test noticed

Changed are comparisons, numbers, durations, label matchers, set operators, the labels of `by` and `on`, `for`,
`keep_firing_for`, labels and annotations; and whole rules are left out.
"""

import copy
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "prometheus" / "rules"
WORKERS = 2

Rule = dict[str, Any]

COMPARISONS = {"<": ("<=", ">"), ">": (">=", "<"), ">=": (">", "<"), "<=": ("<", ">"), "==": ("!=",), "!=": ("==",)}
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
    """A duration of one unit in seconds."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[duration[-1]]


@cache
def proofs(file: Path) -> list[dict[str, Any]]:
    """The unit tests of a rules file, those of long times last."""
    paths = sorted(HERE.glob(f"{file.stem}*_test.yml"), key=lambda path: ("_long_" in path.name, path.name))
    return [{**yaml.safe_load(path.read_text()), "rule_files": [file.name]} for path in paths]


def about(proof: dict[str, Any], rule: str) -> dict[str, Any]:
    """Only those tests that name the rule."""
    return {**proof, "tests": [test for test in proof["tests"] if rule in str(test)]}


def is_noticed(mutant: Mutant, file: Path, promtool: Path) -> bool:
    """Whether some unit test of the rules file fails with the mutant in its place: first those about the rule."""
    everything = proofs(file)
    likely = [proof for proof in (about(proof, mutant.rule) for proof in everything) if proof["tests"]]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / file.name).write_text(mutant.document)
        return any(_fails(proof, Path(folder), promtool) for proof in [*likely, *everything])


def _fails(proof: dict[str, Any], folder: Path, promtool: Path) -> bool:
    copied = folder / "proof.yml"
    copied.write_text(json.dumps(proof))  # JSON is YAML, and much faster
    done = subprocess.run([promtool, "test", "rules", copied], capture_output=True, text=True, check=False)
    if "parse error" in done.stdout + done.stderr:
        raise ValueError(f"the mutant is no valid rule and proves nothing: {done.stdout}{done.stderr}")
    return done.returncode != 0


def survivors(file: Path, promtool: Path) -> tuple[list[str], int]:
    """What was changed without any test noticing, and how many changes were tried."""
    tried = list(mutants(file))
    with ThreadPoolExecutor(WORKERS) as pool:
        noticed = pool.map(lambda mutant: is_noticed(mutant, file, promtool), tried)
        return [mutant.change for mutant, seen in zip(tried, noticed, strict=True) if not seen], len(tried)


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
