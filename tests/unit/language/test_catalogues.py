"""The catalogues: all that people read is in them, and a translation keeps what is no word."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest

from tools.messages import targets
from vv_exporter import language
from vv_exporter.render.annotations import ACTION

ROOT = Path(__file__).parents[3]
COMPLETE = ("pt-BR",)
"""Languages that lack nothing."""
GATHERED = targets(ROOT)
FILES = [path for name in language.languages() for path in language.files(name)]


def entries(path: Path) -> Iterator[polib.POEntry]:
    yield from (entry for entry in polib.pofile(str(path)) if entry.translated())


def forms(entry: polib.POEntry) -> Iterator[tuple[str, str]]:
    """Each translation beside what it translates."""
    if entry.msgid_plural:
        yield from ((entry.msgid_plural, text) for text in entry.msgstr_plural.values())
    else:
        yield entry.msgid, entry.msgstr


def named(path: Path) -> str:
    return f"{path.parts[-3]}-{path.stem}"


def places(text: str) -> Counter[str]:
    """The places of `str.format`, and of templates. A form for one may do without its number."""
    return Counter(re.findall(r"(?<!\{)\{\w+\}(?!\})|%\(\w+\)s", text))


@pytest.mark.parametrize("path", [pytest.param(path, id=f"{path.parts[-3]}-{path.name}") for path in GATHERED])
def test_every_message_is_gathered(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == GATHERED[path], "run make messages"


def test_no_message_stands_inside_an_f_string() -> None:
    """There `make messages` finds some under one Python, and none under another."""
    marks = {"_", "translatable", "sentence", "nsentence", "ngettext"}
    inside = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for folder in ("exporter", "examples")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for formatted in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(formatted, ast.JoinedStr)
        for call in ast.walk(formatted)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in marks
        if any(isinstance(argument, ast.Constant) for argument in call.args)
    ]

    assert inside == []


@pytest.mark.parametrize("name", COMPLETE)
def test_nothing_is_lacking(name: str) -> None:
    lacking = [entry.msgid for path in language.files(name) for entry in polib.pofile(str(path)).untranslated_entries()]

    assert lacking == []
    assert language.untranslated(name) == 0


@pytest.mark.parametrize("path", FILES, ids=named)
def test_calls_commands_and_ends_of_a_message_are_kept(path: Path) -> None:
    changed = [
        (source, text)
        for entry in entries(path)
        for source, text in forms(entry)
        if Counter(ACTION.findall(source)) != Counter(ACTION.findall(text))
        or Counter(re.findall(r"`[^`]*`", source)) != Counter(re.findall(r"`[^`]*`", text))
        or (source[:1].isspace(), source[-1:].isspace()) != (text[:1].isspace(), text[-1:].isspace())
        or source.count("\n") != text.count("\n")
    ]

    assert changed == []


@pytest.mark.parametrize("path", FILES, ids=named)
def test_places_are_kept(path: Path) -> None:
    changed = [
        (source, text)
        for entry in entries(path)
        for source, text in forms(entry)
        if places(source) != places(text)
        and not (entry.msgid_plural and any(places(text) <= places(form) for form in (source, entry.msgid)))
    ]

    assert changed == []


@pytest.mark.parametrize("path", [path for path in FILES if path.stem == "alerts"], ids=named)
def test_what_channels_take_as_html_has_no_signs_of_it(path: Path) -> None:
    of_channels = [entry for entry in entries(path) if any("words.tmpl" in file for file, _ in entry.occurrences)]

    assert of_channels != []
    assert [entry.msgstr for entry in of_channels if re.search("[<>&]", ACTION.sub("", entry.msgstr))] == []
