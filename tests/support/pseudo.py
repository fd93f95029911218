"""A language in which every message of the catalogue stands in «these»: what does not was forgotten."""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from unittest.mock import patch

from vv_exporter import language

PSEUDO = "x-pseudo"
_INNERMOST = re.compile("«[^«»]*»")
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]+")


class _Pseudo(gettext.NullTranslations):
    def gettext(self, message: str) -> str:
        return f"«{message}»"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"«{msgid1 if n == 1 else msgid2}»"

    def pgettext(self, context: str, message: str) -> str:
        return message  # the decimal point


@contextmanager
def speaking_pseudo() -> Iterator[None]:
    """Within the block the pseudo-language is spoken."""

    @cache
    def catalogue(name: str) -> gettext.NullTranslations:
        return _Pseudo()

    with patch.object(language, "_load_catalogue", catalogue), language.speaking(PSEUDO):
        yield


def forgotten(text: str, data: Iterable[str]) -> list[str]:
    """The words that are neither of the catalogue nor of `data`: names, commands, what others wrote."""
    for one in sorted(data, key=len, reverse=True):
        text = text.replace(one, " ") if one else text
    while (rest := _INNERMOST.sub(" ", text)) != text:
        text = rest
    return _WORD.findall(text)
