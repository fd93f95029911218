"""Exceptions that came to the last resort of a script. Those that a stage failed with are counted with the stage."""

from __future__ import annotations

from vv_exporter.journal.events import ExceptionUnhandled
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.exceptions import EXCEPTIONS_UNHANDLED
from vv_exporter.metrics.pipeline import EXCEPTIONS
from vv_exporter.settings import Settings
from vv_exporter.state.failures import MAX_ERROR, MAX_NAME, Failure, remember, shorten
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import MAX_DETAILS, Entry, add_to_timeline, shortened

_MESSAGE = MAX_ERROR // 2  # the rest is for the end of the traceback


def unhandled(tx: Transaction, event: ExceptionUnhandled, source: Source, settings: Settings) -> None:
    """Count it, and remember the message and where it came from."""
    component = event.component or source.component
    tx.inc(EXCEPTIONS, (component, event.exception))
    tx.inc(EXCEPTIONS_UNHANDLED, (component, event.exception))
    add_to_timeline(tx, event.ts, _timeline_entry(event, component))
    remember(
        tx,
        Failure(
            component=component,
            kind=f"exception:{event.exception}",
            time=event.ts,
            video=shorten(event.video, MAX_NAME),
            video_sha256=shorten(event.video_sha256, 64),
            error=described(event),
        ),
    )


def described(event: ExceptionUnhandled) -> str:
    """Message and end of the traceback in one short line."""
    message = shorten(f"{event.exception}: {event.error}", _MESSAGE)
    calls = " ".join(event.traceback.split())
    room = MAX_ERROR - len(message) - len(" | ")
    if not calls:
        return message
    return f"{message} | {calls if len(calls) <= room else '…' + calls[1 - room :]}"


def _timeline_entry(event: ExceptionUnhandled, component: str) -> Entry:
    """For the timeline: the message and the end of the traceback."""
    message = shortened(event.error, MAX_DETAILS // 3)
    return Entry(
        kind="exception",
        title=sentence("Unhandled {exception}", exception=event.exception),
        severity="error",
        component=component,
        details=f"{message}\n{shortened(event.traceback, MAX_DETAILS // 2, end=True)}",
        video=event.video,
        video_sha256=event.video_sha256,
    )


HANDLERS: dict[type, Handler] = {ExceptionUnhandled: unhandled}
