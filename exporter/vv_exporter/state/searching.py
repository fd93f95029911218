"""How entries of a history are found by what stands in them, in SQL: the index, and what is asked of it.

An entry's body is JSON. The index holds its component and severity beside its time, so that a search for what is rare
reads the index and not the entries. It is made of the bodies by SQLite's own functions: a version of this program that
does not know it keeps it up to date, and without it the same questions have the same answers, more slowly.

What SQL gives are candidates: it never leaves out what is asked for, and may give more. Sources:
sqlite.org/expridx.html, sqlite.org/lang_expr.html#like (`LIKE` takes capital and small letters of ASCII
for the same, and may not match blobs).
"""

from __future__ import annotations

from typing import NamedTuple

_TEXT = "CAST(body AS TEXT)"
_COMPONENT, _SEVERITY = (
    f"CASE WHEN json_valid({_TEXT}) THEN json_extract({_TEXT}, '$.{field}') END" for field in ("component", "severity")
)

INDEX_NAME = "history_by_time_component_severity"
INDEX = f"CREATE INDEX IF NOT EXISTS {INDEX_NAME} ON history (kind, time, id, {_COMPONENT}, {_SEVERITY});"
"""Serves also who asks for a kind and a time alone."""

_ESCAPED_IN_JSON = {'"', "\\", *map(chr, range(0x20)), "\x7f"}


class Search(NamedTuple):
    """What entries must have: a part of their component, one of these severities, and texts somewhere in their body.

    Empty: whatever it is. An entry without a severity has none of them.
    """

    component: str = ""
    severities: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def conditions(search: Search) -> tuple[str, list[str]]:
    """SQL that follows other conditions, and its parameters."""
    sql, parameters = "", []
    if search.component:
        sql += f" AND {_COMPONENT} LIKE ?"
        parameters.append(_like_pattern(search.component))
    if search.severities:
        sql += f" AND {_SEVERITY} IN ({', '.join('?' * len(search.severities))})"
        parameters += search.severities
    for text in search.texts:
        if not _ESCAPED_IN_JSON.intersection(text):
            sql += f" AND {_TEXT} LIKE ?"
            parameters.append(_like_pattern(text))
    return sql, parameters


def _like_pattern(part: str) -> str:
    """What has this part, for LIKE; letters beyond ASCII, of which it does not know the capitals, may be anything."""
    return f"%{''.join(one if one.isascii() and one != chr(0) else '%' for one in part)}%"
