"""Whatever a script hands over, made into text that is safe to store, show and cut."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

MAX_NAME = 128
"""Characters of a name, which becomes the value of a label."""

_CUT = "…"
_DIGITS = 16  # hexadecimal, of the hash that stands for the rest of a long name
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
UNSAFE = (
    *range(0x20),  # controls C0, with which a terminal is steered
    *range(0x7F, 0xA0),  # DEL and controls C1
    0xAD,  # from here on what is not seen, or turns the direction of writing (Unicode UAX #9)
    0x61C,
    0x180E,
    0x200B,  # not the joiners behind it: words of some languages, and emoji, are made with them
    *range(0x200E, 0x2010),
    *range(0x2028, 0x202F),  # line and paragraph separators among them
    *range(0x2060, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
)
"""Characters that could rewrite a terminal, forge or reorder a line, or make two names look the same."""


def many(count: int, thing: str) -> str:
    """How many of a thing: `1 file`, `2 files`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


ENDS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""How a program is asked to end. It may be asked while the objects of others are: these go on.

Anything else that others raise is of no use to anybody; libraries of native code raise what is no `Exception`.
"""

_name_of_class = vars(type)["__name__"].__get__


def _escape_code(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_ESCAPES = {code: _escape_code(code) for code in UNSAFE}
_ONE_LINE = _ESCAPES | dict.fromkeys((0x09, 0x0A, 0x0D, 0x2028, 0x2029), " ")
_MANY_LINES = _ESCAPES | {0x09: "\t", 0x0A: "\n", 0x2028: "\n", 0x2029: "\n"}


def name(value: object) -> str:
    """`value` as a name: one line of at most `MAX_NAME` characters, so that two long names stay two."""
    text = printed(value)
    if len(text) <= MAX_NAME:
        text = text if text.isprintable() else encodable(text).translate(_ONE_LINE)
    return text if len(text) <= MAX_NAME else _hashed_name(text)


def label(text: str) -> str:
    """A name of any origin as the value of a label: of bounded length, in UTF-8, and no two of them become alike."""
    if len(text) <= MAX_NAME and (text.isprintable() or encodable(text) == text):
        return text
    return _hashed_name(text)


def _hashed_name(text: str) -> str:
    """The beginning of a name, and a hash of all of it."""
    import hashlib

    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
    beginning = encodable(text[:MAX_NAME]).translate(_ONE_LINE)
    return f"{beginning[: MAX_NAME - _DIGITS - 1]}~{digest}"


def line(value: object, limit: int) -> str:
    """`value` as one line of at most `limit` bytes of UTF-8; line breaks become blanks."""
    text = printed(value)
    if len(text) * 4 <= limit and text.isprintable():
        return text
    return _cut_text(encodable(text[:limit]).translate(_ONE_LINE), limit, longer=len(text) > limit)


def lines(value: object, limit: int) -> str:
    """`value` as text of at most `limit` bytes of UTF-8 that may have several lines."""
    text = printed(value)
    if len(text) * 4 <= limit and text.isprintable():
        return text
    whole = encodable(text[:limit]).replace("\r\n", "\n").translate(_MANY_LINES)
    return _cut_text(whole, limit, longer=len(text) > limit)


def escaped(text: str) -> str:
    """`text`, whole, with what is unsafe written as escapes; lines stay lines."""
    return text if text.isprintable() else text.translate(_MANY_LINES)


def stamp(seconds: float) -> str:
    """Unix seconds as ``2026-01-31T23:59:59``, UTC; what no calendar has, as its first or last second."""
    known = seconds if 0 <= seconds <= _LAST_SECOND else _LAST_SECOND if seconds > 0 else 0
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(known))


def last_lines(value: object, limit: int) -> str:
    """As `lines`, but the *end* of a long text is kept."""
    text = printed(value)
    data = encodable(text[-limit:]).replace("\r\n", "\n").translate(_MANY_LINES).encode()
    if len(data) <= limit and len(text) <= limit:
        return data.decode()
    return _CUT + data[-(limit - len(_CUT.encode())) :].decode(errors="ignore")


def described(value: object, limit: int, without: Collection[str] = ()) -> str:
    """A mapping as `listing` has it, anything else as `lines`. As far as it can be read."""
    return listing(value, limit, without) if is_mapping(value) else lines(value, limit)  # type: ignore[arg-type]


def listing(value: Mapping[Any, object], limit: int, without: Collection[str] = ()) -> str:
    """A mapping as lines ``key: value``, but for the keys `without`; of at most `limit` bytes together."""
    parts: list[str] = []
    room = limit
    try:
        for key, item in value.items():
            if type(key) is str and key in without:
                continue
            parts.append(f"{line(key, 200)}: {lines(item, limit)}")
            room -= len(parts[-1])
            if room < 0:
                break
    except ENDS:
        raise
    except BaseException as error:
        parts.append(f"(the rest cannot be read: {kind(error)}: {printed(error)})")
    return lines("\n".join(parts), limit)


def is_mapping(value: object) -> bool:
    """Whether it is a mapping, or behaves like one."""
    try:
        return hasattr(value, "items") and not isinstance(value, type)
    except ENDS:
        raise
    except BaseException:
        return False


def kind(value: object) -> str:
    """The name of a value's class, whatever the class says of itself."""
    return str(_name_of_class(type(value)))


def truth(value: object) -> bool:
    """Whether `value` is true; what cannot say so is not."""
    try:
        return bool(value)
    except ENDS:
        raise
    except BaseException:
        return False


def printed(value: object) -> str:
    """``str(value)``, and a description of `value` where that fails: the ``__str__`` of others may raise."""
    if type(value) is str:
        return value
    try:
        if isinstance(value, bytes | bytearray):
            return value.decode(errors="replace")
        return str.__str__(str(value))  # the `__str__` of others may give a kind of text of their own
    except ENDS:
        raise
    except BaseException as error:
        return f"<{kind(value)} that cannot be printed: {kind(error)}>"


def path(value: object, limit: int) -> str:
    """A path or a name of a file, in any of Python's forms."""
    try:
        return line(os.fsdecode(value), limit)  # type: ignore[arg-type]
    except ENDS:
        raise
    except BaseException:
        return line(value, limit)


def video(value: object, limit: int) -> str:
    """A video as a script names it. A relative path begins at the root: who reads of it elsewhere finds the file.

    A name without a folder stays one, for it need not be a file's.
    """
    try:
        name = os.fsdecode(value)  # type: ignore[arg-type]
        is_path = os.sep in name or not isinstance(value, str | bytes)
        if name and name[0] != os.sep and is_path and "://" not in name:
            name = os.path.abspath(name)
    except ENDS:
        raise
    except BaseException:  # it is no path, or the working directory is gone
        return path(value, limit)
    return line(name, limit)


def path_bytes(value: object) -> bytes:
    """A path as the system takes it. Raises `ValueError` for what is none, whatever it is."""
    try:
        return os.fsencode(value)  # type: ignore[arg-type]
    except ENDS:
        raise
    except BaseException as error:
        raise ValueError(f"{kind(value)} is no path: {kind(error)}: {printed(error)}") from None


def encodable(text: str) -> str:
    """`text` in UTF-8: what is half a character is shown as `?`."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _cut_text(text: str, limit: int, *, longer: bool) -> str:
    data = text.encode()
    if len(data) <= limit and not longer:
        return text
    return data[: limit - len(_CUT.encode())].decode(errors="ignore") + _CUT
