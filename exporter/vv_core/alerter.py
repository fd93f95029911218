"""One function to raise an alert."""

from __future__ import annotations

import sys

from vv_core import _journal, _text
from vv_core._ids import uuid7

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

LEVELS = ("INFO", "WARNING", "ERROR", "CRITICAL")
"""INFO: notable but normal, logged and not notified. WARNING: abnormal, may become a problem. ERROR: one function
or item failed. CRITICAL: a main function is down, or data or security are at risk."""

# Together, and doubled by JSON's escapes, they fit a line of the journal (64 KiB).
_MAX_TITLE, _MAX_DETAILS, _MAX_ACTIONS, _MAX_KEY = 256, 16_000, 4_000, 256
_MAX_CONTEXT, _MAX_CONTEXT_VALUE = 8_000, 1_000


def send_alert(
    level: str,
    title: str,
    details: str | Mapping[str, object],
    source_component: str,
    *,
    context: Mapping[str, object] | None = None,
    suggested_actions: str | Sequence[str] | None = None,
    dedupe_key: str | None = None,
) -> str:
    """Raise an alert; return its id (UUIDv7).

    It takes microseconds, needs neither network nor a running exporter, and raises nothing, whatever it is given:
    the exporter delivers the alert as soon as it can. Long text is cut (title 256 bytes, details 16 kB, suggested
    actions 4 kB), control characters are escaped, a level that is none of `LEVELS` counts as ERROR and is told.

    `details`, if a mapping, becomes lines ``key: value``. `context` says what it is about, by convention under
    ``video``, ``video_id``, ``video_sha256``. Alerts with the same component, title and `dedupe_key` (without it,
    the same `context`) are the same alert: it is notified once, and counts its repeats.

    The alert is also logged on ``vv_core.alerter``, where the script has set up logging.
    """
    alert_id = uuid7()
    component = _journal.component_name(source_component)
    try:
        fields = _fields(alert_id, level, title, details, context, suggested_actions, dedupe_key)
    except Exception as error:  # what it was given cannot be read: say so, rather than nothing
        unread = f"(its details could not be read: {type(error).__name__}: {_text.printed(error)})"
        fields = _fields(alert_id, level, title, unread, None, None, None)
    recorded = _journal.emit("alert", component, fields, _journal.NEEDED)
    _log(component, fields, recorded)
    return alert_id


def _fields(
    alert_id: str,
    level: object,
    title: object,
    details: object,
    context: object,
    actions: object,
    dedupe_key: object,
) -> dict[str, object]:
    known, note = _level(level)
    fields: dict[str, object] = {
        "id": alert_id,
        "level": known,
        "title": _text.line(title, _MAX_TITLE).strip() or "(no title)",
    }
    if text := note + _details(details):
        fields["details"] = text
    if context:
        fields["context"] = _context(context)
    if actions:
        fields["suggested_actions"] = _actions(actions)
    if dedupe_key is not None:
        fields["dedupe_key"] = _text.line(dedupe_key, _MAX_KEY)
    return fields


def _level(level: object) -> tuple[str, str]:
    name = _text.line(level, 64).strip().upper()
    if name in LEVELS:
        return name, ""
    return "ERROR", f"(raised with the unknown level {_text.line(level, 64)!r})\n"


def _details(details: Any) -> str:
    if details is None:
        return ""
    if hasattr(details, "items"):  # a mapping, or what behaves like one
        return _text.listing(details, _MAX_DETAILS)
    return _text.lines(details, _MAX_DETAILS)


def _context(context: object) -> dict[str, str]:
    if not hasattr(context, "items"):
        return {"context": _text.line(context, _MAX_CONTEXT_VALUE)}
    safe: dict[str, str] = {}
    room = _MAX_CONTEXT
    for key, value in context.items():
        name, text = _text.line(key, 64), _text.path(value, _MAX_CONTEXT_VALUE)
        room -= len(name.encode()) + len(text.encode()) + len('"":"",')
        if room < 0:
            break
        safe[name] = text
    return safe


def _actions(actions: object) -> str:
    if isinstance(actions, list | tuple):
        actions = "\n".join(_text.line(action, _MAX_ACTIONS) for action in actions[:50])
    return _text.lines(actions, _MAX_ACTIONS)


def _log(component: str, fields: dict[str, object], recorded: bool) -> None:
    """Log where logging is set up; an alert that could not be recorded is logged anyhow, as its last way out."""
    if recorded and "logging" not in sys.modules:
        return
    try:
        import logging

        logger = logging.getLogger("vv_core.alerter")
        if recorded and not logger.hasHandlers():
            return
        level = logging.getLevelNamesMapping()[str(fields["level"])]
        lost = "" if recorded else " (NOT RECORDED)"
        logger.log(level, "alert%s %s: %s: %s", lost, component, fields["title"], fields.get("details", ""))
    except Exception:
        return
