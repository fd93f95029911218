"""In which language people are told, and the messages of each.

Sources are English, and each whole sentence is its own key (gettext). A language is a folder::

    locale/LANGUAGE/LC_MESSAGES/*.po     such as pt_BR; written anew by `make messages`, translated by people
    locale/*.pot                         every message there is

What a language lacks is shown in English. In code a message is `_("Stage {stage} failed").format(stage=stage)`: a whole
sentence, with named places. Nothing is ever looked up, compared or counted by a translated text.

The language is that of the process (`speaking_everywhere`) or, while somebody else is spoken to, of the thread
(`speaking`).
"""

from __future__ import annotations

import gettext as standard
import io
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polib

ENGLISH = "en"
FOLDER = Path(__file__).resolve().parents[1] / "locale"

_NO_WORDS = re.compile(r"\{\{.*?\}\}|\{\w+\}|%\(\w+\)[sd]|`[^`]*`", re.DOTALL)
"""What a translation must have as it is: calls of templates, places, commands."""

_process = ENGLISH
_thread: ContextVar[str] = ContextVar("language", default="")


def languages() -> tuple[str, ...]:
    """The names (BCP 47, such as `pt-BR`) of all there are, English first."""
    folders = FOLDER.iterdir() if FOLDER.is_dir() else ()
    return (ENGLISH, *sorted(path.name.replace("_", "-") for path in folders if (path / "LC_MESSAGES").is_dir()))


def parse(text: str) -> str:
    """The language that is meant: `pt-BR`, `pt_br`. Raises `ValueError`, which names those that there are."""
    wanted = text.strip().replace("_", "-").lower()
    for name in languages():
        if name.lower() == wanted:
            return name
    raise ValueError(f"{text!r} is not there; choose one of {', '.join(languages())}")


def nearest(text: str) -> str:
    """The language for a name as systems and browsers give it (`pt_BR.UTF-8`, `pt`, `pt-PT`), or nothing."""
    wanted = text.partition(".")[0].partition("@")[0].strip().replace("_", "-").lower()
    for name in languages():
        if name.lower() == wanted:
            return name
    primary = wanted.partition("-")[0]
    return next((name for name in languages() if name.lower().partition("-")[0] == primary), "")


def title_of(name: str) -> str:
    """What those who speak it call the language, if its files say so (`X-Title`), or its name."""
    if name == ENGLISH:
        return "English"
    return next(filter(None, (_catalogue_title(path) for path in files(name))), name)


@cache
def _catalogue_title(path: Path) -> str:
    found = re.search(r'^"X-Title: (.*?)(?:\\n)?"$', path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def of_locale(environ: Mapping[str, str] | None = None) -> str:
    """The language of the shell (POSIX: LC_ALL, else LC_MESSAGES, else LANG)."""
    given = os.environ if environ is None else environ
    chosen = given.get("LC_ALL") or given.get("LC_MESSAGES") or given.get("LANG") or ""
    return nearest(chosen) or ENGLISH


@contextmanager
def speaking_everywhere(name: str) -> Iterator[None]:
    """Speak this language in all threads, within the block."""
    global _process
    before, _process = _process, name
    try:
        yield
    finally:
        _process = before


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Speak this language in this thread, within the block."""
    token = _thread.set(name)
    try:
        yield
    finally:
        _thread.reset(token)


def current() -> str:
    """The language that is spoken here and now."""
    return _thread.get() or _process


def translatable(message: str) -> str:
    """The message itself: it is gathered for translation here, and translated where it is said."""
    return message


def gettext(message: str) -> str:
    """The message in the current language, or as it is; none for none, which is not the catalogue's heading."""
    return message if not message or current() == ENGLISH else _load_catalogue(current()).gettext(message)


def ngettext(one: str, many: str, count: int) -> str:
    """The form of the message that the current language has for so many."""
    if current() == ENGLISH:
        return one if count == 1 else many
    return _load_catalogue(current()).ngettext(one, many, count)


def pgettext(context: str, message: str) -> str:
    """The message as it is meant in this context."""
    return message if current() == ENGLISH else _load_catalogue(current()).pgettext(context, message)


def decimal(text: str) -> str:
    """A number with the decimal point of the language."""
    return text.replace(".", pgettext("decimal point", "."))


@cache
def _load_catalogue(name: str) -> standard.NullTranslations:
    """What the language's files say: read at the first message, within a tenth of a second."""
    found: standard.NullTranslations | None = None
    for path in files(name):
        translations = standard.GNUTranslations(io.BytesIO(_read_catalogue(path).to_binary()))
        if found is None:
            found = translations
        else:
            found.add_fallback(translations)
    return found or standard.NullTranslations()


def files(name: str) -> list[Path]:
    """The catalogues of a language."""
    return sorted((FOLDER / name.replace("-", "_") / "LC_MESSAGES").glob("*.po"))


def _read_catalogue(path: Path) -> polib.POFile:
    """A catalogue, without what nobody should be told: an alert must not fail for a place that is misspelt in it."""
    import polib  # whoever speaks English need not read it

    catalogue = polib.pofile(str(path))
    for entry in list(catalogue):
        if not entry.translated() or not _is_faithful(entry):
            catalogue.remove(entry)
    return catalogue


def _is_faithful(entry: polib.POEntry) -> bool:
    if entry.msgid_plural:  # a form for one may do without the number
        known = {*_NO_WORDS.findall(entry.msgid), *_NO_WORDS.findall(entry.msgid_plural)}
        return all({*_NO_WORDS.findall(text)} <= known for text in entry.msgstr_plural.values())
    return sorted(_NO_WORDS.findall(entry.msgid)) == sorted(_NO_WORDS.findall(entry.msgstr))


def untranslated(name: str) -> int:
    """How many messages a language shows in English: those that it lacks, and those that nobody should be told."""
    import polib

    if name == ENGLISH:
        return 0
    known = {(entry.msgctxt, entry.msgid) for path in files(name) for entry in _read_catalogue(path)}
    every = [entry for path in sorted(FOLDER.glob("*.pot")) for entry in polib.pofile(str(path))]
    return sum((entry.msgctxt, entry.msgid) not in known for entry in every)
