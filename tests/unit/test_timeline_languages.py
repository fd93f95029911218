"""What the timeline keeps is read in the reader's language, whoever wrote it down and in whichever."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support.clock import Clock
from tests.support.pseudo import forgotten, speaking_pseudo
from vv_exporter.language import current, speaking, speaking_everywhere
from vv_exporter.language.sentences import Sentence, nsentence, sentence
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import (
    BURST,
    HISTORY,
    MAX_DETAILS,
    MAX_TITLE,
    Entry,
    Filter,
    Moment,
    add_to_timeline,
    read,
)

SOURCES = Path(__file__).parents[2] / "exporter" / "vv_exporter"
SILENCED = "{reason}\nBy {author}, until {end}. Silence {id}"
HOSTILE = ("{stage}", "{0.__class__}", "{", "}}", "%(stage)s", "<b>&", "‮abc", "Stage {stage} crashed", "v1.5", "")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.db", Clock())
    yield store
    store.close()


def happened(store: Store, title: Sentence | str, details: Sentence | str = "") -> None:
    with store.transaction() as tx:
        add_to_timeline(tx, tx.now, Entry("kind", title, component="c", details=details))


def last(store: Store, language: str) -> Moment:
    with speaking(language):
        return read(store, Filter()).moments[0]


def titles(store: Store, language: str) -> list[str]:
    with speaking(language):
        return [moment.title for moment in read(store, Filter()).moments]


def test_one_entry_is_read_in_each_language(store: Store) -> None:
    with speaking_everywhere("pt-BR"):  # the device's: what is kept does not depend on it
        happened(store, sentence("Stage {stage} failed after {seconds} s", stage="scan", seconds=2.54))

    assert titles(store, "en") == ["Stage scan failed after 2.5 s"]
    assert titles(store, "pt-BR") == ["A etapa scan falhou após 2,5 s"]


@pytest.mark.parametrize(("count", "said"), [(1, "1 evento perdido"), (2, "2 eventos perdidos")])
def test_a_count_has_the_form_of_the_language(store: Store, count: int, said: str) -> None:
    happened(store, nsentence("{count} event lost", "{count} events lost", count=count))

    assert titles(store, "pt-BR") == [said]
    assert titles(store, "en") == ["1 event lost" if count == 1 else "2 events lost"]


def test_a_sentence_within_a_sentence_is_translated_too(store: Store) -> None:
    happened(
        store, sentence("A drill was not begun: {reason}", reason=sentence("another drill is running: {id}", id="7"))
    )

    assert titles(store, "pt-BR") == ["Um simulado não foi iniciado: há outro simulado em andamento: 7"]


def test_details_are_read_in_each_language(store: Store) -> None:
    happened(store, "t", sentence(SILENCED, reason="r", author="a", end="e", id="i"))

    assert last(store, "en").details == "r\nBy a, until e. Silence i"
    assert last(store, "pt-BR").details == "r\nPor a, até e. Silêncio i"


def test_what_others_wrote_stays_as_it_is(store: Store) -> None:
    """Also where it is the same as one of the product's own sentences."""
    happened(store, "The device rebooted", "The exporter started")
    happened(store, sentence("Alert: {title}", title="The device rebooted"))

    assert titles(store, "pt-BR") == ["Alerta: The device rebooted", "The device rebooted"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_never_read_as_a_message(store: Store, name: str) -> None:
    happened(store, sentence("Stage {stage} crashed", stage=name))

    shown = name.replace("\u202e", "\N{REPLACEMENT CHARACTER}")
    assert titles(store, "en") == [" ".join(f"Stage {shown} crashed".split())]
    assert titles(store, "pt-BR") == [" ".join(f"A etapa {shown} morreu inesperadamente".split())]


def test_a_row_is_bounded_in_each_language(store: Store) -> None:
    author = sentence("DVR {dvr} failed, says the {source}", dvr="d" * 100_000, source="s")
    details = sentence(SILENCED, reason="r" * 100_000, author=author, end="e", id="i")
    happened(store, sentence("Stage {stage} crashed", stage="é" * 100_000), details)

    (row,) = store.raw_history(HISTORY, 0.0, (float("inf"), 2**62), 10)
    assert len(row[2]) <= 2 * (2 * MAX_TITLE + 3 * MAX_DETAILS) + 1000
    for language in ("en", "pt-BR"):
        moment = last(store, language)
        assert (len(moment.title), len(moment.details)) == (MAX_TITLE, MAX_DETAILS)


def test_an_entry_of_an_older_version_is_read_as_it_was_kept(store: Store) -> None:
    with store.transaction() as tx:
        tx.append(HISTORY, tx.now, {"kind": "stage.failed", "title": "Stage scan failed after 2.5 s"})

    assert titles(store, "pt-BR") == titles(store, "en") == ["Stage scan failed after 2.5 s"]


def test_an_older_version_reads_what_this_one_keeps(store: Store) -> None:
    class Older(msgspec.Struct):
        kind: str
        title: str
        details: str = ""

    happened(store, sentence("Stage {stage} crashed", stage="scan"), sentence("It lasted {time}.", time="2 h"))

    (row,) = store.raw_history(HISTORY, 0.0, (float("inf"), 2**62), 10)
    assert msgspec.json.decode(row[2], type=Older) == Older("kind", "Stage scan crashed", "It lasted 2 h.")


@pytest.mark.parametrize(
    "odd",
    [
        sentence("A message of a version to come: {name}", name="n"),
        Sentence("Stage {stage} crashed", {}),
        Sentence("Stage {0} {} {stage.nothing} crashed", {"stage": 1}),
        Sentence("{", {}),
        Sentence("Stage {stage.nothing} crashed", {"stage": 1}),
        nsentence("{count} event lost", "{count} events lost", count="many"),
    ],
)
def test_what_cannot_be_said_is_read_in_english_and_costs_itself_only(store: Store, odd: Sentence) -> None:
    happened(store, sentence("The device rebooted"))
    with store.transaction() as tx:
        tx.append(HISTORY, tx.now, {"kind": "k", "title": "English", "said": {"title": msgspec.to_builtins(odd)}})

    read_ = titles(store, "pt-BR")
    assert len(read_) == 2
    assert "O dispositivo reinicializou" in read_
    assert titles(store, "en")[0] in ("English", "The device rebooted")


def test_what_a_storm_left_out_is_told_in_the_readers_language(store: Store) -> None:
    for _ in range(BURST + 5):
        happened(store, sentence("Stage {stage} crashed", stage="s"))

    assert last(store, "en").title.startswith("5 more like this since ")
    assert last(store, "pt-BR").title.startswith("mais 5 como este desde ")
    assert last(store, "pt-BR").details.startswith("Vieram mais rápido")


def test_numbers_that_are_none_are_kept(store: Store) -> None:
    happened(store, sentence("Stage {stage} failed after {seconds} s", stage="s", seconds=float("inf")))

    assert titles(store, "pt-BR") == ["A etapa s falhou após inf s"]


def test_every_word_of_its_own_is_in_the_catalogue(store: Store) -> None:
    happened(store, sentence("DVR {dvr} failed, says the {source}", dvr="D7", source=sentence("agent")))

    with speaking_pseudo():
        assert current() != "en"
        assert forgotten(read(store, Filter()).moments[0].title, ["D7"]) == []


def test_no_title_is_put_together() -> None:
    """An f-string, or a text, as the title of an entry would be read in English by everybody; what is said in the
    exporter's own language in that one."""
    found = [
        f"{path.relative_to(SOURCES)}:{call.lineno}"
        for path in sorted(SOURCES.rglob("*.py"))
        if "state.timeline import" in (text := path.read_text(encoding="utf-8")) or path.name == "timeline.py"
        for function in [ast.parse(text)]
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Entry"
        for title in [*call.args[1:2], *(one.value for one in call.keywords if one.arg == "title")]
        if not _is_sentence(title, function)
    ]

    assert found == []


def _is_sentence(title: ast.expr, module: ast.Module) -> bool:
    """Whether it is a sentence, or a text of others: an attribute of what they wrote."""
    if isinstance(title, ast.Name):
        given = [
            one.value
            for one in ast.walk(module)
            if isinstance(one, ast.Assign) and any(getattr(to, "id", "") == title.id for to in one.targets)
        ]
        return all(_is_sentence(one, module) for one in given)
    if isinstance(title, ast.IfExp):
        return _is_sentence(title.body, module) and _is_sentence(title.orelse, module)
    is_spoken = ast.unparse(title).startswith("_(")
    return not is_spoken and not isinstance(title, ast.JoinedStr | ast.Constant | ast.BinOp)
