"""The runbooks that come with the product, as HTML for this device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vv_exporter.render import base
from vv_exporter.render.commands import Commands
from vv_exporter.settings import RUNBOOK_BASE_URL, Settings

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

PUBLIC_DOCS = RUNBOOK_BASE_URL
"""Where other documents lead that a runbook refers to: they do not come with the product."""
_NAME = re.compile(r"[A-Za-z]{1,64}")
_SUMMARY = re.compile(r"\*\*(?P<severity>[a-z]+)\*\*(?P<more>[^—\n]*)— (?P<text>.+?)(?=\n\n)", re.DOTALL)


class Runbook(NamedTuple):
    """What the index says of one: `severity` as in the runbook, "" where it says none."""

    name: str
    severity: str
    summary: str


def index() -> list[Runbook]:
    """Every runbook there is, by name."""
    return [_described(path) for path in sorted(_folder().glob("*.md"))]


def html(name: str, settings: Settings) -> str:
    """The body of a runbook, with the commands as they are typed on this device. Raises `LookupError`.

    Raw HTML is shown, not obeyed, and only links to http(s), to a place in the page, or relative ones are links.
    """
    if not _NAME.fullmatch(name):
        raise LookupError(name)
    try:
        text = (_folder() / f"{name}.md").read_text(encoding="utf-8")
    except OSError:
        raise LookupError(name) from None
    rendered: str = _markdown().render(Commands(settings).here(text))
    return rendered


def _described(path: Path) -> Runbook:
    found = _SUMMARY.search(path.read_text(encoding="utf-8"))
    if found is None:
        return Runbook(path.stem, "", "")
    return Runbook(path.stem, found["severity"], re.sub(r"[*`]", "", " ".join(found["text"].split())))


def _folder() -> Path:
    return base.folder() / "docs" / "runbooks"


@cache
def _markdown() -> MarkdownIt:
    """CommonMark with tables and without raw HTML: https://markdown-it-py.readthedocs.io/en/latest/security.html"""
    from markdown_it import MarkdownIt  # which an exporter whose runbooks nobody reads need not hold

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.core.ruler.push("links", lambda state: _lead_somewhere(state.tokens))
    return markdown


def _lead_somewhere(tokens: Sequence[Token]) -> None:
    """Other runbooks are pages here; other documents are where the project has them."""
    for token in tokens:
        _lead_somewhere(token.children or ())
        target = str(token.attrGet("href") or "")
        if token.type == "link_open" and ":" not in target and not target.startswith("#"):
            token.attrSet("href", _address(target))


def _address(target: str) -> str:
    found = re.fullmatch(r"(\w+)\.md(#.*)?", target)
    if found:
        return f"/runbooks/{found[1]}{found[2] or ''}"
    base_url = PUBLIC_DOCS
    while target.startswith("../"):
        base_url, target = base_url.rpartition("/")[0], target.removeprefix("../")
    return f"{base_url}/{target}"
