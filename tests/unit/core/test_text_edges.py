"""Names and texts at the edges of what fits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from vv_core.common import texts

HASH = 16


@pytest.mark.parametrize(("length", "whole"), [(127, True), (128, True), (129, False)])
@pytest.mark.parametrize("make", [texts.name, texts.label])
def test_a_name_of_128_characters_is_whole(make: Any, length: int, whole: bool) -> None:
    text = "a" * length
    made = make(text)

    assert (made == text) == whole
    assert len(made) <= 128 == texts.MAX_NAME
    if not whole:
        assert made[:-HASH] == "a" * 111 + "~"
        assert len(made) == 128


@pytest.mark.parametrize("make", [texts.name, texts.label])
def test_long_names_that_differ_at_their_end_stay_two(make: Any) -> None:
    assert make("a" * 200 + "b") != make("a" * 200 + "c")


def test_a_name_is_one_line_without_what_is_unseen() -> None:
    assert texts.name("a\nb\tc\u2028d\x07") == "a b c d\\x07"
    assert texts.name("a\udcff") == "a?"
    # What an escape makes too long is hashed.
    long = texts.name("\x07" * 100)
    assert len(long) == 128
    assert long[111] == "~"
    assert long.startswith("\\x07\\x07")


def test_a_label_keeps_what_is_unseen_in_utf_8_and_no_two_become_alike() -> None:
    assert texts.label("a\x07b") == "a\x07b"
    assert texts.label("a?") == "a?"
    assert texts.label("a\udcff") != "a?"
    assert texts.label("a\udcff") != texts.label("a\udcfe")
    assert texts.label("a\udcff").startswith("a?~")


def test_what_is_unseen_is_these() -> None:
    unsafe = set(texts.UNSAFE)
    for inside in (0, 0x1F, 0x7F, 0x9F, 0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, 0x2028, 0x202E, 0x2060, 0x206F,
                   0xFEFF, 0xFFF9, 0xFFFB, 0xE0000, 0xE007F):  # fmt: skip
        assert inside in unsafe, hex(inside)
        assert (inside - 1 in unsafe or inside + 1 in unsafe) == (inside not in (0xAD, 0x61C, 0x180E, 0x200B, 0xFEFF))
    for outside in (0x20, 0x7E, 0xA0, 0xAC, 0xAE, 0x61B, 0x61D, 0x180D, 0x180F, 0x200A, 0x200C, 0x200D, 0x2010, 0x2027,
                    0x202F, 0x205F, 0x2070, 0xFEFE, 0xFF00, 0xFFF8, 0xFFFC, 0xDFFFF, 0xE0080):  # fmt: skip
        assert outside not in unsafe, hex(outside)


@pytest.mark.parametrize(
    ("char", "escape"),
    [("\x00", "\\x00"), ("\xad", "\\xad"), ("\u061c", "\\u061c"), ("\ufeff", "\\ufeff"), ("\U000e0041", "\\U000e0041")],
)
def test_an_escape_is_as_pythons(char: str, escape: str) -> None:
    assert texts.line(f"a{char}", 100) == f"a{escape}"


@pytest.mark.parametrize("make", [texts.line, texts.lines, texts.last_lines])
@pytest.mark.parametrize("char", ["a", "é", "日", "😀", "\x07"])
@pytest.mark.parametrize("length", range(1, 14))
def test_a_text_is_whole_if_it_fits_and_as_long_as_may_be_if_not(make: Any, char: str, length: int) -> None:
    limit = 12
    shown = ("\\x07" if char == "\x07" else char) * length
    made = make(char * length, limit)

    if len(shown.encode()) <= limit:
        assert made == shown
    else:
        size = 1 if char == "\x07" else len(char.encode())
        kept = made.removesuffix("…") if make is not texts.last_lines else made.removeprefix("…")
        assert len(kept) == (limit - 3) // size
        assert len(made) == len(kept) + 1


def test_a_text_that_is_longer_than_its_limit_in_characters_is_cut() -> None:
    assert texts.line("a" * 12, 12) == "a" * 12
    assert texts.line("a" * 13, 12) == "a" * 9 + "…"
    assert texts.last_lines("x" * 2 + "b" * 12, 12) == "…" + "b" * 9
    # Two that become one: the text was longer than it looks.
    assert texts.lines("a\r\n" * 5, 12) == "a\na\na\na\n…"
    assert texts.last_lines("\r\n" * 7, 12).startswith("…")


def test_lines_stay_lines_and_a_line_becomes_one() -> None:
    assert texts.lines("a\tb\nc\u2029d", 100) == "a\tb\nc\nd"
    assert texts.line("a\tb\nc\u2029d\re", 100) == "a b c d e"
    assert texts.escaped("a\tb\nc\u2029d\x07") == "a\tb\nc\nd\\x07"
    assert texts.last_lines("a\r\nb\x07", 100) == "a\nb\\x07"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "1970-01-01T00:00:00"),
        (1.9, "1970-01-01T00:00:01"),
        (-1, "1970-01-01T00:00:00"),
        (253_402_300_799, "9999-12-31T23:59:59"),
        (253_402_300_800, "9999-12-31T23:59:59"),
        (float("inf"), "9999-12-31T23:59:59"),
        (float("nan"), "1970-01-01T00:00:00"),
    ],
)
def test_a_stamp_is_of_the_calendar(seconds: float, shown: str) -> None:
    assert texts.stamp(seconds) == shown


class Broken:
    """Raises whatever it is asked."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error

    def __bool__(self) -> bool:
        raise self.error

    def __fspath__(self) -> str:
        raise self.error

    def __getattr__(self, name: str) -> Any:
        raise self.error


class Odd(BaseException):
    """As libraries of native code raise it."""


def test_what_fails_is_described_and_no_more() -> None:
    broken = Broken(Odd())

    assert texts.printed(broken) == "<Broken that cannot be printed: Odd>"
    assert texts.truth(broken) is False
    assert texts.is_mapping(broken) is False
    assert texts.path(broken, 100) == "<Broken that cannot be printed: Odd>"
    with pytest.raises(ValueError, match="Broken is no path: Odd"):
        texts.path_bytes(broken)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_who_is_asked_to_end_ends(error: BaseException) -> None:
    broken = Broken(error)

    for ask in (texts.printed, texts.truth, texts.is_mapping, texts.path_bytes, lambda one: texts.path(one, 9)):
        with pytest.raises(type(error)):
            ask(broken)
    with pytest.raises(type(error)):
        texts.listing(Endless(error), 100)  # type: ignore[arg-type]


class Endless:
    """A mapping that gives one item, and then raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def items(self) -> Iterator[tuple[str, str]]:
        yield "a", "b"
        raise self.error


def test_of_a_mapping_the_rest_may_not_be_readable() -> None:
    assert texts.listing(Endless(Odd("x")), 100) == "a: b\n(the rest cannot be read: Odd: x)"  # type: ignore[arg-type]


def test_a_mapping_is_lines_without_some_keys_and_within_its_limit() -> None:
    assert texts.listing({"a": 1, "b": "x\ny", 3: None}, 100, without=("b",)) == "a: 1\n3: None"
    assert texts.described({"a": 1, "b": 2}, 100, ("a",)) == "b: 2"
    assert texts.described("text", 100) == "text"
    assert texts.described({}.__class__, 100) == "<class 'dict'>"
    assert len(texts.listing(dict.fromkeys(map(str, range(1000)), "x"), 50).encode()) <= 50
    assert texts.listing({"k" * 201: "v"}, 1000) == "k" * 197 + "…: v"
    assert texts.listing({"k" * 200: "v"}, 1000) == "k" * 200 + ": v"


def test_no_more_of_a_mapping_is_read_than_fits() -> None:
    class Counted(dict[str, str]):
        read = 0

        def items(self) -> Any:
            for item in super().items():
                self.read += 1
                yield item

    many = Counted(dict.fromkeys(map(str, range(10)), "123456"))  # each is nine characters
    texts.listing(many, 18)
    assert many.read == 3
    growing = Counted({"a": "1", "b": "2" * 20, "c": "3", "d": "4"})
    texts.listing(growing, 20)
    assert growing.read == 2


def test_texts_of_other_kinds() -> None:
    class Own(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "other"

    assert texts.printed(b"a\xff") == "a\ufffd"
    assert texts.printed(bytearray(b"a")) == "a"
    assert texts.printed(5) == "5"
    assert type(texts.printed(Own("x"))) is str
    assert texts.path(b"/a\xff", 100) == "/a?"
    assert texts.path(5, 100) == "5"
    assert texts.path_bytes("/a") == b"/a"
    assert texts.kind(5) == "int"
    assert (texts.truth([1]), texts.truth([])) == (True, False)
    assert texts.is_mapping({})
    assert not texts.is_mapping(dict)
    assert not texts.is_mapping([])
