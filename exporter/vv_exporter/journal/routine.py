"""Which events are routine: what they say is counted at once, and may be written to the disk a little later.

Of all that goes wrong, of alerts and of what an operator says, nothing is: it is on the disk before anybody acts on it.
An event of a type that does not stand here is none either.
"""

from __future__ import annotations

from collections.abc import Mapping

from vv_exporter.journal.events import (
    DvrAttempt,
    DvrFrames,
    Event,
    FootageRecorded,
    Heartbeat,
    HmacUsed,
    JobFinished,
    JobStarted,
    SchemaValidated,
    ScriptEnded,
    ScriptStarted,
    StageFinished,
    StageNoted,
    StageStarted,
    SupervisorChecked,
    WriterStarted,
)

_ALWAYS: frozenset[type[Event]] = frozenset(
    {
        DvrFrames,
        FootageRecorded,
        Heartbeat,
        JobStarted,
        ScriptEnded,
        ScriptStarted,
        StageNoted,
        StageStarted,
        SupervisorChecked,
        WriterStarted,
    }
)
_SUCCESSES: Mapping[type[Event], tuple[str, str]] = {
    DvrAttempt: ("result", "ok"),
    HmacUsed: ("result", "ok"),
    JobFinished: ("result", "success"),
    SchemaValidated: ("result", "valid"),
    StageFinished: ("outcome", "success"),
}


def is_routine(event: Event) -> bool:
    """Whether it says that something goes on, or went, as it should."""
    if type(event) in _ALWAYS:
        return True
    field, good = _SUCCESSES.get(type(event), ("type", ""))
    return getattr(event, field, None) == good
