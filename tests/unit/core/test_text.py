import pytest

from vv_core.common import texts


@pytest.mark.parametrize("limit", [10, 11, 12, 13])
@pytest.mark.parametrize("char", ["x", "é", "日", "😀", "\0"])
def test_text_is_cut_at_whole_characters_within_its_bytes(char: str, limit: int) -> None:
    for cut in (texts.line(char * 100, limit), texts.lines(char * 100, limit), texts.last_lines(char * 100, limit)):
        assert limit - 4 <= len(cut.encode()) <= limit
        assert "…" in cut


def test_text_that_fits_is_left_as_it_is() -> None:
    text = "Grüße {{ .X }} <!channel> 日本"

    assert text == texts.line(text, 100) == texts.lines(text, 100) == texts.last_lines(text, 100)


def test_the_end_of_long_output_is_kept() -> None:
    assert texts.last_lines("1234567890", 6) == "…890"


def test_lines_end_in_newlines_alone() -> None:
    assert texts.lines("a\r\nb\u2028c\rd", 100) == "a\nb\nc\\x0dd"


def test_what_steers_a_terminal_or_turns_a_line_is_shown_instead() -> None:
    assert texts.line("\x1b[2J\0\x9b\u202e", 100) == "\\x1b[2J\\x00\\x9b\\u202e"


def test_lone_surrogates_are_replaced() -> None:
    assert "a?" == texts.line("a\udcff", 100) == texts.path(b"a\xff", 100)


UNSEEN = ("\x1b", "\x07", "\x7f", "\x9b", "\xad", "\u061c", "\u200b", "\u200e", "\u200f", "\u202a", "\u202e",
          "\u2060", "\u2066", "\u2069", "\ufeff", "\ufff9", "\U000e0041")  # fmt: skip


@pytest.mark.parametrize("char", UNSEEN)
def test_what_is_not_seen_is_written_as_an_escape(char: str) -> None:
    escape = char.encode("unicode_escape").decode()

    for made in (texts.line, texts.lines, texts.last_lines):
        assert made(f"a{char}b", 100) == f"a{escape}b"
    assert texts.escaped(f"a\n{char}b") == f"a\n{escape}b"


def test_what_is_seen_stays() -> None:
    text = "ملف עברית می\u200cخواهم 日本 é 😀 👩\u200d👧 \N{NO-BREAK SPACE}…"

    assert text == texts.line(text, 100) == texts.escaped(text)
