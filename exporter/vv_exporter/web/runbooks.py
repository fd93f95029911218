"""The runbooks that come with the product, as HTML for this device, in the languages that there are.

English ones are in `docs/runbooks/`, those of another language in `docs/LANGUAGE/runbooks/`, such as `docs/pt-BR`.
One that a language lacks is shown in English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vv_exporter.language import ENGLISH
from vv_exporter.render import base
from vv_exporter.render.commands import Commands
from vv_exporter.settings import Settings, project_runbooks

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_NAME = re.compile(r"[A-Za-z]{1,64}")
_SUMMARY = re.compile(r"\*\*(?P<severity>[a-z]+)\*\*(?P<more>[^—\n]*)— (?P<text>.+?)(?=\n\n)", re.DOTALL)


class Runbook(NamedTuple):
    """What the index says of one: `severity` as in the runbook, "" where it says none; the language it is in."""

    name: str
    severity: str
    summary: str
    language: str = ENGLISH


class Body(NamedTuple):
    """A runbook as HTML, and the language that it is in (BCP 47)."""

    html: str
    language: str


def index(language: str = ENGLISH) -> list[Runbook]:
    """Every runbook there is, by name, each in the language if it has it."""
    return [_describe_runbook(path.stem, language) for path in sorted(_runbooks_folder(ENGLISH).glob("*.md"))]


def body(name: str, settings: Settings, language: str = ENGLISH) -> Body:
    """A runbook, with the commands as they are typed on this device. Raises `LookupError`.

    Raw HTML is shown, not obeyed, and only links to http(s), to a place in the page, or relative ones are links.
    """
    text, spoken = _runbook_text(name, language)
    return Body(_markdown_parser().render(Commands(settings).here(text), {"language": spoken}), spoken)


def _describe_runbook(name: str, language: str) -> Runbook:
    text, spoken = _runbook_text(name, language)
    found = _SUMMARY.search(text)
    if found is None:
        return Runbook(name, "", "", spoken)
    return Runbook(name, found["severity"], re.sub(r"[*`]", "", " ".join(found["text"].split())), spoken)


def _runbook_text(name: str, language: str) -> tuple[str, str]:
    """What a runbook says, and in which language."""
    if not _NAME.fullmatch(name):
        raise LookupError(name)
    for spoken in dict.fromkeys((language, ENGLISH)):
        try:
            return (_runbooks_folder(spoken) / f"{name}.md").read_text(encoding="utf-8"), spoken
        except OSError:
            continue
    raise LookupError(name)


def _runbooks_folder(language: str) -> Path:
    docs = base.folder() / "docs"
    return docs / "runbooks" if language == ENGLISH else docs / language / "runbooks"


@cache
def _markdown_parser() -> MarkdownIt:
    """CommonMark with tables and without raw HTML: https://markdown-it-py.readthedocs.io/en/latest/security.html"""
    from markdown_it import MarkdownIt  # which an exporter whose runbooks nobody reads need not hold

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.core.ruler.push("links", lambda state: _lead_somewhere(state.tokens, state.env["language"]))
    markdown.core.ruler.push("commands", lambda state: _let_keyboards_scroll(state.tokens))
    return markdown


def _let_keyboards_scroll(tokens: Sequence[Token]) -> None:
    """What is wider than a phone can be scrolled without a mouse (WCAG 2.1.1)."""
    for token in tokens:
        if token.type == "fence":
            token.attrSet("tabindex", "0")


def _lead_somewhere(tokens: Sequence[Token], language: str) -> None:
    """Other runbooks are pages here; other documents, which do not come along, are where the project has them."""
    for token in tokens:
        _lead_somewhere(token.children or (), language)
        target = str(token.attrGet("href") or "")
        if token.type == "link_open" and ":" not in target and not target.startswith("#"):
            token.attrSet("href", _link_address(target, language))


def _link_address(target: str, language: str) -> str:
    found = re.fullmatch(r"(\w+)\.md(#.*)?", target)
    if found:
        return f"/runbooks/{found[1]}{found[2] or ''}"
    base_url = project_runbooks(language)
    while target.startswith("../"):
        base_url, target = base_url.rpartition("/")[0], target.removeprefix("../")
    return f"{base_url}/{target}"
