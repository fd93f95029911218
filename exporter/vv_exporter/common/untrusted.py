"""JSON that others wrote.

What is half a character in it (bytes that are not UTF-8, one half of a surrogate pair), a control character, or an
escape that there is none of, is read as U+FFFD: the rest of the document is worth having.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

T = TypeVar("T")

_REPLACEMENT = rb"\ufffd"
_ESCAPES = re.compile(
    rb'\\(?:["\\/bfnrt]|u(?:[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?![dD][89a-fA-F])[0-9a-fA-F]{4}))'
    rb"|(?P<broken>\\(?:u[dD][89a-fA-F][0-9a-fA-F]{2}|u)?)"
)
_CONTROLS = re.compile(rb"[\x00-\x1f]")  # in a string there may be none, and outside of one they are blanks
# A string, also one without an end, what opens or closes, or a comma; possessive: no byte is looked at twice.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)


def decode_untrusted(decoder: msgspec.json.Decoder[T], document: bytes | memoryview | msgspec.Raw) -> T:
    """What the decoder makes of it. Raises `msgspec.MsgspecError` and nothing else, also for what is too deep."""
    try:
        return decoder.decode(document)
    except msgspec.ValidationError:
        raise
    except RecursionError as error:
        raise msgspec.DecodeError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        given = bytes(document)
        mended = whole_characters(given)
        if mended == given:
            raise msgspec.DecodeError(str(error)) from None
    try:
        return decoder.decode(mended)
    except (RecursionError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(str(error)) from None


def whole_characters(document: bytes) -> bytes:
    """The document with U+FFFD in place of what is no character, so that the strings around it can be read."""
    text = _CONTROLS.sub(b" ", document.decode(errors="replace").encode())
    return _ESCAPES.sub(lambda found: found[0] if found["broken"] is None else _REPLACEMENT, text)


def elements(document: bytes) -> list[bytes]:
    """The elements of an array as they stand, however deep or broken. Raises `msgspec.DecodeError` for others."""
    content = document.strip()
    if not (content.startswith(b"[") and content.endswith(b"]")):
        raise msgspec.DecodeError("it is no array")
    found: list[bytes] = []
    depth, begin = 0, 1
    for token in _TOKENS.finditer(content):
        sign = token[0]
        depth += (sign in (b"[", b"{")) - (sign in (b"]", b"}"))
        if (sign == b"," and depth == 1) or depth == 0:
            found.append(content[begin : token.start()].strip())
            begin = token.end()
        if depth == 0:
            break
    if content[begin:]:
        raise msgspec.DecodeError("it is no array")
    return [] if found == [b""] else found
