"""What the SDK says of failures, in the reader's language.

Scripts write English into the journal: `vv_core` brings no catalogue. What it says itself is recognised where it is
read, and kept as a sentence; what a script says is left as it is.
"""

from __future__ import annotations

from functools import cache
from string import Formatter
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

LONGEST = 2000
"""Characters of a text that is looked at: the SDK says nothing longer."""


def understood(text: str, said: Said) -> Sentence | str:
    """The text as a sentence, if it is one of those; else the text."""
    if len(text) <= LONGEST:
        for message in said:
            values = _values_of(message, text)
            if values is not None:
                return Sentence(message, {**values})
    return text


def spoken(text: Sentence | str) -> str:
    """A text as it is, a sentence in the current language."""
    return text.spoken() if isinstance(text, Sentence) else text


def joined(form: str, **values: Sentence | str) -> Sentence | str:
    """A form without words, with its values: a sentence only if one of them is, for what is kept of that is more."""
    if any(isinstance(value, Sentence) for value in values.values()):
        return Sentence(form, dict(values))
    return form.format_map(values)


def _values_of(message: str, text: str) -> dict[str, str] | None:
    """What stands in the message's places, if the text is that message. Each ends where what follows it is found first:
    one pass, whatever somebody writes."""
    (before, *behind), names = _pieces_of(message)
    if not text.startswith(before):
        return None
    values, at = dict[str, str](), len(before)
    for name, literal in zip(names, behind, strict=True):
        is_last = len(values) == len(names) - 1
        end = len(text) - len(literal) if is_last else text.find(literal, at + 1)
        if end <= at or not text.startswith(literal, end):
            return None
        values[name], at = text[at:end], end + len(literal)
    is_whole = at == len(text)
    return values if is_whole and _is_number(values.get("code", "0")) else None


@cache
def _pieces_of(message: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What stands around the places of a message, and the names of those."""
    pieces = [(literal, name) for literal, name, _spec, _conversion in Formatter().parse(message)]
    names = tuple(name for _, name in pieces if name is not None)
    literals = tuple(literal for literal, _ in pieces)
    return (literals if len(literals) > len(names) else (*literals, "")), names


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
