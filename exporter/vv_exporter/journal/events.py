"""The journal's events, format 1, and how a line becomes one. The fields are described in docs/journal.md."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

VERSION = 1
MAX_LINE = 1024 * 1024  # bytes, with the newline


class Event(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    """What every line has."""

    v: int
    ts: float
    component: str = ""
    tag: ClassVar[str] = ""


class WriterStarted(Event, frozen=True, tag="writer"):
    lock: bool = False
    pid: int = 0
    host: str = ""
    boot: str = ""
    sdk: str = ""


class StageStarted(Event, frozen=True, tag="stage.started", kw_only=True):
    run: str
    stage: str
    mono: float = 0.0
    video: str = ""
    video_bytes: int = 0
    video_seconds: float = 0.0
    limit: float | None = None
    limit_scales: bool = False
    parent: str = ""


class StageNoted(Event, frozen=True, tag="stage.noted", kw_only=True):
    run: str
    stage: str
    video: str = ""
    video_sha256: str = ""
    video_bytes: int = 0
    video_seconds: float = 0.0


class StageFinished(Event, frozen=True, tag="stage.finished", kw_only=True):
    run: str
    stage: str
    outcome: str
    seconds: float
    video: str = ""
    video_sha256: str = ""
    error: str = ""
    exception: str = ""


class JobStarted(Event, frozen=True, tag="job.started", kw_only=True):
    run: str
    job: str
    mono: float = 0.0


class JobFinished(Event, frozen=True, tag="job.finished", kw_only=True):
    run: str
    job: str
    result: str
    seconds: float
    exit_code: int | None = None
    error: str = ""
    output: str = ""


class JobSkipped(Event, frozen=True, tag="job.skipped", kw_only=True):
    job: str
    reason: str = ""


class Heartbeat(Event, frozen=True, tag="heartbeat", kw_only=True):
    job: str


class AlertRaised(Event, frozen=True, tag="alert", kw_only=True):
    id: str
    level: str
    title: str
    details: str = ""
    context: dict[str, str] = msgspec.field(default_factory=dict)
    suggested_actions: str = ""
    dedupe_key: str = ""


class SchemaValidated(Event, frozen=True, tag="schema.validated", kw_only=True):
    schema: str
    result: str
    path: str = ""
    error: str = ""
    excerpt: str = ""
    video: str = ""
    video_sha256: str = ""


class HmacUsed(Event, frozen=True, tag="hmac", kw_only=True):
    operation: str
    result: str
    reason: str = ""
    key_id: str = ""
    error: str = ""
    video: str = ""
    video_sha256: str = ""


class ExceptionUnhandled(Event, frozen=True, tag="exception", kw_only=True):
    exception: str
    error: str
    traceback: str = ""
    video: str = ""
    video_sha256: str = ""


class ScriptStarted(Event, frozen=True, tag="script.started"):
    video: str = ""
    video_sha256: str = ""


class ScriptEnded(Event, frozen=True, tag="script.ended"):
    pass


class DvrAttempt(Event, frozen=True, tag="dvr.attempt", kw_only=True):
    dvr: str
    result: str
    error: str = ""


class DvrFrames(Event, frozen=True, tag="dvr.frames", kw_only=True):
    dvr: str
    frames: int
    last: float


class DvrEnded(Event, frozen=True, tag="dvr.ended", kw_only=True):
    dvr: str


class VideoExhausted(Event, frozen=True, tag="video.exhausted", kw_only=True):
    stage: str
    attempts: int
    video: str
    id: str = ""
    video_sha256: str = ""
    error: str = ""


class VideoQuarantined(Event, frozen=True, tag="video.quarantined", kw_only=True):
    reason: str
    path: str
    video: str
    id: str = ""
    video_sha256: str = ""
    error: str = ""


class ContainerRestarting(Event, frozen=True, tag="container.restarting", kw_only=True):
    name: str
    container: str
    attempt: str
    reason: str = ""


class ContainerRestarted(Event, frozen=True, tag="container.restarted", kw_only=True):
    name: str
    attempt: str
    result: str
    error: str = ""


class ContainerGaveUp(Event, frozen=True, tag="container.gave_up", kw_only=True):
    name: str
    restarts: int
    reason: str = ""
    log_tail: str = ""


class ContainerResumed(Event, frozen=True, tag="container.resumed", kw_only=True):
    name: str
    reason: str = ""


class ContainerForgotten(Event, frozen=True, tag="container.forgotten", kw_only=True):
    name: str


class Supervision(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the self-monitor stands to one container."""

    in_window: int = 0
    max: int = 0
    gave_up: bool = False


class SupervisorChecked(Event, frozen=True, tag="supervisor.checked", kw_only=True):
    containers: dict[str, Supervision]


class SupervisorRetired(Event, frozen=True, tag="supervisor.retired"):
    pass


class Dropped(Event, frozen=True, tag="dropped", kw_only=True):
    count: int


AnyEvent = (
    WriterStarted
    | StageStarted
    | StageNoted
    | StageFinished
    | JobStarted
    | JobFinished
    | JobSkipped
    | Heartbeat
    | AlertRaised
    | SchemaValidated
    | HmacUsed
    | ExceptionUnhandled
    | ScriptStarted
    | ScriptEnded
    | DvrAttempt
    | DvrFrames
    | DvrEnded
    | VideoExhausted
    | VideoQuarantined
    | ContainerRestarting
    | ContainerRestarted
    | ContainerGaveUp
    | ContainerResumed
    | ContainerForgotten
    | SupervisorChecked
    | SupervisorRetired
    | Dropped
)
TYPES: dict[type[Event], str] = {type_: str(type_.__struct_config__.tag) for type_ in AnyEvent.__args__}


class RejectedError(Exception):
    """A line that cannot be used; `reason` is the label of `vv_events_rejected_total`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_decode = msgspec.json.Decoder(AnyEvent).decode


def decode(line: bytes | memoryview) -> Event:
    """The event in a line (without or with its newline). Raises `RejectedError`."""
    try:
        event: Event = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RejectedError(_reason(line)) from None
    if event.v != VERSION:
        raise RejectedError("version")
    return event


def _reason(line: bytes | memoryview) -> str:
    try:
        content: Any = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "syntax"
    if not isinstance(content, dict):
        return "schema"
    if content.get("v") != VERSION:
        return "version"
    return "schema" if content.get("type") in TYPES.values() else "unknown_type"
