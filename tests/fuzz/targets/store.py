"""Rows of the store that are broken: the exporter starts, and a CRITICAL alert arrives.

An input is a line that names a table, and then its columns, each in a line.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.mutators import mutate_bytes, mutate_json
from tests.fuzz.targets import _device
from tests.fuzz.targets._device import Device, temporary
from tests.fuzz.targets.journal import EVENTS
from vv_exporter.state.store import Store

PER_DATABASE = 25


def real_rows() -> list[bytes]:
    """What a device that has seen everything keeps."""
    device = Device()
    device.write(*EVENTS)
    device.prove()
    connection = device.store._connection
    rows = []
    for table, columns in (
        ("series", "metric,labels,value,created,buckets"),
        ("document", "kind,key,body"),
        ("history", "kind,time,body"),
    ):
        seen: set[str] = set()
        for row in connection.execute(f"SELECT {columns} FROM {table}"):
            if table != "series" and row[0] in seen and len(seen) > 3:
                continue
            seen.add(row[0])
            cells = [
                cell if isinstance(cell, bytes) else str(cell if cell is not None else "").encode() for cell in row
            ]
            rows.append(b"\n".join((table.encode(), *cells)))
    device.close()
    return rows


class Rows:
    """The database of a device that is stopped, changed, and started."""

    batch = PER_DATABASE

    def __init__(self) -> None:
        self._seeds = real_rows()
        self._rows: list[tuple[str, list[object]]] = []

    def seeds(self) -> Sequence[bytes]:
        return self._seeds

    def mutate(self, rng: random.Random, seed: bytes, seeds: Sequence[bytes]) -> bytes:
        table, *cells = seed.split(b"\n")
        for _ in range(rng.choice((1, 1, 2))):
            place = rng.randrange(len(cells)) if rng.random() < 0.4 else len(cells) - 1
            changed = (mutate_json if rng.random() < 0.8 else mutate_bytes)(rng, cells[place], [])
            cells[place] = changed.replace(b"\n", b" ")
        return b"\n".join((table, *cells))

    def feed(self, data: bytes) -> None:
        table, *cells = data.split(b"\n")
        name = table.decode("ascii", "replace")
        count = {"series": 5, "document": 3, "history": 3}.get(name)
        if count is not None:
            self._rows.append((name, [_cell(cell) for cell in (*cells, *[b""] * count)[:count]]))

    def prove(self) -> None:
        rows, self._rows = self._rows, []
        folder = temporary()
        path = folder / "state.db"
        Store(path, _device.Clock()).close()
        connection = sqlite3.connect(path)
        with connection:
            for table, cells in rows:
                columns = "(kind, time, body)" if table == "history" else ""
                marks = ",".join("?" * len(cells))
                try:
                    connection.execute(f"INSERT OR REPLACE INTO {table} {columns} VALUES ({marks})", cells)
                except (sqlite3.Error, OverflowError):
                    continue
        connection.close()
        try:
            self._start(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _start(self, path: Path) -> None:
        device = Device(path)
        try:
            device.prove()
            device.look_closer()
        finally:
            device.close()

    def close(self) -> None:
        pass


def _cell(text: bytes) -> object:
    """As SQLite may hold it: a number, text, bytes, nothing."""
    if text in (b"", b"null"):
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


def build() -> Rows:
    """Make it."""
    return Rows()
