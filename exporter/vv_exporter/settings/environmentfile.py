"""A file of settings as systemd reads it for a service: `EnvironmentFile=` of systemd.exec(5). No shell is involved.

So `&`, `$`, `;` and blanks within a value are themselves, `export` is not known, and nothing is executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLANK, _ENDS = " \t\r", "\n\r"
_BYTE_ORDER_MARK = "\ufeff"
_AROUND = _BYTE_ORDER_MARK + "\"'" + _BLANK
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEPT_IN_QUOTES = '"\\`$'
"""What a backslash in double quotes takes away from; before anything else it is itself."""


def parse_environment_file(text: str) -> dict[str, str]:
    """The variables of the file; of one that stands twice, the last. Lines that are none are passed over."""
    return {key: value for key, value in _parse_assignments(text) if _NAME.fullmatch(key)}


def passed_over(text: str) -> list[str]:
    """What is wrong with lines that look like settings and are passed over; values are not quoted."""
    return [
        f"{key.strip(_AROUND).removeprefix('export ').strip()}: {_why_odd(key)}"
        ", so that the service passes its line over"
        for key, _ in _parse_assignments(text)
        if not _NAME.fullmatch(key) and _NAME.fullmatch(key.strip(_AROUND).removeprefix("export ").strip())
    ]


def _why_odd(key: str) -> str:
    if key.startswith(_BYTE_ORDER_MARK):
        return "a byte order mark stands before it (save the file as UTF-8 without one)"
    return "`export` stands before it" if key.startswith("export") else "a quote stands beside its name"


def _parse_assignments(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        key, position = _parse_key(text, position)
        if key is None:
            continue
        value, position = _parse_value(text, position)
        yield key, value


def environment_line(name: str, value: str) -> str:
    """The line that gives a variable this value."""
    quoted = re.sub(r'(["\\`$])', r"\\\1", value)
    return f'{name}="{quoted}"\n'


def _parse_key(text: str, position: int) -> tuple[str | None, int]:
    """What stands before the `=` of a line, and where its value begins; None for a line without one."""
    while position < len(text) and text[position] in _BLANK + _ENDS:
        position += 1
    end = _line_end(text, position)
    line = text[position:end]
    if line[:1] in ("#", ";") or "=" not in line:
        return None, end + 1
    key = line.partition("=")[0]
    return key.rstrip(_BLANK), position + len(key) + 1


def _parse_value(text: str, position: int) -> tuple[str, int]:
    """The value from there on, and where the next line begins. It may be in quotes, and go on behind a backslash."""
    value, kept, started = "", 0, False
    while position < len(text):
        char = text[position]
        position += 1
        if char in _ENDS:
            break
        if not started and char in "'\"":
            part, position = _parse_quoted(text, position, char)
            value += part
            kept = len(value)
        elif char == "\\":
            started = True
            if position < len(text) and text[position] not in _ENDS:
                value += text[position]
                kept = len(value)
            position += 1
        elif started or char not in _BLANK:
            started = True
            value += char
            kept = kept if char in _BLANK else len(value)
    return value[:kept], position


def _parse_quoted(text: str, position: int, quote: str) -> tuple[str, int]:
    part = ""
    while position < len(text) and text[position] != quote:
        char = text[position]
        position += 1
        if char == "\\" and quote == '"' and position < len(text):
            following = text[position]
            position += 1
            part += following if following in _KEPT_IN_QUOTES else "" if following == "\n" else char + following
        else:
            part += char
    return part, position + 1


def _line_end(text: str, position: int) -> int:
    ends = [end for end in (text.find(char, position) for char in _ENDS) if end >= 0]
    return min(ends, default=len(text))
