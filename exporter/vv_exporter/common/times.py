"""Times that others wrote, and times that are kept: what is believed of them, and how they follow the clock.

**What others write** (events, files, servers) may say anything: milliseconds, the year 702, a day to come. `admitted`
is the one rule: a time that cannot be true counts as now. Nothing is refused for it: the rest may be true all the same.

**What is kept** is in Unix seconds, as its clock showed them. A field of a stored Struct is a `UnixTime` when it is a
time that has been, a `Deadline` when it may be yet to come; `Move` says what becomes of them when the clock is set.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import inspect

EARLIEST = 946_684_800.0
"""2000-01-01: a clock that shows less was never set."""
LONGEST_SECONDS = 366 * 86400.0
"""Longer than any run: a duration beyond it was measured by no clock."""

_PAST, _DEADLINE = "past", "deadline"
UnixTime = Annotated[float, msgspec.Meta(extra={"time": _PAST})]
"""When something was, in Unix seconds; 0 for never."""
Deadline = Annotated[float, msgspec.Meta(extra={"time": _DEADLINE})]
"""When something ends, in Unix seconds; it belongs to the times beside it."""


def admitted(time: float, now: float) -> float:
    """A time that others wrote, if it can be true; else now."""
    return time if EARLIEST <= time <= now else now  # NaN is neither


def is_later(time: float, known: float, now: float) -> bool:
    """Whether a time comes after one that is known, or with it.

    One that lies in the future now was shown by another clock, or by this one before it was set: it came before.
    """
    return time >= known or known > now


def admitted_seconds(seconds: float) -> float:
    """A duration that others measured, between 0 and `LONGEST_SECONDS`."""
    return min(max(seconds, 0.0), LONGEST_SECONDS) if math.isfinite(seconds) else 0.0


class Move(NamedTuple):
    """What becomes of kept times: those from `since` to `until` go along `by` seconds; then none lies after `now`.

    A time of this boot was shown by the clock that is set now, and so it keeps its age. One of an earlier boot stays as
    it is. What lies in the future all the same was shown by a clock that was wrong: it counts as now.
    """

    now: float
    since: float = math.inf
    until: float = math.inf
    by: float = 0.0
    begun: float = -math.inf
    """When the device was started, by the clock as it is set now."""
    ahead: float = 0.0
    """By how much the latest of the times that belong together lies in the future: they keep their distances."""
    along_too: bool = False
    """Whether a deadline goes along: the times beside it do."""

    def along(self, time: float) -> float:
        """The time by the clock as it is set now."""
        return time + self.by if self.since < time <= self.until else time

    def possible(self, time: float) -> bool:
        """Whether the time, which went along, can be true."""
        return time == 0 or EARLIEST <= time <= self.now

    def past(self, time: float) -> float:
        """A time that has been."""
        time = self.along(time) if time else time
        if self.possible(time):
            return time
        earlier = time - self.ahead
        # Not before the device's start: it goes along when the clock is set again.
        return max(earlier, self.begun) if EARLIEST <= earlier <= self.now < time else self.now

    def deadline(self, time: float) -> float:
        """A time that may be yet to come: it comes sooner by as much as the times beside it were in the future."""
        time += self.by if self.along_too else 0.0
        return max(time - self.ahead, self.now) if self.ahead else time

    def document(self, document: Any) -> Any:
        """A stored Struct with its times moved; the very same if none does."""
        node = _struct_node(type(document))
        return document if node is None else _move_times(document, node, self)


_nodes: dict[type, inspect.StructType | None] = {}


def _struct_node(type_: type) -> inspect.StructType | None:
    """What a Struct consists of; None if it has no times."""
    if type_ not in _nodes:
        node = inspect.type_info(type_)
        _nodes[type_] = node if isinstance(node, inspect.StructType) and _has_times(node) else None
    return _nodes[type_]


def _has_times(node: inspect.Type) -> bool:
    if isinstance(node, inspect.Metadata):
        return _time_kind(node) is not None or _has_times(node.type)
    if isinstance(node, inspect.StructType):
        return any(_has_times(field.type) for field in node.fields)
    if isinstance(node, inspect.UnionType):
        return any(map(_has_times, node.types))
    if isinstance(node, inspect.VarTupleType):
        return _has_times(node.item_type)
    return isinstance(node, inspect.DictType) and _has_times(node.value_type)


def _time_kind(node: inspect.Type) -> str | None:
    return (node.extra or {}).get("time") if isinstance(node, inspect.Metadata) else None


def _move_times(value: Any, node: inspect.Type, move: Move) -> Any:
    kind = _time_kind(node)
    if kind is not None:
        return move.past(value) if kind == _PAST else move.deadline(value)
    if isinstance(node, inspect.Metadata):
        return _move_times(value, node.type, move)
    if isinstance(node, inspect.UnionType):
        fitting = next((one for one in node.types if isinstance(one, inspect.StructType) and _is_a(value, one)), None)
        return value if fitting is None else _move_times(value, fitting, move)
    if isinstance(node, inspect.StructType):
        return _moved_struct(value, node, move)
    if isinstance(node, inspect.VarTupleType):
        if _time_kind(node.item_type) == _PAST:  # of many alike, one that cannot be true is better not counted than now
            return tuple(time for time in map(move.along, value) if move.possible(time))
        return tuple(_move_times(one, node.item_type, move) for one in value)
    if isinstance(node, inspect.DictType):
        return {key: _move_times(one, node.value_type, move) for key, one in value.items()}
    return value


def _is_a(value: Any, node: inspect.StructType) -> bool:
    return isinstance(value, node.cls)


def _moved_struct(value: Any, node: inspect.StructType, move: Move) -> Any:
    """Its times, and its deadlines with them: by how much the former were in the future, the latter come sooner."""
    times = [field for field in node.fields if _has_times(field.type)]
    before = [getattr(value, field.name) for field in times if _time_kind(field.type) == _PAST]
    past = [move.along(time) for time in before]
    move = move._replace(ahead=max([0.0, *(time - move.now for time in past)]), along_too=past != before)
    changed: dict[str, Any] = {}
    for field in times:
        now_is = getattr(value, field.name)
        after = _move_times(now_is, field.type, move)
        if after != now_is:
            changed[field.name] = after
    return msgspec.structs.replace(value, **changed) if changed else value
