"""What is told of one thing is told in the singular: in every text of the code, and in every rule."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import polib
import pytest
import yaml

from vv_core.common.texts import many
from vv_exporter.language import FOLDER

ROOT = Path(__file__).parents[2]
PLURAL = r"(?:of its |more |other |such |failed )?([a-z]{3,}(?<!s)s)\b"
"""What looks like one; those that are none follow."""
NO_PLURALS = frozenset(
    [
        "accepts",
        "allows",
        "answers",
        "asks",
        "becomes",
        "begins",
        "belongs",
        "breaks",
        "carries",
        "closes",
        "comes",
        "contains",
        "counts",
        "crashes",
        "does",
        "ends",
        "exists",
        "exits",
        "expects",
        "fails",
        "finds",
        "fires",
        "fits",
        "follows",
        "gets",
        "gives",
        "goes",
        "grows",
        "hangs",
        "happens",
        "has",
        "hears",
        "hides",
        "his",
        "holds",
        "keeps",
        "kills",
        "knows",
        "lacks",
        "lasts",
        "leads",
        "leaves",
        "lets",
        "lies",
        "lives",
        "looks",
        "looses",
        "makes",
        "matches",
        "means",
        "moves",
        "names",
        "needs",
        "opens",
        "owns",
        "pays",
        "plays",
        "points",
        "puts",
        "raises",
        "reads",
        "refuses",
        "rejects",
        "remains",
        "repeats",
        "reports",
        "requires",
        "resolves",
        "responds",
        "returns",
        "rises",
        "runs",
        "says",
        "seems",
        "sees",
        "sends",
        "series",
        "serves",
        "sets",
        "shows",
        "speaks",
        "stands",
        "stays",
        "stops",
        "supports",
        "takes",
        "tells",
        "this",
        "thus",
        "tries",
        "turns",
        "uses",
        "waits",
        "wants",
        "warns",
        "was",
        "watches",
        "works",
        "writes",
    ]
)
NEVER_ONE = {
    "end.lately": "AGAIN_AND_AGAIN or more",
    "len(content)": "what is written as a probe",
    "len(line)": "more than a line may have",
    "len(signed)": "more than devices take",
    "announced": "of a release",
    "limit": "a constant of the caller; processors are counted in parts",
}
"""What stands before it in the code, and why it is more than one."""

MESSAGES_OF_MANY = {
    "{count} alerts, the first: {title}": "more than MANY go as one",
    "{used} of {limit} cores": "counted in parts",
    "{used} cores": "counted in parts",
    "the filter is longer than {count} characters": "a constant",
    "the object has more than {limit} values": "a constant",
    "more than {count} matchers, or one longer than {length} characters": "constants",
}


class Place(NamedTuple):
    """A value in a text, and what is counted."""

    file: str
    line: int
    value: str
    noun: str


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted((ROOT / "exporter").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            yield path.name, node


def places() -> Iterator[Place]:
    for file, node in nodes():
        for value, text in pairwise(node.values) if isinstance(node, ast.JoinedStr) else ():
            found = re.match(f" {PLURAL}", str(text.value)) if isinstance(text, ast.Constant) else None
            if isinstance(value, ast.FormattedValue) and found and found[1] not in NO_PLURALS:
                yield Place(file, value.lineno, ast.unparse(value.value), found[1])


def test_every_count_in_a_text_of_the_code_may_be_one() -> None:
    """By `many`, unless it is a constant, or never one."""
    found = list(places())
    wrong = [one for one in found if one.value not in NEVER_ONE and not re.fullmatch(r"_?[A-Z_]+", one.value)]

    assert wrong == []
    assert {one.value for one in found} >= NEVER_ONE.keys()


def test_every_count_of_a_message_may_be_one() -> None:
    """By its plural forms."""
    found = {
        entry.msgid
        for file in sorted(FOLDER.glob("*.pot"))
        for entry in polib.pofile(str(file))
        if not entry.msgid_plural and {*re.findall(rf"(?:\{{\w+\}}|%\(\w+\)s) {PLURAL}", entry.msgid)} - {*NO_PLURALS}
    }

    assert found == MESSAGES_OF_MANY.keys()


def test_every_count_of_a_log_line_may_be_one() -> None:
    texts = [(file, node.value) for file, node in nodes() if isinstance(node, ast.Constant)]
    found = [
        (file, text)
        for file, text in texts
        if isinstance(text, str) and set(re.findall(f"%d {PLURAL}", text)) - {*NO_PLURALS}
    ]

    assert found == []


@pytest.mark.parametrize("path", sorted((ROOT / "prometheus" / "rules").glob("*.yml")), ids=lambda path: path.stem)
def test_every_count_of_a_rule_may_be_one(path: Path) -> None:
    """Said in other words, unless the rule wants more than one."""
    for group in yaml.safe_load(path.read_text())["groups"]:
        for rule in group["rules"]:
            told = " ".join(rule.get("annotations", {}).values())
            one_said_apart = re.sub(r"\{\{ if eq \S+ 1\.0 \}\}.*?\{\{ end \}\}", "", told)
            nouns = set(re.findall(rf'printf "%\.0f" \}}\}}\)? {PLURAL}', one_said_apart)) - {*NO_PLURALS}
            assert not nouns or re.search(r">=? ?[2-9]", rule["expr"]), (rule["alert"], nouns)


@pytest.mark.parametrize(("count", "told"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (11, "11 files")])
def test_one_is_told_in_the_singular(count: int, told: str) -> None:
    assert many(count, "file") == told
