"""For the tests of scripts that report: see what they report, and leave the journal alone."""

from __future__ import annotations

import json
from contextlib import contextmanager

from vv_core.common import journals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


_OF_THE_PROCESS = ("script.started", "script.ended")


class Events(list["dict[str, Any]"]):
    """What was reported, in order: the journal's objects, each with its `type` and `component`.

    That a guard is entered and left is no report of the script, and is left out.
    """

    lost = 0

    def emit(self, kind: str, component: str, fields: Mapping[str, object], worth: float = 0) -> bool:  # noqa: ARG002
        """Take an event, as the journal would."""
        if kind in _OF_THE_PROCESS:
            return True
        event = {"v": 1, "type": kind, "component": component, **fields}
        self.append(json.loads(json.dumps(event, allow_nan=False)))
        return True

    def flush(self) -> bool:
        """Nothing waits here."""
        return True

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Those of one type, such as ``alert`` or ``stage.finished``."""
        return [event for event in self if event["type"] == kind]


@contextmanager
def captured() -> Iterator[Events]:
    """Collect the events of this process in a list instead of the journal.

    with captured() as events:
        main()

    assert events.of("stage.finished")[0]["outcome"] == "success"
    """
    events = Events()
    journals.reset(events)
    try:
        yield events
    finally:
        journals.reset()
