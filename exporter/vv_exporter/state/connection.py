"""The one connection to the exporter's database: who may use it when, and what is said where that fails."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from vv_exporter.state import database
from vv_exporter.state.database import BrokenRow, ContentError, StoreError, has_room, open_database

log = logging.getLogger(__name__)

_MAX_ROWS_LOGGED = 20  # of those that cannot be read, each start
_UNUSED_BYTES = 8 << 20  # of the database's file, and a fourth of it: what it holds ready for entries to come
_GIVEN_BACK_BYTES = 2 << 20  # to the disk in one step

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


class Connection:
    """See the module. Raises `StoreError` when the database cannot be opened."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._broken: dict[BrokenRow, None] = {}
        self._writing = threading.RLock()
        self._opened = open_database(path, clock)
        self.unwritable = "the disk is full" if self._opened.is_makeshift else ""
        """Why the last change could not be written, "" if it was."""

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._opened.connection

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

    @contextlib.contextmanager
    def _sql(self) -> Iterator[None]:
        if self._opened.is_makeshift and has_room(self._path):
            self._connection.close()
            self._opened = open_database(self._path, self._clock)
        try:
            with refuse_content(), self._connection:
                before = self._connection.total_changes
                yield
                changed = self._connection.total_changes != before
            if changed:
                self.unwritable = ""
        except sqlite3.Error as error:
            self.unwritable = str(error)
            raise StoreError(f"the exporter's database could not be written: {error}") from error

    def _set_aside(self, table: str, key: tuple[Any, ...], error: Exception) -> None:
        row = BrokenRow(table, key)
        if row in self._broken:
            return
        if len(self._broken) < _MAX_ROWS_LOGGED:
            log.error("a row of the table %s cannot be read and is left out: %.200r: %s", table, key, error)
        self._broken[row] = None


@contextlib.contextmanager
def refuse_content() -> Iterator[None]:
    """Raise `ContentError` for what can never be written."""
    try:
        yield
    except _CONTENT_ERRORS as error:
        raise ContentError(f"this cannot be written to the exporter's database: {error}") from error
