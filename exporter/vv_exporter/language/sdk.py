"""What the SDK says of failures, in the reader's language.

Scripts write English into the journal: `vv_core` brings no catalogue. What it says itself is recognised where it is
read, and kept as a sentence; what a script says is left as it is.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TypeAlias

from vv_exporter.language import translatable as _
from vv_exporter.language.sentences import Sentence

Said: TypeAlias = tuple[str, ...]
"""Messages, with places for what differs."""

OF_ENDS: Said = (_("exit code {code}"),)
"""How a stage or a job ended (`vv_core._runs`, `vv_core.attempts`)."""

OF_SIGNATURES: Said = (
    _("there is no signature"),
    _("the signature is one of {form}, the payload is {actual}"),
    _("the signature does not fit: the data was changed, or the key is another"),
    _("the signature is no JSON object"),
    _("the signature's version is {version}, known is {known}"),
    _("the signature has not the fields of its version"),
    _("a chain's name has letters, digits, '.', '_' and '-', at most 64"),
    _("only a JSON object has a place for its link of a chain, bytes have none"),
    _("the object has a member {member} of its own, where its link of the chain goes"),
    _("bytes or a JSON object can be signed, not {type}"),
    _("the object has no canonical JSON (RFC 8785): {error}"),
    _("the object has more than {limit} values"),
    _("no key to sign with: let VV_HMAC_KEY_FILE name its file"),
    _("no key to verify with: set VV_HMAC_KEY_FILE or VV_HMAC_KEYS_DIR"),
    _("there is no key {key}"),
    _("{file}: its name is no key id: letters, digits, '.', '_' and '-', at most 64, not beginning with '.'"),
    _("{file} cannot be read: {reason}"),
    _("{file} holds {size}; a key has {least} to {most}: openssl rand -hex 32"),
    _("unexpected {error}"),
)
"""Why there is no signature, or none that fits (`vv_core.signing`)."""


def understood(text: str, said: Said) -> Sentence | str:
    """The text as a sentence, if it is one of those; else the text."""
    for message, pattern in _patterns(said):
        if found := pattern.fullmatch(text):
            return Sentence(message, found.groupdict())
    return text


def spoken(text: Sentence | str) -> str:
    """A text as it is, a sentence in the current language."""
    return text.spoken() if isinstance(text, Sentence) else text


def joined(form: str, **values: Sentence | str) -> Sentence | str:
    """A form without words, with its values: a sentence only if one of them is, for what is kept of that is more."""
    if any(isinstance(value, Sentence) for value in values.values()):
        return Sentence(form, dict(values))
    return form.format_map(values)


@cache
def _patterns(said: Said) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((message, re.compile(_pattern_of(message), re.DOTALL)) for message in said)


def _pattern_of(message: str) -> str:
    numbers = re.escape(message).replace(r"\{code\}", r"(?P<code>-?\d+)")
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", numbers)
