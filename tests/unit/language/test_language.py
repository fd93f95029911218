"""Which language is spoken, and what it lacks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vv_exporter import language

CATALOGUE = """\
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\\n"

msgid "Stage {stage} failed"
msgstr "L'étape {stage} a échoué"

#, fuzzy
msgid "in doubt"
msgstr "en doute"

msgid "nothing"
msgstr ""

msgid "misspelt {place}"
msgstr "mal écrit {placer}"

msgid "a call {{ $labels.name }}, a command `ls -l`"
msgstr "un appel {{ $label.name }}, une commande `ls -l`"

msgid "{count} alert"
msgid_plural "{count} alerts"
msgstr[0] "{count} alerte"
msgstr[1] "{count} alertes"
"""


@pytest.fixture
def french(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A language of its own: a folder."""
    folder = tmp_path / "fr" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "vv.po").write_text(CATALOGUE, encoding="utf-8")
    (tmp_path / "vv.pot").write_text(CATALOGUE + '\nmsgid "new"\nmsgstr ""\n', encoding="utf-8")
    monkeypatch.setattr(language, "FOLDER", tmp_path)
    language._load_catalogue.cache_clear()
    yield
    language._load_catalogue.cache_clear()


def test_the_product_has_english_and_portuguese() -> None:
    assert language.languages()[:1] == ("en",)
    assert "pt-BR" in language.languages()


@pytest.mark.usefixtures("french")
def test_a_folder_is_a_language() -> None:
    assert language.languages() == ("en", "fr")
    with language.speaking("fr"):
        assert language.gettext("Stage {stage} failed") == "L'étape {stage} a échoué"


@pytest.mark.usefixtures("french")
@pytest.mark.parametrize(
    "message",
    [
        "nothing",
        "in doubt",
        "new",
        "of an older version",
        "misspelt {place}",
        "a call {{ $labels.name }}, a command `ls -l`",
    ],
)
def test_what_a_language_lacks_or_gets_wrong_is_english(message: str) -> None:
    with language.speaking("fr"):
        assert language.gettext(message) == message


@pytest.mark.usefixtures("french")
def test_what_a_language_lacks_is_counted() -> None:
    assert (language.untranslated("fr"), language.untranslated("en")) == (5, 0)


@pytest.mark.usefixtures("french")
@pytest.mark.parametrize(
    ("name", "count", "said"),
    [
        ("fr", 0, "{count} alerte"),
        ("fr", 2, "{count} alertes"),
        ("en", 0, "{count} alerts"),
        ("en", 1, "{count} alert"),
    ],
)
def test_each_language_counts_in_its_own_way(name: str, count: int, said: str) -> None:
    with language.speaking(name):
        assert language.ngettext("{count} alert", "{count} alerts", count) == said


@pytest.mark.usefixtures("french")
def test_a_thread_speaks_its_own_language_and_the_process_another() -> None:
    heard: list[str] = []

    with language.speaking_everywhere("fr"), language.speaking("en"):
        thread = threading.Thread(target=lambda: heard.append(language.current()))
        thread.start()
        thread.join()
        heard.append(language.current())

    assert [*heard, language.current()] == ["fr", "en", "en"]


def test_no_message_is_none_in_each_language() -> None:
    with language.speaking("pt-BR"):
        assert language.gettext("") == ""


@pytest.mark.parametrize("text", ["pt-BR", "pt_BR", " PT-br "])
def test_a_name_is_understood_however_it_is_written(text: str) -> None:
    assert language.parse(text) == "pt-BR"


@pytest.mark.parametrize("text", ["", "xx", "portuguese", "pt", "../en"])
def test_another_name_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="en, pt-BR"):
        language.parse(text)


@pytest.mark.parametrize(
    ("environ", "meant"),
    [
        ({"LC_ALL": "pt_BR.UTF-8"}, "pt-BR"),
        ({"LANG": "pt_PT@euro"}, "pt-BR"),
        ({"LC_ALL": "C", "LANG": "pt_BR.UTF-8"}, "en"),
        ({"LC_MESSAGES": "pt_BR", "LANG": "en_US.UTF-8"}, "pt-BR"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_a_shell_has_the_language_of_its_locale(environ: dict[str, str], meant: str) -> None:
    assert language.of_locale(environ) == meant
