"""The file of the exporter's database: opened also when it is damaged, or on a disk without room; its tables.

One that is damaged is set aside. On a full disk a makeshift is opened, which reads what is known.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from vv_core.common import shared
from vv_exporter.common.smallfiles import set_aside
from vv_exporter.installation import statefolders
from vv_exporter.installation.rights import PRIVATE_FOLDER
from vv_exporter.state import searching

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS series (metric TEXT, labels TEXT, value REAL NOT NULL, created REAL NOT NULL, buckets TEXT,
                                   PRIMARY KEY (metric, labels)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS document (kind TEXT, key TEXT, body BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, time REAL NOT NULL,
                                    body BLOB NOT NULL);
"""
_INDEXES = f"DROP INDEX IF EXISTS history_by_time; {searching.INDEX}"  # the first was the index of earlier versions

PAGE_BYTES = 1024
"""A commit writes each page that it changed, whole, and mostly changes a few hundred bytes of several. 4 KiB, SQLite's
default, make three times as many bytes of it; 512 save little more, and rows of a larger part continue elsewhere."""

_LARGEST_REWRITTEN_BYTES = 128 << 20
_LARGEST_REPAGED_BYTES = 32 << 20  # seconds on a card, and nothing is read meanwhile
_OTHER_FILES = ("-wal", "-shm", "-journal")  # that SQLite makes beside a database

_LEAST_ROOM_BYTES = 256 << 10
_INCREMENTAL = 2  # what `PRAGMA auto_vacuum` calls it
_COLUMNS = {
    "series": ["metric", "labels", "value", "created", "buckets"],
    "document": ["kind", "key", "body"],
    "history": ["id", "kind", "time", "body"],
}


class StoreError(Exception):
    """The database could not be opened or written; nothing of the transaction was kept."""


class ContentError(StoreError):
    """What was to be written cannot be, whatever the disk's state: to try the same again is in vain."""


class BrokenRow(NamedTuple):
    """A row that cannot be read: its table and what it is found by, as it stands there."""

    table: str
    key: tuple[Any, ...]


class Opened(NamedTuple):
    """A connection. A makeshift one is made do with while the disk is full: it reads, and mostly fails to write."""

    connection: sqlite3.Connection
    is_makeshift: bool = False


def open_database(path: Path, clock: Callable[[], float]) -> Opened:
    """Open it, and its folder. Raises `StoreError`."""
    try:
        shared.make_folder(str(path.parent), PRIVATE_FOLDER)
        _make_way(path)
        try:
            return Opened(_connect_to_current(path))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                return _open_without_room(path, error)
            _set_aside(path, clock())
            log.critical("%s was damaged (%s) and has been set aside: counters start at 0", path, error)
            return Opened(_connect_database(path))
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path} cannot be used: {error}") from error


def has_room(path: Path) -> bool:
    """Whether a database can be opened and written there: SQLite's files begin with 32 KiB (sqlite.org/walformat)."""
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize >= _LEAST_ROOM_BYTES and (found.f_favail > 0 or not found.f_files)


def used_bytes(connection: sqlite3.Connection) -> int:
    """How much of its file a database uses."""
    return (_pragma_value(connection, "page_count") - _pragma_value(connection, "freelist_count")) * _pragma_value(
        connection, "page_size"
    )


def unused_bytes(connection: sqlite3.Connection) -> int:
    """How much of its file was used once and is not any more."""
    return _pragma_value(connection, "freelist_count") * _pragma_value(connection, "page_size")


def give_back(connection: sqlite3.Connection, size: int) -> None:
    """Give at most so many unused bytes back to the disk: the last pages move to where room is."""
    # Not by `execute`, which does the first page alone.
    connection.executescript(f"PRAGMA incremental_vacuum({size // _pragma_value(connection, 'page_size')})")


def _pragma_value(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def delete_broken_row(connection: sqlite3.Connection, row: BrokenRow) -> None:
    """Delete a row, whatever stands in it."""
    columns = _COLUMNS[row.table][: len(row.key)]
    by_text = " AND ".join(f"{column} = ?" for column in columns)
    with contextlib.suppress(UnicodeDecodeError):
        texts = [part.decode() if isinstance(part, bytes) else part for part in row.key]
        if connection.execute(f"DELETE FROM {row.table} WHERE {by_text}", texts).rowcount:  # noqa: S608
            return
    by_bytes = " AND ".join(f"CAST({column} AS BLOB) = ?" for column in columns)  # slow: without the index
    connection.execute(f"DELETE FROM {row.table} WHERE {by_bytes}", row.key)  # noqa: S608


def _make_way(path: Path) -> None:
    """Set aside what cannot be used in the database's place: it must not end each start. Raises `OSError`."""
    for part in (path, *(path.with_name(path.name + suffix) for suffix in _OTHER_FILES)):
        if part.exists() and not (part.is_file() and os.access(part, os.R_OK | os.W_OK)):
            set_aside(part, "cannot be used as the database")


def _open_without_room(path: Path, error: sqlite3.OperationalError) -> Opened:
    """What is known is read, and each transaction fails until there is room. Raises `error` where that is no cure."""
    if has_room(path):
        raise error
    if path.exists() and path.stat().st_size:
        # Without other processes SQLite has its index of the write-ahead log in memory, and not in a file.
        connection = _connect_database(path, exclusive=True)
    else:
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        connection.executescript(_TABLES)
        connection.execute("PRAGMA query_only = ON")
    log.error("%s cannot be written, the disk is full: nothing new is kept in it until there is room", path)
    return Opened(connection, is_makeshift=True)


def _connect_to_current(path: Path) -> sqlite3.Connection:
    connection = _connect_database(path)
    if _rewrite_earlier(connection, path):
        connection.close()
        connection = _connect_database(path)
    return connection


def _rewrite_earlier(connection: sqlite3.Connection, path: Path) -> bool:
    """Rewrite a database of an earlier version, where there is room for that.

    From then on it can shrink, and has pages of `PAGE_BYTES`. A large one, which takes long, stays as it is until a
    start at which it holds less. Gives whether it was tried: then the connection may be of no more use.
    """
    shrinks = _pragma_value(connection, "auto_vacuum") == _INCREMENTAL
    if shrinks and _pragma_value(connection, "page_size") == PAGE_BYTES:
        return False
    lack = "writes more with each commit than it need" if shrinks else "keeps its size, whatever is deleted"
    found, used = os.statvfs(path.parent), used_bytes(connection)
    largest = _LARGEST_REPAGED_BYTES if shrinks else _LARGEST_REWRITTEN_BYTES
    if used > largest or found.f_bavail * found.f_frsize < 3 * used + _LEAST_ROOM_BYTES:
        log.log(_grade(shrinks), "%s %s: %d MB cannot be rewritten now", path, lack, used >> 20)
        return False
    try:
        # The size of pages can be changed only without a write-ahead log (sqlite.org/pragma.html#pragma_page_size).
        # VACUUM is a transaction then as well: killed inside it, the database is as it was.
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("VACUUM")
    except sqlite3.Error as error:
        log.log(_grade(shrinks), "%s %s, until the next start: %s", path, lack, error)
    return True


def _grade(shrinks: bool) -> int:
    return logging.INFO if shrinks else logging.WARNING


def _connect_database(path: Path, *, exclusive: bool = False) -> sqlite3.Connection:
    os.close(statefolders.open_own_file(path))  # SQLite gives its other files the same mode
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        if exclusive:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if connection.execute("PRAGMA page_count").fetchone() == (0,):
            # Before anything is written: what is deleted can be given back to the disk in small steps. Of a database
            # that is there it would write, which it must not without room.
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # One that a kill left without its write-ahead log, within `_rewrite_earlier`, is read without, if it must be.
        with contextlib.suppress(*((sqlite3.OperationalError,) if exclusive else ())):
            connection.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit has reached the disk before the journal's file is deleted, also when power is cut.
        connection.execute("PRAGMA synchronous = FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreError(f"{path} was written by a newer version of vv-exporter: install that, or move the file")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        _check_names(connection)
        if version == 0 or not all(
            _columns_of(connection, table) for table in _COLUMNS
        ):  # nothing is written without need
            connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        _check_columns(connection)
        _make_indexes(connection, path)
        connection.text_factory = bytes  # one text that is not UTF-8 would end the whole query
    except BaseException:
        connection.close()
        raise
    return connection


def _make_indexes(connection: sqlite3.Connection, path: Path) -> None:
    """Those of this version instead of an earlier one's, at once or not at all. Without room searches are slow."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (searching.INDEX_NAME,)).fetchone():
        return
    try:
        connection.executescript(f"BEGIN; {_INDEXES} COMMIT;")
    except sqlite3.OperationalError as error:
        if connection.in_transaction:
            connection.rollback()
        log.warning("%s: searching the timeline is slow until the next start: no index was made: %s", path, error)


def _columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def _check_names(connection: sqlite3.Connection) -> None:
    """A view or an index that has a table's name lets nothing be written."""
    for kind, name in connection.execute("SELECT type, name FROM sqlite_master WHERE type != 'table'"):
        if name in _COLUMNS:
            raise sqlite3.DatabaseError(f"{name} is no table: {kind}")


def _check_columns(connection: sqlite3.Connection) -> None:
    for table, columns in _COLUMNS.items():
        found = _columns_of(connection, table)
        if found != columns:
            raise sqlite3.DatabaseError(f"the table {table} has the columns {', '.join(found)}")


def _set_aside(path: Path, now: float) -> None:
    path.rename(path.with_name(f"{path.name}.damaged-{now:.0f}"))
    for suffix in _OTHER_FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
