"""Whatever a script may hand over, on purpose or because something has gone wrong already."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

from hypothesis import strategies as st


def _refuse(*_args: object, **_kwargs: object) -> NoReturn:
    raise RuntimeError("refused")


class PanicException(BaseException):
    """As libraries of native code raise it: none of `Exception`."""


def _panic(*_args: object, **_kwargs: object) -> NoReturn:
    raise PanicException("of native code")


_ASKED = (
    "__str__", "__repr__", "__bool__", "__len__", "__iter__", "__eq__", "__lt__", "__float__", "__int__", "__index__",
    "__fspath__", "__format__", "__contains__", "__getitem__", "items", "keys", "get", "isalnum", "upper",
)  # fmt: skip


def hostile(*asked: str, answer: Callable[..., Any] = _refuse, base: type = object) -> object:
    """An object that refuses to say what it is asked for."""
    return type("Hostile", (base,), dict.fromkeys(asked, answer))()


class NoAttributes:
    """Whose attributes cannot even be looked for."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError(name)


class OwnText(str):
    """Text that stays of its own kind whatever is done with it."""

    __slots__ = ()

    def __str__(self) -> str:
        return self

    def upper(self) -> NoReturn:
        raise RuntimeError("upper")


class Endless(Mapping[str, str]):
    """A mapping without an end."""

    def __getitem__(self, key: str) -> str:
        return "v"

    def __len__(self) -> int:
        return 1 << 40

    def __iter__(self) -> Iterator[str]:
        while True:
            yield "k"

    def items(self) -> Iterator[tuple[str, str]]:  # type: ignore[override]
        while True:
            yield "k", "v"


class NameRefused(type):
    """A class that has no name."""

    __name__ = property(_refuse)  # type: ignore[assignment]


class Nameless(Exception, metaclass=NameRefused):  # noqa: N818
    """An exception whose class has no name."""

    __str__ = _refuse


def _ring() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    return deep


def _caused(error: BaseException) -> BaseException:
    error.__cause__ = error
    return error


_CHARACTERS = st.characters(exclude_characters="/")  # lone surrogates too; no path that leads anywhere
_TEXTS = st.text(_CHARACTERS, max_size=40)
_NUMBERS = st.one_of(st.integers(), st.sampled_from([1 << 70, -(1 << 70), 10**400, 0, -1, 3]), st.floats(),
                     st.decimals(), st.sampled_from([1e300, -1e300, Decimal("sNaN")]))  # fmt: skip
_PATHS = st.one_of(st.just(b"\xff\xfe.mp4"), st.just(Path("a.mp4")), st.just("\udc80\ud800.mp4"), st.just("\0.mp4"),
                   st.just("input/a.mp4"), st.just(Path("input")), st.just("x" * 5000))  # fmt: skip
_ERRORS = st.one_of(
    st.builds(ValueError, _TEXTS),
    st.sampled_from([OSError([], "no number"), OSError(2, "gone"), KeyError(), SystemExit(3), UnicodeError()]),
    st.just(Nameless()),
    st.builds(_caused, st.builds(RuntimeError, _TEXTS)),
)
_HOSTILE = st.one_of(
    st.builds(hostile, st.sampled_from(_ASKED), answer=st.sampled_from([_refuse, _panic])),
    st.builds(hostile, st.sampled_from(("__str__", "__bool__", "__eq__")), base=st.just(dict)),
    st.builds(hostile, st.sampled_from(("__str__", "encode")), base=st.just(str)),
    st.builds(lambda: hostile(*_ASKED)),
    st.builds(NoAttributes),
    st.builds(Endless),
    st.builds(OwnText, _TEXTS),
    st.builds(_ring),
    st.builds(_deep),
    st.just(type),
    st.just(len),
    st.just(logging.getLogger("any")),
)
_BYTES = st.binary(max_size=20).map(lambda data: data.replace(b"/", b"-"))
_SCALARS = st.one_of(
    *(st.none(), st.booleans(), _NUMBERS, _TEXTS, _BYTES, st.builds(bytearray, _BYTES), _PATHS, _ERRORS, _HOSTILE)
)


def anything() -> st.SearchStrategy[Any]:
    """Any value: text with lone surrogates, numbers without bounds, hostile objects, and collections of these."""
    keys = st.one_of(_TEXTS, st.none(), st.integers(), st.sampled_from(["video", "video_id", "hash", "error", "mac"]))
    return st.one_of(
        _SCALARS,
        st.lists(_SCALARS, max_size=3),
        st.lists(_SCALARS, max_size=3).map(tuple),
        st.dictionaries(keys, _SCALARS, max_size=4),
        st.dictionaries(keys, _SCALARS, max_size=2).map(OrderedDict),
        st.lists(st.dictionaries(_TEXTS, _SCALARS, max_size=2), max_size=2).map(iter),
    )
