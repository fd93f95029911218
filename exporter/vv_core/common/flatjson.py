"""Flat JSON objects, written without importing ``json``: that brings ``re`` along and doubles the import's cost."""

from __future__ import annotations

try:
    from _json import encode_basestring as _quoted  # what ``json.encoder`` itself uses where it is there
except ImportError:
    from json.encoder import encode_basestring as _quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Fixed(dict[str, object]):
    """A record that many events share and nobody changes: it is written once."""

    def __init__(self, **fields: object) -> None:
        super().__init__(fields)
        self.members = members(fields)


def encode(record: Mapping[str, object]) -> str:
    """`record` as a JSON object in one line. Its values are text, finite numbers, booleans, or such mappings.

    Raises `TypeError` or `ValueError` for any other.
    """
    return "{" + members(record) + "}"


def members(record: Mapping[str, object]) -> str:
    """What stands between the braces of `encode`."""
    if type(record) is Fixed:
        return record.members
    return ",".join([f"{_quoted(key)}:{_encode_value(value)}" for key, value in record.items()])


def _encode_value(value: object) -> str:
    kind = type(value)
    if kind is str:
        return _quoted(value)  # type: ignore[arg-type]
    if kind is int:
        return repr(value)
    if kind is float:
        if value - value != 0:  # type: ignore[operator]
            raise ValueError(f"{value} is no number in JSON")
        return repr(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is dict:
        return encode(value)  # type: ignore[arg-type]
    raise TypeError(f"{kind.__name__} has no place in an event")
