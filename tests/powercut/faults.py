"""Faults that the model must find, planted into the program that is recorded."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path


def plant(fault: str) -> None:
    """`folder:NAME`: folders of this name are not synced; `file:PREFIX`: nor are files whose names begin so.

    `two-transactions`: what is counted, and how far. `synchronous=NORMAL`: SQLite's setting.
    """
    kind, _, name = fault.partition(":")
    if kind == "two-transactions":
        _count_in_two_transactions()
    elif kind == "synchronous=NORMAL":
        _commit_without_sync()
    else:
        _leave_unsynced(stat.S_ISDIR if kind == "folder" else stat.S_ISREG, name)


def _leave_unsynced(is_kind: Callable[[int], bool], prefix: str) -> None:
    for name in ("fsync", "fdatasync"):
        setattr(os, name, _unless(is_kind, prefix, getattr(os, name)))


def _unless(is_kind: Callable[[int], bool], prefix: str, sync: Callable[[int], None]) -> Callable[[int], None]:
    def synced(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not (is_kind(os.fstat(descriptor).st_mode) and path.name.startswith(prefix)):
            sync(descriptor)

    return synced


def _commit_without_sync() -> None:
    from vv_exporter.state import database

    connect = database._connect_database

    def connect_normal(path: Path, **options: bool) -> sqlite3.Connection:
        connection = connect(path, **options)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    database._connect_database = connect_normal


def _count_in_two_transactions() -> None:
    """What is counted, and how far, are written one after the other."""
    from vv_exporter.journal.progress import PROGRESS
    from vv_exporter.state.store import Store, Transaction

    write = Store._write_transaction

    def write_in_two(store: Store, changes: Transaction) -> None:
        documents = changes.documents
        changes.documents = {key: one for key, one in documents.items() if key[0] != PROGRESS.name}
        write(store, changes)
        progress = Transaction(store, changes.now)
        progress.documents = {key: one for key, one in documents.items() if key[0] == PROGRESS.name}
        write(store, progress)
        changes.documents = documents

    Store._write_transaction = write_in_two  # type: ignore[method-assign]
