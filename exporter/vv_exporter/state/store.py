"""The exporter's durable memory: series, documents and history, changed together or not at all.

Everything lives in one SQLite database with one connection. A transaction collects its changes, writes them in one
SQL transaction, and shows them to readers only after the commit. Readers never touch the disk.

A transaction that says so (`Transaction.may_wait`) is shown at once and written later, with the next one that does not
or by `commit`, in one SQL transaction: what the disk has is always the state after some transaction, without those
after it. It is for changes that are made again when they were lost (`journal.reader`), or whose last minute is not
missed. What the timeline tells never waits.

What is bounded (`Metric.limit`, `Kind.limit`) keeps what was touched last: where there is more than may be, the longest
untouched gives way, save names of the configuration (`reserved`), and `vv_series_limited_total` counts it. The order
of touches is not written down. After a restart, until touched again, what has been there for longest comes last: it is
the likeliest to be touched again.

A row that cannot be read costs itself only: it is logged, counted in `vv_events_rejected_total{reason="stored"}`, and
deleted.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, Protocol, TypeVar

import msgspec

from vv_exporter.metrics import Labels, Metric, all_metrics, label_values
from vv_exporter.metrics.exporter import EVENTS_REJECTED, SERIES_LIMITED
from vv_exporter.state import database
from vv_exporter.state.changedrows import ChangedRows, json_decoder
from vv_exporter.state.database import BrokenRow, ContentError, StoreError, delete_broken_row, has_room, open_database
from vv_exporter.state.searching import Search, conditions

log = logging.getLogger(__name__)

_MAX_ROWS_LOGGED = 20  # of those that cannot be read, each start
_SEARCHED_ROWS = 5000  # entries that are looked at in one step, while no writer can write
_DELETED_ROWS = 2000  # the same, deleted
_UNUSED_BYTES = 8 << 20  # of the database's file, and a fourth of it: what it holds ready for entries to come
_GIVEN_BACK_BYTES = 2 << 20  # to the disk in one step

P = ParamSpec("P")
D = TypeVar("D")
T = TypeVar("T", bound=msgspec.Struct)
_ABSENT = object()
_Buckets = tuple[tuple[float, ...], tuple[int, ...]]


_CONTENT_ERRORS = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    msgspec.MsgspecError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


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


class Record(NamedTuple):
    """One entry of a history."""

    id: int
    time: float
    body: dict[str, Any]


@dataclass(slots=True)
class _Index:
    """Keys of documents by what was read off them; some may be deleted or changed since."""

    keys: dict[str, dict[str, None]] = field(default_factory=dict)
    seen: int = 0
    """How many of those that were stored in the transaction it knows."""


class Timekeeper(Protocol):
    """Lets what is kept follow a clock that was set; see `timekeeping`."""

    def is_set(self, now: float) -> bool:
        """Whether it was set since."""
        ...

    def follow(self, tx: Transaction, store: Store) -> None:
        """The first changes of a transaction."""
        ...

    def followed(self) -> None:
        """They are written."""
        ...


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
        self._change(self.series, key, Series(_finite(current.value + amount), current.created))

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """Set a gauge."""
        key = metric.name, label_values(labels)
        current = self._find(key) or self._begin(metric)
        self._change(self.series, key, Series(_finite(value), current.created))

    def observe(self, metric: Metric, labels: Labels, value: float) -> None:
        """Count one observation of a histogram."""
        key = metric.name, label_values(labels)
        current = self._find(key) or self._begin(metric)
        counts = list(current.counts)
        counts[bisect_left(metric.buckets, value)] += 1
        self._change(self.series, key, Series(_finite(current.value + value), current.created, tuple(counts)))

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
        self.history.append((kind, _finite(time), msgspec.json.encode(body)))

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
        _assign(target, key, value, absent=_ABSENT)
        if target is self.documents:
            _assign(
                self._keys.setdefault(key[0], {}), key[1], None if value is not _ABSENT else _ABSENT, absent=_ABSENT
            )

    def _roll_back(self, changes: int, entries: int) -> None:
        for target, key, before in reversed(self._undo[changes:]):
            self._assign(target, key, before)
        del self._undo[changes:]
        del self.history[entries:]


class Store:
    """See the module. Raises `StoreError` when the database cannot be opened."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        reserved: Mapping[str, frozenset[str]] | None = None,
        timekeeper: Timekeeper | None = None,
    ) -> None:
        """Open it. `reserved` are values by the name of their label that never give way; names of the configuration."""
        self._clock = clock
        self._timekeeper = timekeeper
        self._reserved = reserved or {}
        self._broken: dict[BrokenRow, None] = {}
        self._writing = threading.RLock()
        self._reading = threading.Lock()
        self.families: dict[str, dict[Labels, Series]] = {name: {} for name in all_metrics()}
        self._documents: dict[str, dict[str, msgspec.Struct]] = {}
        self._undecoded: dict[str, dict[str, bytes]] = {}
        self._wakes: dict[str, list[Callable[[], None]]] = {}
        self._path = path
        self._opened = open_database(path, clock)
        self._waiting = ChangedRows()
        self.unwritable = "the disk is full" if self._opened.is_makeshift else ""
        """Why the last change could not be written, "" if it was."""
        self._load()

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._opened.connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Change things together. Raises `StoreError` when they could not be written; then nothing changed."""
        with self._writing:
            changes = Transaction(self, self._clock())
            if self._timekeeper is not None:
                self._timekeeper.follow(changes, self)
            yield changes
            changes.broken = list(self._broken)
            if changes.broken:
                changes.inc(EVENTS_REJECTED, ("stored",), len(changes.broken))
            self._make_room(changes)
            self._keep(changes)
            self._show(changes)
            for row in changes.broken:
                self._broken.pop(row, None)
            if self._timekeeper is not None:
                self._timekeeper.followed()
        self._wake({kind for kind, _ in changes.documents})

    @property
    def waiting(self) -> bool:
        """Whether something that is shown is not written yet."""
        return bool(self._waiting)

    def commit(self) -> None:
        """Write what waits. Raises `StoreError` when it could not be written; then it waits on."""
        with self._writing:
            if self._waiting:
                self._write_waiting()

    def follow_clock(self) -> None:
        """Let what is kept follow the clock now, if it was set. Raises `StoreError`."""
        if self._timekeeper is not None and self._timekeeper.is_set(self._clock()):
            with self.transaction():
                pass

    def when_changed(self, kind: Kind[T], wake: Callable[[], None]) -> None:
        """Have `wake` called after each commit that changed documents of this kind, by the thread that committed.

        It must not wait, nor raise.
        """
        self._wakes.setdefault(kind.name, []).append(wake)

    def find(self, metric: Metric, labels: Labels) -> Series | None:
        """The committed series, None when there is none."""
        with self._reading:
            return self.families[metric.name].get(label_values(labels))

    def value(self, metric: Metric, labels: Labels = ()) -> float | None:
        """A counter's or gauge's committed value, None when there is no such series."""
        series = self.find(metric, labels)
        return None if series is None else series.value

    def series(self, metric: Metric) -> list[tuple[Labels, Series]]:
        """All committed series of a family."""
        with self._reading:
            return list(self.families[metric.name].items())

    def document(self, kind: Kind[T], key: str) -> T | None:
        """The committed document with this key."""
        with self._reading:
            return self.documents(kind).get(key)

    def docs(self, kind: Kind[T]) -> dict[str, T]:
        """All committed documents of a kind, by key."""
        with self._reading:
            return dict(self.documents(kind))

    def count(self, kind: Kind[T]) -> int:
        """How many documents of a kind are committed."""
        return len(self.documents(kind))

    def history(self, kind: str, since: float = 0.0, limit: int = 1000) -> list[Record]:
        """The newest entries of a history since a time, newest first; reads the disk."""
        return self.recorded(self.raw_history(kind, since, (float("inf"), 0), limit))

    def recorded(self, rows: Iterable[tuple[int, float, bytes]]) -> list[Record]:
        """Rows of a history as entries, without those that cannot be read."""
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        return [Record(id_, time, body) for id_, time, body in self.decoded(rows, decode)]

    def decoded(
        self, rows: Iterable[tuple[int, float, bytes]], decode: Callable[[bytes], D]
    ) -> Iterator[tuple[int, float, D]]:
        """Rows of a history with what `decode` makes of their bodies. One that it cannot decode is left out."""
        for id_, time, body in rows:
            try:
                entry = decode(body)
                _finite(time)
            except Exception as error:
                self._set_aside("history", (id_,), error)
            else:
                yield id_, time, entry

    def raw_history(
        self, kind: str, since: float, before: tuple[float, int], limit: int
    ) -> list[tuple[int, float, bytes]]:
        """(id, time, body) of the newest entries since a time that stand before (time, id), newest first."""
        with self._writing:
            return self._connection.execute(
                "SELECT id, time, body FROM history WHERE kind = ? AND time >= ? AND (time, id) < (?, ?) "
                "ORDER BY time DESC, id DESC LIMIT ?",
                (kind, since, *before, limit),
            ).fetchall()

    def search_history(
        self, kind: str, since: float, before: tuple[float, int], search: Search, limit: int
    ) -> tuple[list[tuple[int, float, bytes]], tuple[float, int] | None]:
        """Like `raw_history`, only what a search may mean, of a bounded number of entries; and where to go on, if."""
        within = "kind = ? AND time >= ? AND (time, id) < (?, ?)"
        parameters = (kind, since, *before)
        wanted, wanted_parameters = conditions(search)
        order = "ORDER BY time DESC, id DESC LIMIT"
        with self._writing:
            until = self._connection.execute(
                f"SELECT time, id FROM history WHERE {within} {order} 1 OFFSET {_SEARCHED_ROWS - 1}",  # noqa: S608
                parameters,
            ).fetchone()
            rows = self._connection.execute(
                f"SELECT id, time, body FROM history WHERE {within} AND (time, id) >= (?, ?){wanted} {order} ?",  # noqa: S608
                (kind, until[0] if until else since, *before, *(until or (since, 0)), *wanted_parameters, limit),
            ).fetchall()
        return rows, (rows[-1][1], rows[-1][0]) if len(rows) == limit else until

    def forget_history(self, before: float) -> int:
        """Delete all entries older than a time; gives how many."""
        return self._delete_history("time < ?", (before,))

    def settle_history(self, now: float) -> int:
        """Let entries of a time to come be of now; gives how many."""
        with self._writing, self._sql():
            return self._connection.execute("UPDATE history SET time = ? WHERE time > ?", (now, now)).rowcount

    def oldest_history(self, since: float) -> float | None:
        """The time of the oldest entry since a time; reads the disk."""
        with self._writing:
            (oldest,) = self._connection.execute("SELECT min(time) FROM history WHERE time >= ?", (since,)).fetchone()
        return None if oldest is None else float(oldest)

    def trim_history(self, kind: str, rows: int, size: int) -> int:
        """Delete the oldest entries of a kind beyond a number of entries and of bytes; gives how many."""
        first = self._first_beyond(kind, rows, size)
        return 0 if first is None else self._delete_history("kind = ? AND (time, id) <= (?, ?)", (kind, *first))

    def shrink(self) -> bool:
        """Give back to the disk some of what the database does not use any more; gives whether there is more of it."""
        with self._writing:
            if self._opened.is_makeshift or not self._is_too_large():
                return False
            with self._sql():
                database.give_back(self._connection, _GIVEN_BACK_BYTES)
            if self._is_too_large():
                return True
            with self._sql():  # what is in the write-ahead log is given back when that has become part of the file
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return False

    def _is_too_large(self) -> bool:
        unused = database.unused_bytes(self._connection)
        return unused > max(_UNUSED_BYTES, database.used_bytes(self._connection) // 3)

    def _first_beyond(self, kind: str, rows: int, size: int) -> tuple[float, int] | None:
        """The place of the newest entry beyond a number of entries and of bytes."""
        sql = (
            "SELECT time, id, length(body) FROM history WHERE kind = ? AND (time, id) < (?, ?) "
            "ORDER BY time DESC, id DESC LIMIT ?"
        )
        place = (float("inf"), 0)
        while True:
            with self._writing:
                found = self._connection.execute(sql, (kind, *place, _SEARCHED_ROWS)).fetchall()
            for time, id_, length in found:
                rows, size, place = rows - 1, size - (length or 0), (time, id_)
                if rows < 0 or size < 0:
                    return place
            if len(found) < _SEARCHED_ROWS:
                return None

    def _delete_history(self, condition: str, parameters: tuple[Any, ...]) -> int:
        """Delete entries in steps, between which others may write; gives how many."""
        step = f"DELETE FROM history WHERE id IN (SELECT id FROM history WHERE {condition} LIMIT {_DELETED_ROWS})"  # noqa: S608
        deleted = 0
        while True:
            with self._writing, self._sql():
                count = self._connection.execute(step, parameters).rowcount
            deleted += count
            if count < _DELETED_ROWS:
                return deleted

    def close(self) -> None:
        """Write what waits, and close the database."""
        with self._writing:
            try:
                self.commit()
            except StoreError as error:
                log.error("what was counted last is lost, and will be counted again: %s", error)
            finally:
                self._connection.close()

    def documents(self, kind: Kind[T]) -> dict[str, T]:
        """The committed documents of a kind, for transactions; others get a copy with `docs`."""
        # Only when a kind is first asked for is its type known.
        documents: dict[str, Any] = self._documents.setdefault(kind.name, {})
        stored = self._undecoded.pop(kind.name, None)
        if stored:
            decoder = json_decoder(kind.type)
            for key, body in stored.items():
                try:
                    documents.setdefault(key, decoder.decode(body))
                except Exception as error:
                    self._set_aside("document", (kind.name, key), error)
        return documents

    def _load(self) -> None:
        for row in self._connection.execute("SELECT * FROM series ORDER BY created DESC, labels"):
            try:
                self._load_series(*row)
            except Exception as error:
                self._set_aside("series", row[:2], error)
        for kind, key, body in self._connection.execute("SELECT kind, key, body FROM document"):
            try:
                self._undecoded.setdefault(kind.decode(), {})[key.decode()] = body
            except Exception as error:
                self._set_aside("document", (kind, key), error)

    def _load_series(self, name: bytes, labels: bytes, value: float, created: float, buckets: bytes | None) -> None:
        metric = all_metrics().get(name.decode())
        key = msgspec.json.decode(labels, type=tuple[str, ...])
        if metric is None or len(key) != len(metric.labels):
            return
        bounds, counts = msgspec.json.decode(buckets, type=_Buckets) if buckets else ((), ())
        if tuple(bounds) != metric.buckets:  # the bounds were changed: the histogram starts anew
            return
        if label_values(key) != key:
            raise ValueError("a label is too long")
        if counts and (len(counts) != len(bounds) + 1 or min(counts) < 0):
            raise ValueError(f"counts of a histogram cannot be {counts}")
        self.families[metric.name][key] = Series(_finite(value), _finite(created), counts)

    def _set_aside(self, table: str, key: tuple[Any, ...], error: Exception) -> None:
        row = BrokenRow(table, key)
        if row in self._broken:
            return
        if len(self._broken) < _MAX_ROWS_LOGGED:
            log.error("a row of the table %s cannot be read and is left out: %.200r: %s", table, key, error)
        self._broken[row] = None

    def _make_room(self, changes: Transaction) -> None:
        """Let the longest untouched give way where a family or a kind has more than it may have."""
        families, kinds = Counter[str](), Counter[str]()
        for (name, labels), series in changes.series.items():
            families[name] += (series is not None) - (labels in self.families[name])
        for (name, key), document in changes.documents.items():
            kinds[name] += (document is not None) - (key in self._documents.get(name, ()))
        for name, growth in families.items():
            metric = all_metrics()[name]
            over = len(self.families[name]) + growth - metric.limit
            if growth > 0 and over > 0:
                self._evict_series(changes, metric, over)
        for name, growth in kinds.items():
            kind = changes.kinds.get(name)
            if growth > 0 and kind is not None and kind.limit:
                self._evict_documents(changes, kind, self.count(kind) + growth - kind.limit)

    def _evict_series(self, changes: Transaction, metric: Metric, over: int) -> None:
        family = self.families[metric.name]
        touched = [labels for (name, labels), one in changes.series.items() if name == metric.name and one is not None]
        untouched = (labels for labels in family if (metric.name, labels) not in changes.series)
        subjects: dict[Labels, list[Labels]] = {}
        for labels in (*untouched, *touched):
            subject = metric.subject(labels)
            subjects[subject] = [*subjects.pop(subject, ()), labels]  # its last touch counts
        gone = 0
        for members in subjects.values():
            if gone >= over:
                break
            if any(self._is_reserved(metric, labels) for labels in members):
                continue
            for labels in members:
                _forget(changes.series, (metric.name, labels), stored=labels in family)
            gone += len(members)
        if gone:
            changes.inc(SERIES_LIMITED, (metric.name,), gone)

    def _is_reserved(self, metric: Metric, labels: Labels) -> bool:
        reserved = self._reserved
        return any(value in reserved.get(name, ()) for name, value in zip(metric.labels, labels, strict=True))

    def _evict_documents(self, changes: Transaction, kind: Kind[Any], over: int) -> None:
        known = self.documents(kind)
        touched = {key: one for (name, key), one in changes.documents.items() if name == kind.name and one is not None}
        untouched = {key: one for key, one in known.items() if (kind.name, key) not in changes.documents}
        reserved = frozenset[str]().union(*self._reserved.values())
        order = sorted(
            {**untouched, **touched}.items(),
            key=lambda item: (
                kind.subject is not None and kind.subject(item[1]) in reserved,
                kind.importance(item[1]),
            ),
        )
        for key, _ in order[: max(over, 0)]:
            _forget(changes.documents, (kind.name, key), stored=key in known)
        if over > 0 and kind.family is not None:
            changes.inc(SERIES_LIMITED, (kind.family.name,), over)

    def _keep(self, changes: Transaction) -> None:
        """Have a transaction wait, if it may, or write it."""
        lasts = changes.history or changes.history_moves or changes.broken
        if lasts or not changes.may_wait:
            self._write(changes)
        else:
            self._waiting.add(self._changed(changes))

    def _changed(self, changes: Transaction) -> ChangedRows:
        """The rows of a transaction that are not yet as they are to be."""
        series = {
            (name, labels): one
            for (name, labels), one in changes.series.items()
            if self.families[name].get(labels) != one
        }
        documents = {
            (name, key): one
            for (name, key), one in changes.documents.items()
            if self._documents.get(name, {}).get(key) != one
        }
        with _content():
            return ChangedRows.of(series, documents)

    def _write(self, changes: Transaction) -> None:
        """Write a transaction, and what waits. One that changes nothing is none."""
        rows = self._changed(changes)
        if not (rows or changes.history or changes.history_moves or changes.broken or self.unwritable):
            return
        try:
            self._write_rows(rows, changes)
        except ContentError:
            if not self._waiting:
                raise
            self._write_waiting()  # whose fault is it?
            self._write_rows(rows, changes)

    def _write_waiting(self) -> None:
        """Write what waits. A row that is refused, though it was looked at before, costs itself only."""
        try:
            self._write_rows(ChangedRows())
        except ContentError:
            waiting, self._waiting = self._waiting, ChangedRows()
            for row in waiting.apart():
                try:
                    self._write_rows(row)
                except ContentError as error:
                    log.critical("one row is left out: %s", error)
                except StoreError:
                    self._waiting = waiting
                    raise

    def _write_rows(self, rows: ChangedRows, changes: Transaction | None = None) -> None:
        """Write what waits, these rows, and what else a transaction changes, all or nothing."""
        with self._sql():
            for row in changes.broken if changes else ():
                delete_broken_row(self._connection, row)
            self._waiting.followed_by(rows).write(self._connection)
            if changes:
                moves = "UPDATE history SET time = time + ? WHERE time > ? AND time <= ?"
                self._connection.executemany(moves, changes.history_moves)
                self._connection.executemany("INSERT INTO history (kind, time, body) VALUES (?, ?, ?)", changes.history)
        self._waiting = ChangedRows()

    @contextlib.contextmanager
    def _sql(self) -> Iterator[None]:
        if self._opened.is_makeshift and has_room(self._path):
            self._connection.close()
            self._opened = open_database(self._path, self._clock)
        try:
            with _content(), self._connection:
                before = self._connection.total_changes
                yield
                changed = self._connection.total_changes != before
            if changed:
                self.unwritable = ""
        except sqlite3.Error as error:
            self.unwritable = str(error)
            raise StoreError(f"the exporter's database could not be written: {error}") from error

    def _show(self, changes: Transaction) -> None:
        with self._reading:
            for (name, labels), series in changes.series.items():
                self.families[name].pop(labels, None)  # to the end: it was touched last
                _assign(self.families[name], labels, series)
            for (name, key), document in changes.documents.items():
                documents = self._documents.setdefault(name, {})
                kind = changes.kinds.get(name)
                if kind is not None and kind.limit:
                    documents.pop(key, None)
                _assign(documents, key, document)

    def _wake(self, kinds: set[str]) -> None:
        for kind in kinds & self._wakes.keys():
            for wake in self._wakes[kind]:
                wake()


@contextlib.contextmanager
def _content() -> Iterator[None]:
    """Raise `ContentError` for what can never be written."""
    try:
        yield
    except _CONTENT_ERRORS as error:
        raise ContentError(f"this cannot be written to the exporter's database: {error}") from error


def _assign(target: dict[Any, Any], key: Any, value: Any, absent: object = None) -> None:
    if value is absent:
        target.pop(key, None)
    else:
        target[key] = value


def _forget(changes: dict[Any, Any], key: Any, *, stored: bool) -> None:
    """Let a change be a deletion, or, of what is not stored, none."""
    if stored:
        changes[key] = None
    else:
        changes.pop(key, None)


def _finite(value: float) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError(f"{value} cannot be stored")
    return number
