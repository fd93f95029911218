"""Inputs made from others: of bytes, and of JSON with regard to its structure."""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Sequence
from typing import NamedTuple

_DEEP = 1_000
_LONG = 70_000

_WHOLE = (
    *(0, 1, -1, 2, 137, 255, 256, 65_536, 1_700_000_000, 1_700_000_000_000),
    *(2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 2**70, 10**30),
    *(253_402_300_799, 253_402_300_800, -62_135_596_801, 999_999_999_999, 999_999_999_999_999_999),
)
NUMBERS = (
    *(str(number).encode() for number in _WHOLE),
    *(b"-0.0", b"0.1", b"1e-300", b"1e308", b"4e9", b"1e309", b"-1e309", b"1e99999", b"NaN", b"Infinity", b"-Infinity"),
    *(b"01", b"1.", b".5", b"+1", b"0x10", b"9" * 5_000),
)
TEXTS = (
    b'""',
    b'" "',
    b'"' + b"a" * 129 + b'"',
    b'"' + b"a" * 5_000 + b'"',
    b'"' + b"\xc3\xa9" * 5_000 + b'"',
    b'"' + b"a" * _LONG + b'"',
    rb'"\u0000"',
    rb'"\ud800"',
    rb'"\udfff\ud800x"',
    rb'"\ud83d\ude00"',
    rb'"\u202egpj.exe\u202c\u2066"',
    rb'"\u001b[2J\u0007\r\n\t"',
    b'"\x00\x1b\n"',
    b'"\xff\xfe\xed\xa0\x80"',
    rb'"\x"',
    b'"unterminated',
    b'"{{ .Labels }} $(id) %s%n <script>alert(1)</script>"',
    b'"../../../../etc/passwd"',
    b'"/dev/zero"',
    b'"critical"',
    b'"CRITICAL"',
    b'"ok"',
    b'"web"',
    b'"2026-01-31T10:30:00Z"',
    b'"0001-01-01T00:00:00Z"',
    b'"0000-00-00T00:00:00Z"',
    b'"9999-12-31T23:59:60.999999999Z"',
    b'"9999-12-31T23:59:59-23:59"',
    b'"0001-01-01T00:00:00+23:59"',
    b'"99999-01-01T00:00:00Z"',
    b'"2026-02-30T00:00:00+99:99"',
    b'"2026-01-31"',
    b'"nan"',
    b'"inf"',
    b'"18446744073709551616"',
    '"\u0661\u0662\u00b2"'.encode(),
)
OTHERS = (
    b"null",
    b"true",
    b"false",
    b"[]",
    b"{}",
    b"[[]]",
    b'{"":""}',
    b"[" * _DEEP + b"]" * _DEEP,
    b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
    b"[" * _LONG,
    b"[" + b"1," * 2_000 + b"1]",
    b"{" + b",".join(b'"k%d":"v"' % number for number in range(2_000)) + b"}",
    b"{" + b'"same":1,' * 20 + b'"same":2}',
    b"",
    b"undefined",
)
EVIL = NUMBERS * 2 + TEXTS * 2 + OTHERS
_LARGE = tuple(value for value in EVIL if len(value) > 1_000)
_SMALL = tuple(value for value in EVIL if len(value) <= 1_000)
PIECES = (
    *(
        b"\0",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b"=",
        b",",
        b";",
        b'"',
        b"'",
        b"\\",
        b"/",
        b"..",
        b"%",
        b"%00",
    ),
    *(
        b"%ff",
        b"\x7f",
        b"\x80",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xe2\x80\xae",
        b"\x1b[2J",
        b"-1",
        b"0",
        b"99999999999",
        b"1e999",
    ),
    *(b"nan", b"inf", b"true", b"null", b"{}", b"[]", b"$", b"&", b"<", b"A" * 300, b"A" * 9_000, b"\n" * 200),
)


class _Span(NamedTuple):
    """Where something stands: `start` to `end`, with its key from `key`, and the kind of its first character."""

    key: int
    start: int
    end: int


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


@functools.lru_cache(maxsize=4096)
def spans(document: bytes) -> tuple[_Span, ...]:
    """All values of a JSON document, those inside others too."""
    found: list[_Span] = []
    open_at: list[tuple[int, int]] = []
    key = -1
    tokens = list(_TOKEN.finditer(document))
    for place, token in enumerate(tokens):
        text = token[0]
        if text in (b"{", b"["):
            open_at.append((key, token.start()))
            key = -1
        elif text in (b"}", b"]"):
            if open_at:
                its_key, start = open_at.pop()
                found.append(_Span(its_key, start, token.end()))
            key = -1
        elif text not in (b",", b":"):
            if place + 1 < len(tokens) and tokens[place + 1][0] == b":":
                key = token.start()
            else:
                found.append(_Span(key, token.start(), token.end()))
                key = -1
    return tuple(found)


def evil(rng: random.Random) -> bytes:
    """A value that somebody may not have thought of; a large one now and then."""
    return rng.choice(_SMALL if rng.random() < 0.98 else _LARGE)


def mutate_json(rng: random.Random, document: bytes, others: Sequence[bytes]) -> bytes:
    """The document with a few values replaced, removed, doubled, moved or added."""
    places = spans(document)
    if not places:
        return mutate_bytes(rng, document, others)
    end = len(document) + 1
    for at in sorted(rng.choices(places, k=rng.choice((1, 1, 1, 2, 3, 6))), key=lambda at: -at.end):
        if at.end < end:  # from the last to the first, so that the places stay right
            end = at.start if at.key < 0 else at.key
            document = _change(rng, document, at, others)
    return mutate_bytes(rng, document, others) if rng.random() < 0.03 else document


def _change(rng: random.Random, document: bytes, at: _Span, others: Sequence[bytes]) -> bytes:
    how = rng.random()
    before, value, after = document[: at.start], document[at.start : at.end], document[at.end :]
    if how < 0.55:
        return before + evil(rng) + after
    if how < 0.7:
        other = rng.choice(others) if others else document
        values = spans(other) if len(other) < _LONG else ()
        taken = rng.choice(values) if values else _Span(0, 0, 0)
        return before + other[taken.start : taken.end] + after
    if at.key < 0:
        return before + b"[" + value + b"]" + after
    if how < 0.8:  # without it
        return document[: at.key] + after.removeprefix(b",")
    if how < 0.9:  # twice, the first time with another value
        return before + evil(rng) + b"," + document[at.key :]
    name = rng.choice((b"k", b"", b"name", b"ts", b"type", b"v", b"id", rb"\u0000", b"a" * 300))
    return document[: at.key] + b'"' + name + b'":' + evil(rng) + b"," + document[at.key :]


def mutate_bytes(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The bytes with a few of them changed, added, removed, repeated, or joined with others."""
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        place = rng.randrange(len(data) + 1)
        end = min(len(data), place + rng.choice((1, 1, 2, 4, 16, 64)))
        how = rng.randrange(8)
        if how == 0:
            data = data[:place] + rng.randbytes(rng.choice((1, 2, 8))) + data[end:]
        elif how == 1:
            data = data[:place] + data[end:]
        elif how == 2:
            data = data[:place] + data[place:end] * rng.choice((2, 3, 50)) + data[end:]
        elif how in (3, 4):
            data = data[:place] + rng.choice(PIECES) + data[end if how == 3 else place :]
        elif how == 5 and place < len(data):
            data = data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
        elif how == 6:
            other = rng.choice(others) if others else data
            data = data[:place] + other[rng.randrange(len(other) + 1) :]
        else:
            data = data[:place]
    return data[: 2 * _LONG]


def mutate_lines(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Text of lines, with some of them changed, moved, repeated, left out or taken from elsewhere."""
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        place = rng.randrange(len(lines)) if lines else 0
        how = rng.randrange(5)
        if how == 0 and lines:
            lines[place] = mutate_bytes(rng, lines[place], [])
        elif how == 1 and lines:
            del lines[place]
        elif how == 2 and lines:
            lines.insert(place, lines[rng.randrange(len(lines))])
        elif how == 3 and others:
            lines.insert(place, rng.choice(rng.choice(others).split(b"\n")))
        elif lines:
            name, mark, _ = lines[place].partition(rng.choice((b":", b"=", b": ")))
            lines[place] = name + mark + (evil(rng) if rng.random() < 0.5 else rng.choice(PIECES))
    return b"\n".join(lines)[: 2 * _LONG]


def as_json(document: object) -> bytes:
    """A document of a seed."""
    return json.dumps(document, separators=(",", ":")).encode()
