"""Alertmanager's templates: the words that they share, as messages of the catalogue, and in another language.

All that they say stands in one file, a `{{ define "vv.say.…" }}` for each sentence; what a centre adds in another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vv_exporter.language import current, gettext

WORDS = "words.tmpl"
FLEET_WORDS = "fleet_words.tmpl"
_SENTENCE = re.compile(r'(\{\{ define "vv\.say\.[\w.]+" \}\})(.+?)(\{\{ end \}\})$', re.MULTILINE)
_LANGUAGE = '{{ define "vv.language" }}en{{ end }}'


def messages(text: str) -> Iterator[str]:
    """What the file of words says."""
    yield from (found[2] for found in _SENTENCE.finditer(text))


def translated(text: str) -> str:
    """That file in the current language."""
    text = _SENTENCE.sub(lambda found: found[1] + gettext(found[2]) + found[3], text)
    return text.replace(_LANGUAGE, _LANGUAGE.replace("en{{", f"{current()}{{{{"))
