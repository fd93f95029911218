"""The exporter's durable memory: series, documents and history, changed together or not at all.

Everything lives in one SQLite database with one connection. A transaction collects its changes, writes them in one
SQL transaction, and shows them to readers only after the commit. Readers never touch the disk.

A transaction that says so (`Transaction.may_wait`) is shown at once and written later, with the next one that does not
or by `commit`, in one SQL transaction: what the disk has is always the state after some transaction, without those
after it. It is for changes that are made again when they were lost (`journal.reader`), or whose last minute is not
missed. What the timeline shows never waits.

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
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from vv_exporter.metrics import Labels, Metric, all_metrics, label_values
from vv_exporter.metrics.exporter import EVENTS_REJECTED
from vv_exporter.state.bounds import Bounds
from vv_exporter.state.changedrows import ChangedRows, json_decoder
from vv_exporter.state.connection import refuse_content
from vv_exporter.state.database import ContentError, StoreError, delete_broken_row
from vv_exporter.state.history import History, Record
from vv_exporter.state.transaction import KINDS, Kind, Series, Transaction, assign, finite

__all__ = ["KINDS", "Kind", "Record", "Series", "Store", "StoreError", "Timekeeper", "Transaction"]

log = logging.getLogger(__name__)

T = TypeVar("T", bound=msgspec.Struct)
_Buckets = tuple[tuple[float, ...], tuple[int, ...]]


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


class Store(History):
    """See the module. Raises `StoreError` when the database cannot be opened."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float],
        reserved: Mapping[str, frozenset[str]] | None = None,
        timekeeper: Timekeeper | None = None,
    ) -> None:
        """Open it. `reserved` are values by the name of their label that never give way; names of the configuration."""
        super().__init__(path, clock)
        self._timekeeper = timekeeper
        self._bounds = Bounds(self, reserved or {})
        self._reading = threading.Lock()
        self.families: dict[str, dict[Labels, Series]] = {name: {} for name in all_metrics()}
        self._documents: dict[str, dict[str, msgspec.Struct]] = {}
        self._undecoded: dict[str, dict[str, bytes]] = {}
        self._wakes: dict[str, list[Callable[[], None]]] = {}
        self._waiting = ChangedRows()
        self._load_rows()

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
            self._bounds.make_room(changes)
            self._keep_transaction(changes)
            self._show_changes(changes)
            for row in changes.broken:
                self._broken.pop(row, None)
            if self._timekeeper is not None:
                self._timekeeper.followed()
        self._wake_watchers({kind for kind, _ in changes.documents})

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

    def close(self) -> None:
        """Write what waits, and close the database."""
        with self._writing:
            try:
                self.commit()
            except StoreError as error:
                log.error("what was counted last is lost, and will be counted again: %s", error)
            finally:
                self._connection.close()

    def known_keys(self, kind: str) -> Collection[str]:
        """The keys of the committed documents of a kind, by its name, as far as they were decoded."""
        return self._documents.get(kind, ())

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

    def _load_rows(self) -> None:
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
        self.families[metric.name][key] = Series(finite(value), finite(created), counts)

    def _keep_transaction(self, changes: Transaction) -> None:
        """Have a transaction wait, if it may, or write it."""
        lasts = changes.history or changes.history_moves or changes.broken
        if lasts or not changes.may_wait:
            self._write_transaction(changes)
        else:
            self._waiting.add(self._changed_rows(changes))

    def _changed_rows(self, changes: Transaction) -> ChangedRows:
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
        with refuse_content():
            return ChangedRows.of(series, documents)

    def _write_transaction(self, changes: Transaction) -> None:
        """Write a transaction, and what waits. One that changes nothing is none."""
        rows = self._changed_rows(changes)
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

    def _show_changes(self, changes: Transaction) -> None:
        with self._reading:
            for (name, labels), series in changes.series.items():
                self.families[name].pop(labels, None)  # to the end: it was touched last
                assign(self.families[name], labels, series)
            for (name, key), document in changes.documents.items():
                documents = self._documents.setdefault(name, {})
                kind = changes.kinds.get(name)
                if kind is not None and kind.limit:
                    documents.pop(key, None)
                assign(documents, key, document)

    def _wake_watchers(self, kinds: set[str]) -> None:
        for kind in kinds & self._wakes.keys():
            for wake in self._wakes[kind]:
                wake()
