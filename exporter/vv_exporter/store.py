"""The exporter's durable memory: series, documents and history, changed together or not at all.

Everything lives in one SQLite database with one connection. A transaction collects its changes, writes them in one
SQL transaction, and shows them to readers only after the commit: what a scrape has seen survives a kill, so that no
counter ever goes backwards. Readers never touch the disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from vv_core import _shared
from vv_exporter import statefolders
from vv_exporter.metrics import Labels, Metric, all_metrics
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.rights import PRIVATE_FOLDER

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE series (metric TEXT, labels TEXT, value REAL NOT NULL, created REAL NOT NULL, buckets TEXT,
                     PRIMARY KEY (metric, labels)) WITHOUT ROWID;
CREATE TABLE document (kind TEXT, key TEXT, body BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE history (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, time REAL NOT NULL, body BLOB NOT NULL);
CREATE INDEX history_by_time ON history (kind, time);
"""

_LEAST_ROOM_BYTES = 256 << 10

T = TypeVar("T", bound=msgspec.Struct)


class StoreError(Exception):
    """The database could not be opened or written; nothing of the transaction was kept."""


class Series(NamedTuple):
    """One series: a counter's or gauge's value, or a histogram's sum with its counts per bucket (+Inf last)."""

    value: float
    created: float
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[T]):
    """A kind of document: its name in the database and the (frozen) Struct it is stored as."""

    name: str
    type: type[T]


class Record(NamedTuple):
    """One entry of a history."""

    id: int
    time: float
    body: dict[str, Any]


class Transaction:
    """Changes that are kept together; reads see the changes made so far."""

    def __init__(self, store: Store, now: float) -> None:
        self._store = store
        self.now = now
        self.series: dict[tuple[str, Labels], Series | None] = {}
        self.documents: dict[tuple[str, str], msgspec.Struct | None] = {}
        self.history: list[tuple[str, float, bytes]] = []
        self._added: dict[str, int] = {}

    def ensure(self, metric: Metric, *all_labels: Labels) -> None:
        """Let series begin at 0 before anything is counted in them, so that Prometheus sees their first event."""
        for labels in all_labels:
            if self.find(metric, labels) is None:
                series = self._admitted(metric, labels)
                if series is not None:
                    self.series[metric.name, labels] = series

    def inc(self, metric: Metric, labels: Labels = (), amount: float = 1.0) -> None:
        """Add to a counter; a series that is new starts at 0 now."""
        current = self._admitted(metric, labels)
        if current is not None:
            self.series[metric.name, labels] = Series(current.value + amount, current.created)

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """Set a gauge."""
        current = self._admitted(metric, labels)
        if current is not None:
            self.series[metric.name, labels] = Series(value, current.created)

    def observe(self, metric: Metric, labels: Labels, value: float) -> None:
        """Count one observation of a histogram."""
        current = self._admitted(metric, labels)
        if current is not None:
            counts = list(current.counts)
            counts[bisect_left(metric.buckets, value)] += 1
            self.series[metric.name, labels] = Series(current.value + value, current.created, tuple(counts))

    def remove(self, metric: Metric, labels: Labels) -> None:
        """Forget a series."""
        if self.find(metric, labels) is not None:
            self.series[metric.name, labels] = None
            self._added[metric.name] = self._added.get(metric.name, 0) - 1

    def value(self, metric: Metric, labels: Labels = ()) -> float | None:
        """A counter's or gauge's value, None when there is no such series."""
        current = self.find(metric, labels)
        return None if current is None else current.value

    def find(self, metric: Metric, labels: Labels) -> Series | None:
        """The series, None when there is none."""
        key = (metric.name, labels)
        return self.series[key] if key in self.series else self._store.find(metric, labels)

    def get(self, kind: Kind[T], key: str) -> T | None:
        """The document with this key."""
        if (kind.name, key) in self.documents:
            return self.documents[kind.name, key]  # type: ignore[return-value]
        return self._store.document(kind, key)

    def put(self, kind: Kind[T], key: str, document: T) -> None:
        """Store or replace a document."""
        self.documents[kind.name, key] = document

    def delete(self, kind: Kind[T], key: str) -> None:
        """Forget a document."""
        if self._store.document(kind, key) is None:
            self.documents.pop((kind.name, key), None)
        else:
            self.documents[kind.name, key] = None

    def docs(self, kind: Kind[T]) -> dict[str, T]:
        """All documents of a kind, by key."""
        found: dict[str, Any] = dict(self._store.docs(kind))
        for (name, key), document in self.documents.items():
            if name != kind.name:
                continue
            if document is None:
                found.pop(key, None)
            else:
                found[key] = document
        return found

    def count(self, kind: Kind[T]) -> int:
        """At least how many documents of a kind there are (those deleted just now included)."""
        return self._store.count(kind) + sum(name == kind.name for name, _ in self.documents)

    def append(self, kind: str, time: float, body: Mapping[str, Any]) -> None:
        """Add an entry to a history."""
        self.history.append((kind, time, msgspec.json.encode(body)))

    def _admitted(self, metric: Metric, labels: Labels) -> Series | None:
        current = self.find(metric, labels)
        if current is not None:
            return current
        added = self._added.get(metric.name, 0)
        if len(self._store.families[metric.name]) + added >= metric.limit:
            if metric is not SERIES_LIMITED:
                self.inc(SERIES_LIMITED, (metric.name,))
            return None
        self._added[metric.name] = added + 1
        return Series(0.0, self.now, (0,) * (len(metric.buckets) + 1) if metric.type == "histogram" else ())


class Store:
    """See the module. Raises `StoreError` when the database cannot be opened."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._writing = threading.RLock()
        self._reading = threading.Lock()
        self.families: dict[str, dict[Labels, Series]] = {name: {} for name in all_metrics()}
        self._documents: dict[str, dict[str, msgspec.Struct]] = {}
        self._undecoded: dict[str, dict[str, bytes]] = {}
        self._wakes: dict[str, list[Callable[[], None]]] = {}
        self._path = path
        self._opened = _open(path, clock)
        self._load()

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._opened.connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Change things together. Raises `StoreError` when they could not be written; then nothing changed."""
        with self._writing:
            changes = Transaction(self, self._clock())
            yield changes
            self._write(changes)
            self._show(changes)
        self._wake({kind for kind, _ in changes.documents})

    def when_changed(self, kind: Kind[T], wake: Callable[[], None]) -> None:
        """Have `wake` called after each commit that changed documents of this kind, by the thread that committed.

        It must not wait, nor raise.
        """
        self._wakes.setdefault(kind.name, []).append(wake)

    def find(self, metric: Metric, labels: Labels) -> Series | None:
        """The committed series, None when there is none."""
        return self.families[metric.name].get(labels)

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
        return self._typed(kind).get(key)

    def docs(self, kind: Kind[T]) -> dict[str, T]:
        """All committed documents of a kind, by key."""
        with self._reading:
            return dict(self._typed(kind))

    def count(self, kind: Kind[T]) -> int:
        """How many documents of a kind are committed."""
        return len(self._typed(kind))

    def history(self, kind: str, since: float = 0.0, limit: int = 1000) -> list[Record]:
        """The newest entries of a history since a time, newest first; reads the disk."""
        return self.records(kind, since, (float("inf"), 0), limit)

    def records(self, kind: str, since: float, before: tuple[float, int], limit: int) -> list[Record]:
        """The newest entries since a time that stand before (time, id), newest first; reads the disk."""
        rows = self.raw_history(kind, since, before, limit)
        return [Record(id_, time, msgspec.json.decode(body)) for id_, time, body in rows]

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

    def forget_history(self, before: float) -> int:
        """Delete all entries older than a time; gives how many."""
        with self._writing, self._sql():
            return self._connection.execute("DELETE FROM history WHERE time < ?", (before,)).rowcount

    def trim_history(self, kind: str, rows: int, size: int) -> int:
        """Delete the oldest entries of a kind beyond a number of entries and of bytes; gives how many."""
        oldest = """DELETE FROM history WHERE id IN (SELECT id FROM (
            SELECT id, count(*) OVER newest AS rows, sum(length(body)) OVER newest AS size FROM history WHERE kind = ?
            WINDOW newest AS (ORDER BY time DESC, id DESC ROWS UNBOUNDED PRECEDING)) WHERE rows > ? OR size > ?)"""
        with self._writing, self._sql():
            return self._connection.execute(oldest, (kind, rows, size)).rowcount

    def close(self) -> None:
        """Close the database."""
        with self._writing:
            self._connection.close()

    def _typed(self, kind: Kind[T]) -> dict[str, T]:
        # Only when a kind is first asked for is its type known.
        documents: dict[str, Any] = self._documents.setdefault(kind.name, {})
        stored = self._undecoded.pop(kind.name, None)
        if stored:
            decoder = msgspec.json.Decoder(kind.type)
            documents.update((key, decoder.decode(body)) for key, body in stored.items() if key not in documents)
        return documents

    def _load(self) -> None:
        metrics = all_metrics()
        for name, labels, value, created, buckets in self._connection.execute("SELECT * FROM series"):
            metric = metrics.get(name)
            key = tuple(msgspec.json.decode(labels))
            if metric is None or len(key) != len(metric.labels):
                continue
            bounds, counts = msgspec.json.decode(buckets) if buckets else ((), ())
            if tuple(bounds) == metric.buckets:  # otherwise the bounds were changed: the histogram starts anew
                self.families[name][key] = Series(value, created, tuple(counts))
        for kind, key, body in self._connection.execute("SELECT kind, key, body FROM document"):
            self._undecoded.setdefault(kind, {})[key] = body

    def _write(self, changes: Transaction) -> None:
        with self._sql():
            self._connection.executemany(
                "INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?, ?)",
                [_row(name, labels, series) for (name, labels), series in changes.series.items() if series],
            )
            self._connection.executemany(
                "DELETE FROM series WHERE metric = ? AND labels = ?",
                [(name, _text(labels)) for (name, labels), series in changes.series.items() if series is None],
            )
            self._connection.executemany(
                "INSERT OR REPLACE INTO document VALUES (?, ?, ?)",
                [(*key, msgspec.json.encode(body)) for key, body in changes.documents.items() if body is not None],
            )
            self._connection.executemany(
                "DELETE FROM document WHERE kind = ? AND key = ?",
                [key for key, body in changes.documents.items() if body is None],
            )
            self._connection.executemany("INSERT INTO history (kind, time, body) VALUES (?, ?, ?)", changes.history)

    @contextlib.contextmanager
    def _sql(self) -> Iterator[None]:
        if self._opened.is_makeshift and _has_room(self._path):
            self._connection.close()
            self._opened = _open(self._path, self._clock)
        try:
            with self._connection:
                yield
        except sqlite3.Error as error:
            raise StoreError(f"the exporter's database could not be written: {error}") from error

    def _show(self, changes: Transaction) -> None:
        with self._reading:
            for (name, labels), series in changes.series.items():
                _assign(self.families[name], labels, series)
            for (kind, key), document in changes.documents.items():
                _assign(self._documents.setdefault(kind, {}), key, document)

    def _wake(self, kinds: set[str]) -> None:
        for kind in kinds & self._wakes.keys():
            for wake in self._wakes[kind]:
                wake()


def _assign(target: dict[Any, Any], key: Any, value: Any) -> None:
    if value is None:
        target.pop(key, None)
    else:
        target[key] = value


def _row(name: str, labels: Labels, series: Series) -> tuple[str, str, float, float, str | None]:
    buckets = None
    if series.counts:
        buckets = msgspec.json.encode((all_metrics()[name].buckets, series.counts)).decode()
    return name, _text(labels), series.value, series.created, buckets


def _text(labels: Labels) -> str:
    return msgspec.json.encode(labels).decode()


class _Opened(NamedTuple):
    """A connection. A makeshift one is made do with while the disk is full: it reads, and mostly fails to write."""

    connection: sqlite3.Connection
    is_makeshift: bool = False


def _open(path: Path, clock: Callable[[], float]) -> _Opened:
    try:
        _shared.make_folder(str(path.parent), PRIVATE_FOLDER)
        try:
            return _Opened(_connect(path))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                return _open_without_room(path, error)
            _set_aside(path, clock())
            log.critical("%s was damaged (%s) and has been set aside: counters start at 0", path, error)
            return _Opened(_connect(path))
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path} cannot be used: {error}") from error


def _open_without_room(path: Path, error: sqlite3.OperationalError) -> _Opened:
    """What is known is read, and each transaction fails until there is room. Raises `error` where that is no cure."""
    if _has_room(path):
        raise error
    if path.exists() and path.stat().st_size:
        # Without other processes SQLite has its index of the write-ahead log in memory, and not in a file.
        connection = _connect(path, exclusive=True)
    else:
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        connection.executescript(_SCHEMA)
        connection.execute("PRAGMA query_only = ON")
    log.error("%s cannot be written, the disk is full: nothing new is kept in it until there is room", path)
    return _Opened(connection, is_makeshift=True)


def _has_room(path: Path) -> bool:
    """Whether a database can be opened and written there: SQLite's files begin with 32 KiB (sqlite.org/walformat)."""
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize >= _LEAST_ROOM_BYTES and (found.f_favail > 0 or not found.f_files)


def _connect(path: Path, *, exclusive: bool = False) -> sqlite3.Connection:
    os.close(statefolders.open_own_file(path))  # SQLite gives its other files the same mode
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        if exclusive:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit has reached the disk before the journal's file is deleted, also when power is cut.
        connection.execute("PRAGMA synchronous = FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreError(f"{path} was written by a newer version of vv-exporter: install that, or move the file")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        if version == 0:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _set_aside(path: Path, now: float) -> None:
    path.rename(path.with_name(f"{path.name}.damaged-{now:.0f}"))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
