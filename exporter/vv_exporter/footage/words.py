"""Causes and durations as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from vv_exporter.footage.causes import CAUSES
from vv_exporter.language import gettext as _
from vv_exporter.language.sentences import Sentence, sentence


def words(cause: str, detail: str = "") -> str:
    """A cause as people read it."""
    return _in_words(cause, detail).spoken()


def describe_part(start: str, end: str, seconds: float, cause: str, detail: str) -> Sentence:
    """A part of a hole, for the timeline: from when to when, how long it was, and why."""
    return sentence(
        "{start} to {end} ({length}): {cause}",
        start=start, end=end, length=length(seconds), cause=_in_words(cause, detail),
    )  # fmt: skip


def join_lines(lines: Iterable[Sentence]) -> Sentence:
    """Each in a line of its own."""
    values = {f"line{number}": line for number, line in enumerate(lines)}
    return Sentence("\n".join(f"{{{name}}}" for name in values), {**values})


def _in_words(cause: str, detail: str) -> Sentence:
    said = Sentence(CAUSES.get(cause, cause))
    return Sentence("{cause} ({detail})", {"cause": said, "detail": detail}) if detail else said


def length(seconds: float) -> str:
    """A duration in at most two units: `14 min 20 s`."""
    left, found = round(seconds), list[str]()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            found.append(f"{count} {unit}")
    return " ".join(found[:2]) or (_("under 1 s") if seconds > 0 else "0 s")
