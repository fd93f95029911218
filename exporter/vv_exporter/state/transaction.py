"""What the store keeps (series, documents), and a transaction: changes of it that are kept together or not at all."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar

import msgspec

from vv_exporter.metrics import Labels, Metric, label_values
from vv_exporter.state.database import BrokenRow

if TYPE_CHECKING:
    from vv_exporter.state.store import Store

P = ParamSpec("P")
T = TypeVar("T", bound=msgspec.Struct)
_ABSENT = object()


class Series(NamedTuple):
    """One series: a counter's or gauge's value, or a histogram's sum with its counts per bucket (+Inf last)."""

    value: float
    created: float
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[T]):
    """A kind of document: its name in the database and the (frozen) Struct it is stored as.

    With a `limit` there are at most so many: the longest untouched gives way, counted under `family`, the metric that
    shows these documents; those of a higher `importance` come after others, and last those whose `subject` is a name
    of the configuration.
    """

    name: str
    type: type[T]
    limit: int = 0
    family: Metric | None = None
    subject: Callable[[T], str] | None = None
    importance: Callable[[T], int] = lambda _: 0

    def __post_init__(self) -> None:
        KINDS[self.name] = self


KINDS: dict[str, Kind[Any]] = {}
"""All kinds of documents that there are in this program, by name."""


@dataclass(slots=True)
class _Index:
    """Keys of documents by what was read off them; some may be deleted or changed since."""

    keys: dict[str, dict[str, None]] = field(default_factory=dict)
    seen: int = 0
    """How many of those that were stored in the transaction it knows."""


class Transaction:
    """Changes that are kept together; reads see the changes made so far."""

    def __init__(self, store: Store, now: float) -> None:
        self._store = store
        self.now = now
        self.series: dict[tuple[str, Labels], Series | None] = {}
        self.documents: dict[tuple[str, str], msgspec.Struct | None] = {}
        self.history: list[tuple[str, float, bytes]] = []
        self.history_moves: list[tuple[float, float, float]] = []
        self.kinds: dict[str, Kind[Any]] = {}
        self.broken: list[BrokenRow] = []  # to be deleted
        self.may_wait = False
        """Whether all of it is made again should it be lost, or is not missed: it need not be on the disk at once."""
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._attempting = False
        self._keys: dict[str, dict[str, None]] = {}  # of `documents`, by kind
        self._put: dict[str, list[str]] = {}  # keys by kind, in the order in which they were stored
        self._indexes: dict[tuple[str, Callable[[Any], str]], _Index] = {}

    def attempt(self, change: Callable[Concatenate[Transaction, P], None], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Make a change of which nothing remains if it raises. Gives whether it changed anything."""
        changes, entries, nested = len(self._undo), len(self.history), self._attempting
        self._attempting = True
        try:
            change(self, *args, **kwargs)
            return len(self._undo) > changes or len(self.history) > entries
        except BaseException:
            self._roll_back(changes, entries)
            raise
        finally:
            self._attempting = nested
            if not nested:
                self._undo.clear()

    def ensure(self, metric: Metric, *all_labels: Labels) -> None:
        """Let series begin at 0 before anything is counted in them, so that Prometheus sees their first event."""
        for labels in all_labels:
            key = metric.name, label_values(labels)
            if self._find(key) is None:
                self._change(self.series, key, self._begin(metric))

    def inc(self, metric: Metric, labels: Labels = (), amount: float = 1.0) -> None:
        """Add to a counter; a series that is new starts at 0 now."""
        key = metric.name, label_values(labels)
        current = self._find(key) or self._begin(metric)
        self._change(self.series, key, Series(finite(current.value + amount), current.created))

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """Set a gauge."""
        key = metric.name, label_values(labels)
        current = self._find(key) or self._begin(metric)
        self._change(self.series, key, Series(finite(value), current.created))

    def observe(self, metric: Metric, labels: Labels, value: float) -> None:
        """Count one observation of a histogram."""
        key = metric.name, label_values(labels)
        current = self._find(key) or self._begin(metric)
        counts = list(current.counts)
        counts[bisect_left(metric.buckets, value)] += 1
        self._change(self.series, key, Series(finite(current.value + value), current.created, tuple(counts)))

    def remove(self, metric: Metric, labels: Labels) -> None:
        """Forget a series."""
        key = metric.name, label_values(labels)
        if self._find(key) is not None:
            self._change(self.series, key, None)

    def value(self, metric: Metric, labels: Labels = ()) -> float | None:
        """A counter's or gauge's value, None when there is no such series."""
        current = self.find(metric, labels)
        return None if current is None else current.value

    def find(self, metric: Metric, labels: Labels) -> Series | None:
        """The series, None when there is none."""
        return self._find((metric.name, label_values(labels)))

    def get(self, kind: Kind[T], key: str) -> T | None:
        """The document with this key."""
        if (kind.name, key) in self.documents:
            return self.documents[kind.name, key]  # type: ignore[return-value]
        return self._store.documents(kind).get(key)

    def put(self, kind: Kind[T], key: str, document: T) -> None:
        """Store or replace a document."""
        self.kinds[kind.name] = kind
        self._put.setdefault(kind.name, []).append(key)
        self._change(self.documents, (kind.name, key), document)

    def delete(self, kind: Kind[T], key: str) -> None:
        """Forget a document."""
        if key in self._store.documents(kind):
            self._change(self.documents, (kind.name, key), None)
        elif (kind.name, key) in self.documents:
            self._change(self.documents, (kind.name, key), _ABSENT)

    def docs(self, kind: Kind[T]) -> dict[str, T]:
        """All documents of a kind, by key."""
        found: dict[str, Any] = self._store.docs(kind)
        for key in self._keys.get(kind.name, ()):
            document = self.documents[kind.name, key]
            if document is None:
                found.pop(key, None)
            else:
                found[key] = document
        return found

    def having(self, kind: Kind[T], of: Callable[[T], str], value: str) -> dict[str, T]:
        """The documents of which `of` (one function each time) gives this value, without a look at all others."""
        index = self._indexes.get((kind.name, of))
        if index is None:
            index = self._indexes[kind.name, of] = _Index()
            for key, document in self._store.docs(kind).items():
                index.keys.setdefault(of(document), {})[key] = None
        stored = self._put.get(kind.name, [])
        for key in stored[index.seen :]:
            document = self.get(kind, key)  # type: ignore[assignment]
            if document is not None:
                index.keys.setdefault(of(document), {})[key] = None
        index.seen = len(stored)
        found = ((key, self.get(kind, key)) for key in index.keys.get(value, ()))
        return {key: document for key, document in found if document is not None and of(document) == value}

    def count(self, kind: Kind[T]) -> int:
        """At least how many documents of a kind there are (those deleted just now included)."""
        return self._store.count(kind) + len(self._keys.get(kind.name, ()))

    def append(self, kind: str, time: float, body: Mapping[str, Any]) -> None:
        """Add an entry to a history."""
        self.history.append((kind, finite(time), msgspec.json.encode(body)))

    def move_history(self, since: float, until: float, by: float) -> None:
        """Let all entries between two times come so many seconds later, or earlier."""
        self.history_moves.append((by, since, until))

    def _begin(self, metric: Metric) -> Series:
        return Series(0.0, self.now, (0,) * (len(metric.buckets) + 1) if metric.type == "histogram" else ())

    def _find(self, key: tuple[str, Labels]) -> Series | None:
        return self.series[key] if key in self.series else self._store.families[key[0]].get(key[1])

    def _change(self, target: dict[Any, Any], key: Any, value: Any) -> None:
        if self._attempting:
            self._undo.append((target, key, target.get(key, _ABSENT)))
        if target is self.series:  # the usual case: what is counted
            target[key] = value
        else:
            self._assign(target, key, value)

    def _assign(self, target: dict[Any, Any], key: Any, value: Any) -> None:
        assign(target, key, value, absent=_ABSENT)
        if target is self.documents:
            assign(self._keys.setdefault(key[0], {}), key[1], None if value is not _ABSENT else _ABSENT, absent=_ABSENT)

    def _roll_back(self, changes: int, entries: int) -> None:
        for target, key, before in reversed(self._undo[changes:]):
            self._assign(target, key, before)
        del self._undo[changes:]
        del self.history[entries:]


def assign(target: dict[Any, Any], key: Any, value: Any, absent: object = None) -> None:
    """Set it, or delete it where the value says that there is none."""
    if value is absent:
        target.pop(key, None)
    else:
        target[key] = value


def finite(value: float) -> float:
    """A number that can be stored. Raises `ValueError` for another."""
    number = float(value)
    if not isfinite(number):
        raise ValueError(f"{value} cannot be stored")
    return number
