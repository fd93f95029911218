"""Asks for a drill: an event in the journal, as every script writes its own."""

from __future__ import annotations

from vv_core.common import journals
from vv_core.common.ids import uuid7
from vv_exporter.drills.state import COMPONENT
from vv_exporter.settings import Settings


class RequestError(Exception):
    """The event could not be written; the message is a clause for people."""


def request_drill(settings: Settings, severity: str = "", channel: str = "", id_: str = "") -> str:
    """Ask for one; gives its id (UUIDv7 if none is given). Raises `RequestError`."""
    id_ = id_ or uuid7()
    fields = {"id": id_, "severity": severity, "channel": channel}
    journal = journals.Journal(str(settings.journal_dir), settings.journal_max)
    try:
        if not (journal.emit("drill", COMPONENT, fields, journals.NEEDED) and journal.flush()):
            raise RequestError(f"the event cannot be written into {settings.journal_dir}: see `df -h` and `vv doctor`")
    finally:
        journal.close()
    return id_
