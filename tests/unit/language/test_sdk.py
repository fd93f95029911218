"""What the SDK says of failures is understood, and told in the reader's language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import vv_core
from vv_exporter.footage import corrupt
from vv_exporter.journal.folds.supervisor import FAILURE
from vv_exporter.language import ENGLISH, languages, sdk, speaking
from vv_exporter.language.sentences import Sentence
from vv_exporter.status.failures import KINDS, spoken_kind

CORE = Path(vv_core.__file__).parent
EXPORTER = Path(corrupt.__file__).parents[1]
FAILURES = {"SigningError", "SignatureError", "kind"}  # `kind` stands for either


def texts_of(node: ast.expr, known: dict[str, ast.expr]) -> str:
    """A text, with `X` for what is put into it."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(texts_of(part, known) for part in node.values)
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name) and node.value.id in known:
        return texts_of(known[node.value.id], known)
    return "X"


def said_of_signatures() -> Iterator[str]:
    """The second argument of each failure in `vv_core.signing`."""
    tree = ast.parse((CORE / "signing.py").read_text())
    known = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.JoinedStr)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in ("allowed", "problem")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FAILURES:
            said = [argument for argument in node.args if isinstance(argument, ast.Constant | ast.JoinedStr)]
            if said:
                yield texts_of(said[-1], known)


def test_all_that_is_said_of_signatures_is_understood() -> None:
    said = set(said_of_signatures())

    assert len(said) >= len(sdk.OF_SIGNATURES) - 1
    unknown = [text for text in said if not isinstance(sdk.understood(text, sdk.OF_SIGNATURES), Sentence)]
    assert unknown == []


@pytest.mark.parametrize("message", [*sdk.OF_ENDS, *sdk.OF_SIGNATURES])
def test_english_is_as_it_was_written(message: str) -> None:
    text = message.replace("{code}", "-3").replace("{", "a ").replace("}", "\n🎥 {0}")
    found = sdk.understood(text, (message,))

    assert isinstance(found, Sentence)
    assert str(found) == text


@pytest.mark.parametrize("text", ["", "exit code", "exit code 3 of ffmpeg", "an exit code 3", "saída com código 3"])
def test_what_a_script_says_is_left_as_it_is(text: str) -> None:
    assert sdk.understood(text, sdk.OF_ENDS) is text


@pytest.mark.parametrize("said", [sdk.OF_ENDS, sdk.OF_SIGNATURES])
def test_whatever_is_written_is_judged_in_one_pass(said: sdk.Said) -> None:
    """Each beginning of a message, each end, and what could be taken for its middle, again and again."""
    for message in said:
        pieces = [piece for piece in re.split(r"\{\w+\}", message) if piece]
        for many in ("a".join(pieces) * 50, "a".join(piece * 400 for piece in pieces), message * 30, pieces[0] * 10**6):
            for text in (many, f"a{many}", f"{many}a", many[: sdk.LONGEST]):
                found = sdk.understood(text, said)
                assert str(found) == text


def kinds() -> set[str]:
    """What stands before the colon of each kind of failure, and those that have none, from the code."""
    own = {path: path.read_text() for path in EXPORTER.rglob("*.py") if "status" not in path.parts}
    found = {FAILURE}
    for text in own.values():
        if "state.failures import" in text:
            found |= set(re.findall(r'(?:f"(?=[a-z_]+:\{\w+(?:\.\w+)?\}")|kind="(?=[a-z_]+",))([a-z_]+)', text))
    return found


def test_every_kind_of_failure_has_words() -> None:
    said = {kind.partition(":")[0] for kind in KINDS}

    assert kinds() == said
    for kind in sorted(said):
        in_each = set()
        for name in languages():
            with speaking(name):
                in_each.add(spoken_kind(f"{kind}:verify"))
        assert len(in_each) == len(languages())
        assert f"{kind}:verify" not in in_each


def test_a_kind_of_a_later_version_is_shown_as_it_is() -> None:
    with speaking(ENGLISH):
        assert spoken_kind("of_tomorrow:{x}") == "of_tomorrow:{x}"
