"""Histories: what happened, entry by entry, on the disk alone: the newest are read or searched, the oldest deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import msgspec

from vv_exporter.state.connection import Connection
from vv_exporter.state.searching import Search, conditions
from vv_exporter.state.transaction import finite

_SEARCHED_ROWS = 5000  # entries that are looked at in one step, while no writer can write
_DELETED_ROWS = 2000  # the same, deleted

D = TypeVar("D")


class Record(NamedTuple):
    """One entry of a history."""

    id: int
    time: float
    body: dict[str, Any]


class History(Connection):
    """The entries of all histories, each of a kind. Transactions add to them (`Transaction.append`)."""

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
                finite(time)
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
