"""Series and documents as the rows that the database is to have of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, TypeVar

import msgspec

from vv_exporter.metrics import Labels, all_metrics

if TYPE_CHECKING:
    from vv_exporter.state.transaction import Series

T = TypeVar("T")
SeriesRow = tuple[str, str, float, float, str | None]


@dataclass(slots=True)
class ChangedRows:
    """What a row is to be, by its key; None: there is to be none."""

    series: dict[tuple[str, str], SeriesRow | None] = field(default_factory=dict)
    documents: dict[tuple[str, str], bytes | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        series: Mapping[tuple[str, Labels], Series | None],
        documents: Mapping[tuple[str, str], msgspec.Struct | None],
    ) -> ChangedRows:
        """The rows of these. Raises whatever says that they cannot be written, or would not be read again."""
        return cls(
            dict(_series_row(name, labels, one) for (name, labels), one in series.items()),
            {_encodable_key(key): None if body is None else _encode_document(body) for key, body in documents.items()},
        )

    def __bool__(self) -> bool:
        return bool(self.series or self.documents)

    def add(self, later: ChangedRows) -> None:
        """Have these as well, of which each takes the place of what was before."""
        self.series |= later.series
        self.documents |= later.documents

    def followed_by(self, later: ChangedRows) -> ChangedRows:
        """Both together, of which the later take the place of the former."""
        if not self:
            return later
        return ChangedRows(self.series | later.series, self.documents | later.documents)

    def apart(self) -> Iterator[ChangedRows]:
        """Each row by itself."""
        for key, row in self.series.items():
            yield ChangedRows(series={key: row})
        for place, body in self.documents.items():
            yield ChangedRows(documents={place: body})

    def write(self, connection: sqlite3.Connection) -> None:
        """Let the database have them; the caller has a transaction. Raises `sqlite3.Error`."""
        connection.executemany(
            "INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?, ?)", [row for row in self.series.values() if row]
        )
        connection.executemany(
            "DELETE FROM series WHERE metric = ? AND labels = ?", [key for key, row in self.series.items() if not row]
        )
        connection.executemany(
            "INSERT OR REPLACE INTO document VALUES (?, ?, ?)",
            [(*key, body) for key, body in self.documents.items() if body is not None],
        )
        connection.executemany(
            "DELETE FROM document WHERE kind = ? AND key = ?",
            [key for key, body in self.documents.items() if body is None],
        )


@cache
def json_decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    """What reads documents of a type."""
    return msgspec.json.Decoder(type_)


def _series_row(name: str, labels: Labels, series: Series | None) -> tuple[tuple[str, str], SeriesRow | None]:
    text = msgspec.json.encode(labels).decode()
    if series is None:
        return (name, text), None
    buckets = None
    if series.counts:
        buckets = msgspec.json.encode((all_metrics()[name].buckets, series.counts)).decode()
    return (name, text), (name, text, series.value, series.created, buckets)


def _encodable_key(key: tuple[str, str]) -> tuple[str, str]:
    """A key that the database takes: text without half characters (surrogates)."""
    key[1].encode()
    return key


def _encode_document(document: msgspec.Struct) -> bytes:
    """The document as it is written, known to be readable."""
    body = msgspec.json.encode(document)
    json_decoder(type(document)).decode(body)
    return body
