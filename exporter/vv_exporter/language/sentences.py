"""Sentences that are kept, and put into the reader's language where they are read.

What is written down today is read tomorrow, by somebody else in another language. So the message of the catalogue is
kept with its values, and not what one language makes of them::

    sentence("Stage {stage} failed", stage=stage)
    nsentence("{count} event lost", "{count} events lost", count=count)

`make messages` gathers both. A message that a later version no longer has is read in English.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias, Union

import msgspec

from vv_exporter.language import ENGLISH, decimal, gettext, ngettext, speaking

Value: TypeAlias = Union[str, int, float, "Sentence"]


class Sentence(msgspec.Struct, frozen=True, array_like=True):
    """A message, its values by the names of its places, and its form for many, if it counts (`count`).

    A float is shown with one decimal place. A value may be a sentence itself.
    """

    message: str
    values: dict[str, Value] = {}  # msgspec copies it
    many: str = ""

    def __str__(self) -> str:
        """In English."""
        with speaking(ENGLISH):
            return self.spoken()

    def spoken(self) -> str:
        """In the current language. Raises `LookupError`, `ValueError`, `AttributeError` for a place without value."""
        count = self.values.get("count")
        if self.many and isinstance(count, int):
            message = ngettext(self.message, self.many, count)
        else:
            message = gettext(self.message)
        return message.format_map({name: _spoken(value) for name, value in self.values.items()})

    def of(self, **values: Value) -> Sentence:
        """The same of these values."""
        return Sentence(self.message, {**self.values, **_kept(values)}, self.many)

    def with_texts(self, change: Callable[[str], str]) -> Sentence:
        """With each text among its values changed, also in the sentences among them."""
        return Sentence(self.message, {name: _changed(value, change) for name, value in self.values.items()}, self.many)


def sentence(message: str, **values: Value) -> Sentence:
    """A message of the catalogue with its values."""
    return Sentence(message, _kept(values))


def nsentence(one: str, many: str, **values: Value) -> Sentence:
    """A message that has a form for one and one for many: `count` says how many."""
    return Sentence(one, _kept(values), many)


def _kept(values: Mapping[str, Value]) -> dict[str, Value]:
    """JSON has no numbers that are none."""
    return {name: f"{value:.1f}" if _is_none(value) else value for name, value in values.items()}


def _is_none(value: Value) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _spoken(value: Value) -> str:
    if isinstance(value, Sentence):
        return value.spoken()
    return decimal(f"{value:.1f}") if isinstance(value, float) else str(value)


def _changed(value: Value, change: Callable[[str], str]) -> Value:
    if isinstance(value, Sentence):
        return value.with_texts(change)
    return change(value) if isinstance(value, str) else value
