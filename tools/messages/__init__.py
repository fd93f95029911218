"""The messages that people read, gathered for translation: `make messages`.

`exporter/vv_exporter/locale/*.pot` has every message there is: `alerts` those of rules and of Alertmanager's templates,
`vv` those of programs and pages. Each language's files get the new ones, and lose those that are gone; a translation of
a message that was changed is lost with it, rather than guessed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import yaml
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

from vv_exporter.cli import vv
from vv_exporter.cli._language import messages as messages_of_commands
from vv_exporter.language import FOLDER
from vv_exporter.render.annotations import TRANSLATED_ANNOTATIONS
from vv_exporter.render.annotations import messages as messages_of
from vv_exporter.render.templates import FLEET_WORDS, WORDS
from vv_exporter.render.templates import messages as messages_of_templates

_PROGRAMS = [("**.py", "python"), ("**.html", "jinja2"), ("**.txt", "jinja2")]
_OPTIONS = {"**.html": {"trimmed": "true"}, "**.txt": {"trimmed": "true"}}
_KEYWORDS = DEFAULT_KEYWORDS | {"translatable": None, "sentence": None, "nsentence": (1, 2)}
_NOTES = ("Translators:",)


def targets(checkout: Path) -> dict[Path, str]:
    """What belongs into which file."""
    found: dict[Path, str] = {}
    for name, template in (("alerts", _alerts(checkout)), ("vv", _programs(checkout))):
        found[FOLDER / f"{name}.pot"] = _text(template)
        for language in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
            file = language / "LC_MESSAGES" / f"{name}.po"
            found[file] = _text(_updated(file, template, language.name))
    return found


def _alerts(checkout: Path) -> Catalog:
    catalogue = _catalogue()
    for folder in ("prometheus/rules", "fleet/rules"):
        for file in sorted((checkout / folder).glob("*.yml")):
            for alert, message in _said_by_rules(file):
                catalogue.add(message, locations=[(f"{folder}/{file.name}", 0)], auto_comments=[alert])
    for words in (Path("alertmanager", "templates", WORDS), Path("fleet", "templates", FLEET_WORDS)):
        for message in messages_of_templates((checkout / words).read_text(encoding="utf-8")):
            catalogue.add(message, locations=[(str(words), 0)])
    return catalogue


def _said_by_rules(file: Path) -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            for name in TRANSLATED_ANNOTATIONS:
                for message in messages_of(rule.get("annotations", {}).get(name, "")):
                    yield rule["alert"], message


def _programs(checkout: Path) -> Catalog:
    catalogue = _catalogue()
    package = checkout / "exporter" / "vv_exporter"
    for folder, shown in ((package, ""), (checkout / "examples" / "pipeline", "examples/pipeline/")):
        found = extract_from_dir(folder, _PROGRAMS, _OPTIONS, _KEYWORDS, comment_tags=_NOTES, strip_comment_tags=True)
        for file, _, message, comments, context in sorted(found, key=lambda one: one[:2]):
            catalogue.add(message, locations=[(shown + file, 0)], auto_comments=comments, context=context)
    for message in messages_of_commands(vv):
        catalogue.add(message, locations=[("cli", 0)])
    return catalogue


def _updated(file: Path, template: Catalog, language: str) -> Catalog:
    """The language's catalogue with the messages of the template."""
    catalogue = _catalogue(language)
    if file.exists():  # else it is a new language
        with file.open("rb") as stream:
            catalogue = read_po(stream, locale=language, charset="utf-8")
    catalogue.update(template, no_fuzzy_matching=True, update_creation_date=False)
    catalogue.obsolete.clear()
    return catalogue


def _catalogue(language: str | None = None) -> Catalog:
    return Catalog(locale=language, charset="utf-8", fuzzy=False)


def _text(catalogue: Catalog) -> str:
    """As a file: without dates and lines, which change with every other change."""
    stream = io.BytesIO()
    write_po(stream, catalogue, width=110, omit_header=True, include_lineno=False)
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    if catalogue.locale is not None:
        title = catalogue.locale.get_display_name(catalogue.locale) or str(catalogue.locale)
        head += f'"Language: {catalogue.locale}\\n"\n"X-Title: {title}\\n"\n'
        head += f'"Plural-Forms: {catalogue.plural_forms}\\n"\n'
    return f"{head}\n{stream.getvalue().decode().strip()}\n"
