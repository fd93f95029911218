"""One function to raise an alert."""

from __future__ import annotations

import os
import sys
from itertools import islice

from vv_core.common import journals, levels, texts
from vv_core.common.ids import uuid7

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, overload

LEVELS = levels.LEVELS
"""The severities of alerts; `_levels` has what else `send_alert` understands."""

# Together, and doubled by JSON's escapes, they fit a line of the journal (64 KiB).
_MAX_TITLE, _MAX_DETAILS, _MAX_ACTIONS, _MAX_KEY = 256, 16_000, 4_000, 256
_MAX_CONTEXT, _MAX_CONTEXT_VALUE = 8_000, 1_000
_MAX_UNKNOWN, _MAX_ARGUMENT = 2_000, 300  # of arguments that nobody knows
_MAX_SEARCHED = 1_000  # entries of a mapping

_ALIASES = {"details": "message_details", "message": "title", "component": "source_component", "severity": "level"}
_SUBJECTS = {
    **dict.fromkeys(("video", "video_path", "video_file", "video_file_context"), "video"),
    "video_id": "video_id",
    **dict.fromkeys(("video_sha256", "sha256", "original_hash_sha256", "video_hash", "hash"), "video_sha256"),
}
"""What scripts call the video that something is about, its id and its hash; and what the context calls them."""
_NO_SUBJECT = ("", "None", "N/A", "n/a")


if TYPE_CHECKING:  # what editors and type checkers are to know; it takes the rest as well

    @overload
    def send_alert(
        level: str | int,
        title: str,
        message_details: str | Mapping[str, object] | None = None,
        source_component: str | None = None,
        *,
        context: Mapping[str, object] | None = None,
        suggested_actions: str | Sequence[str] | None = None,
        dedupe_key: str | None = None,
        video_file_context: object = None,
    ) -> str: ...
    @overload
    def send_alert(
        level: str | int,
        title: str,
        *,
        details: str | Mapping[str, object] | None = None,
        source_component: str | None = None,
        context: Mapping[str, object] | None = None,
        suggested_actions: str | Sequence[str] | None = None,
        dedupe_key: str | None = None,
        video_file_context: object = None,
    ) -> str: ...


def send_alert(
    level: str | int | None = None,
    title: object = None,
    message_details: object = None,
    source_component: object = None,
    /,
    *more: object,
    context: Mapping[str, object] | None = None,
    suggested_actions: str | Sequence[str] | None = None,
    dedupe_key: object = None,
    **named: object,
) -> str:
    """Raise an alert; return its id (UUIDv7).

    It takes microseconds, needs neither network nor a running exporter, and raises nothing, whatever it is given:
    the exporter delivers the alert as soon as it can. One of level CRITICAL is on the disk when this returns, so that a
    power cut does not take it back: it waits for the disk, milliseconds as a rule, five seconds at most. Long text is
    cut (title 256 bytes, details 16 kB, suggested actions 4 kB), control characters are escaped.

    `level` is one of `LEVELS`, or any name or number that `logging` and syslog have (``FATAL``, 50, ``notice``, in any
    case); another counts as ERROR, and the alert says so. Without a component it is the running script. All four may
    be named; ``details`` is another name of `message_details`. An argument that is none of these is told in the
    alert.

    `message_details`, if a mapping, becomes lines ``key: value``. `context` says what it is about, by convention under
    ``video``, ``video_id``, ``video_sha256``; where it is not given, what `message_details` says under such names,
    ``hash`` and ``video_path`` for instance, is the context, and so are further arguments with such names, as
    ``video_file_context``. Alerts with the same component, title and `dedupe_key` (without it, the same `context`) are
    the same alert: it is notified once, and counts its repeats; what these say that it does not is on the timeline.

    The alert is also logged on ``vv_core.alerter``, where the script has set up logging.
    """
    alert_id = ""
    try:
        alert_id = uuid7()
        four = {
            "level": level,
            "title": title,
            "message_details": message_details,
            "source_component": source_component,
        }
        unknown = _take_named(four, named) if named else {}
        if more:
            unknown |= {f"argument {place}": value for place, value in enumerate(more, 5)}
        fields = _alert_fields(four, unknown, context, suggested_actions, dedupe_key)
        _raise_alert(journals.component_name(four["source_component"]), {"id": alert_id, **fields})
    except texts.ENDS:
        raise
    except BaseException as error:  # no memory, or hardly any stack left: rather this than nothing
        try:
            fields = {"level": "ERROR", "title": "An alert that cannot be read", "details": _unreadable_text(error)}
            _raise_alert("unknown", {"id": alert_id, **fields})
        except Exception:
            return alert_id
    return alert_id


def _take_named(four: dict[str, object], named: dict[str, object]) -> dict[str, object]:
    """Put into `four` what is given by a name and not by its place. Gives what is left: nobody knows it."""
    unknown = {}
    for name, value in named.items():
        meant = _ALIASES.get(name, name)
        if four.get(meant, ...) is None:
            four[meant] = value
        else:
            unknown[name] = value
    return unknown


def _alert_fields(
    four: dict[str, object], unknown: dict[str, object], context: object, actions: object, dedupe_key: object
) -> dict[str, object]:
    level = levels.known(four["level"])
    given = four["message_details"]
    about = {} if context is None else _readable_part(_safe_context, context)
    also, found = _found_context(unknown, None if about else given)
    details = "" if given is None else texts.described(given, _MAX_DETAILS, found)
    rest = {name: value for name, value in unknown.items() if name not in found}
    if level is None or rest:
        unknown_level = "" if level else f"(raised with the unknown level {texts.line(four['level'], 64)!r})"
        details = "\n".join(filter(None, [unknown_level, details, _unknown_arguments(rest)]))
    fields: dict[str, object] = {
        "level": level or "ERROR",
        "title": ("" if four["title"] is None else texts.line(four["title"], _MAX_TITLE).strip()) or "(no title)",
        "details": texts.lines(details, _MAX_DETAILS),
        "context": _safe_context({**about, **also, **about}) if also else about,
        "suggested_actions": "" if actions is None else _readable_part(_actions_text, actions),
    }
    known = {name: value for name, value in fields.items() if value}
    return known if dedupe_key is None else known | {"dedupe_key": texts.line(dedupe_key, _MAX_KEY)}


def _readable_part(read: Callable[[object], Any], given: object) -> Any:
    """A part of an alert; what cannot be read of it costs the others nothing, and is told in its place."""
    try:
        return read(given)
    except texts.ENDS:
        raise
    except BaseException as error:
        return read(_unreadable_text(error))


def _unreadable_text(error: BaseException) -> str:
    return f"(what was given here cannot be read: {texts.kind(error)}: {texts.printed(error)})"


def _unknown_arguments(unknown: dict[str, object]) -> str:
    if not unknown:
        return ""
    given = (f"{texts.line(name, 64)}={texts.line(value, _MAX_ARGUMENT)!r}" for name, value in unknown.items())
    return texts.line(f"(send_alert was also given {', '.join(given)})", _MAX_UNKNOWN)


def _found_context(*mappings: object) -> tuple[dict[str, str], set[str]]:
    """What mappings say of the video, and the keys under which they say all of it."""
    found: dict[str, str] = {}
    keys: set[str] = set()
    try:
        for mapping in mappings:
            if not mapping or type(mapping) is str or not texts.is_mapping(mapping):
                continue
            for key, value in islice(mapping.items(), _MAX_SEARCHED):  # type: ignore[attr-defined]
                if type(key) is str and _take_subject(found, key, value):
                    keys.add(key)
    except texts.ENDS:
        raise
    except BaseException:  # the listing of the mapping tells it
        return found, keys
    return found, keys


def _take_subject(found: dict[str, str], key: str, value: object) -> bool:
    """Put into `found` what is said of the video under a key. Whether nothing is left to be said."""
    name = _SUBJECTS.get(key.strip().lower().replace(" ", "_").replace("-", "_"))
    if name is None:
        return False
    if texts.is_mapping(value):
        found.update({**_safe_context(value), **found})
        return True
    text = _context_value(name, value)
    if text.strip() in _NO_SUBJECT:
        return False
    if name == "video_sha256" and "sha256" not in key.lower() and not _is_sha256(text):
        name = "hash"
    return found.setdefault(name, text) == text and not text.endswith("…")


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and text.isascii() and text.isalnum()


def _safe_context(context: object) -> dict[str, str]:
    if not texts.is_mapping(context):
        return {"context": texts.line(context, _MAX_CONTEXT_VALUE)} if texts.truth(context) else {}
    safe: dict[str, str] = {}
    room = _MAX_CONTEXT
    for key, value in context.items():  # type: ignore[attr-defined]
        name = texts.line(key, 64)
        text = _context_value(_SUBJECTS.get(name, name), value)
        room -= len(name.encode()) + len(text.encode()) + len('"":"",')
        if room < 0:
            break
        safe[name] = text
    return safe


def _context_value(name: str, value: object) -> str:
    text = texts.path(value, _MAX_CONTEXT_VALUE)
    is_path = isinstance(value, os.PathLike) or (name == "video" and text.strip() not in _NO_SUBJECT)
    return texts.video(value, _MAX_CONTEXT_VALUE) if is_path else text


def _actions_text(actions: object) -> str:
    if isinstance(actions, list | tuple):
        actions = "\n".join(texts.line(action, _MAX_ACTIONS) for action in actions[:50])
    return texts.lines(actions, _MAX_ACTIONS)


def _raise_alert(component: str, fields: dict[str, object]) -> None:
    worth = journals.LASTING if fields["level"] == "CRITICAL" else journals.NEEDED
    recorded = journals.emit("alert", component, fields, worth)
    _log_alert(component, fields, recorded)


def _log_alert(component: str, fields: dict[str, object], recorded: bool) -> None:
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
        about = "".join(f" ({name}: {value})" for name, value in fields.get("context", {}).items())  # type: ignore[attr-defined]
        logger.log(level, "alert%s %s: %s: %s%s", lost, component, fields["title"], fields.get("details", ""), about)
    except Exception:
        return
