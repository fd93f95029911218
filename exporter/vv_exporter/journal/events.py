"""The journal's events, format 1, and how a line becomes one. The fields are described in docs/journal.md.

Every field has bounds: whatever a line holds, what comes of it can be counted, stored and shown. A text that is too
long is cut, a name too (so that two long names stay two), of a context too large the beginning is kept: the rest of
the event is worth having. A number out of its bounds is no measurement, and its line is refused.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, inspect

from vv_core.common.texts import MAX_NAME, label
from vv_exporter.common.processes import Process

# A string, also one without an end, or a bracket; possessive, so that no line makes it look twice at a byte.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
VERSION = 1
MAX_LINE = 1024 * 1024  # bytes, with the newline
MAX_DEPTH = 64  # of arrays and objects in each other; format 1 needs three
MAX_TEXT = 20_000  # characters
MAX_ENTRIES = 1000  # of a context, and containers of the self-monitor
MAX_COUNT = 2**53  # beyond it a float, as which all is shown, does not know each integer
MAX_SECONDS = 1e10  # three hundred years, of either sign

Name = Annotated[str, Meta(max_length=MAX_NAME)]
"""What becomes a label or a key."""
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
"""What people read."""
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Bytes = Annotated[int, Meta(ge=0, le=2**63 - 1)]
ExitCode = Annotated[int, Meta(ge=-(2**31), le=2**32 - 1)]
# Of what was measured (`seconds`, `mono`) whatever comes is taken, and made true on admission: an end that says
# nonsense of its duration is an end all the same.
Seconds = Annotated[float, Meta(ge=-MAX_SECONDS, le=MAX_SECONDS)]


class Event(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    """What every line has."""

    v: int
    ts: float
    component: Name = ""
    tag: ClassVar[str] = ""


class WriterStarted(Event, frozen=True, tag="writer"):
    lock: bool = False
    pid: Count = 0
    pid_ns: Count = 0
    node: Name = ""
    host: Name = ""
    boot: Name = ""
    sdk: Name = ""

    @property
    def process(self) -> Process:
        return Process(self.pid, self.pid_ns, self.node)


class StageStarted(Event, frozen=True, tag="stage.started", kw_only=True):
    run: Name
    stage: Name
    mono: float = 0.0
    video: Text = ""
    video_bytes: Bytes = 0
    video_seconds: Seconds = 0.0
    limit: Seconds | None = None
    limit_scales: bool = False
    parent: Name = ""


class StageNoted(Event, frozen=True, tag="stage.noted", kw_only=True):
    run: Name
    stage: Name
    video: Text = ""
    video_sha256: Name = ""
    video_bytes: Bytes = 0
    video_seconds: Seconds = 0.0


class StageFinished(Event, frozen=True, tag="stage.finished", kw_only=True):
    run: Name
    stage: Name
    outcome: Name
    seconds: float
    video: Text = ""
    video_sha256: Name = ""
    error: Text = ""
    exception: Name = ""


class JobStarted(Event, frozen=True, tag="job.started", kw_only=True):
    run: Name
    job: Name
    mono: float = 0.0


class JobFinished(Event, frozen=True, tag="job.finished", kw_only=True):
    run: Name
    job: Name
    result: Name
    seconds: float
    exit_code: ExitCode | None = None
    error: Text = ""
    output: Text = ""


class JobSkipped(Event, frozen=True, tag="job.skipped", kw_only=True):
    job: Name
    reason: Text = ""


class Heartbeat(Event, frozen=True, tag="heartbeat", kw_only=True):
    job: Name


class AlertRaised(Event, frozen=True, tag="alert", kw_only=True):
    id: Name
    level: Name
    title: Text
    details: Text = ""
    context: Annotated[dict[Name, Text], Meta(max_length=MAX_ENTRIES)] = msgspec.field(default_factory=dict)
    suggested_actions: Text = ""
    dedupe_key: Text = ""


class DrillAsked(Event, frozen=True, tag="drill", kw_only=True):
    id: Name
    severity: Name = ""
    channel: Name = ""


class SchemaValidated(Event, frozen=True, tag="schema.validated", kw_only=True):
    schema: Name
    result: Name
    path: Text = ""
    error: Text = ""
    excerpt: Text = ""
    video: Text = ""
    video_sha256: Name = ""


class HmacUsed(Event, frozen=True, tag="hmac", kw_only=True):
    operation: Name
    result: Name
    reason: Name = ""
    key_id: Name = ""
    error: Text = ""
    video: Text = ""
    video_sha256: Name = ""


class ChainOutside(Event, frozen=True, tag="chain.outside", kw_only=True):
    chain: Name
    reason: Text = ""


class ExceptionUnhandled(Event, frozen=True, tag="exception", kw_only=True):
    exception: Name
    error: Text
    traceback: Text = ""
    video: Text = ""
    video_sha256: Name = ""


class ScriptStarted(Event, frozen=True, tag="script.started"):
    video: Text = ""
    video_sha256: Name = ""


class ScriptEnded(Event, frozen=True, tag="script.ended"):
    pass


class DvrAttempt(Event, frozen=True, tag="dvr.attempt", kw_only=True):
    dvr: Name
    result: Name
    error: Text = ""


class DvrHeldBack(Event, frozen=True, tag="dvr.held_back", kw_only=True):
    dvr: Name
    error: Text = ""


class DvrFrames(Event, frozen=True, tag="dvr.frames", kw_only=True):
    dvr: Name
    frames: Count
    last: float


class DvrEnded(Event, frozen=True, tag="dvr.ended", kw_only=True):
    dvr: Name


class DvrLogin(Event, frozen=True, tag="dvr.login", kw_only=True):
    dvr: Name


class FootageRecorded(Event, frozen=True, tag="footage.recorded", kw_only=True):
    dvr: Name
    start: Seconds
    end: Seconds
    video: Text = ""
    video_sha256: Name = ""


class StorageAccepted(Event, frozen=True, tag="storage.accepted"):
    pass


class VideoExhausted(Event, frozen=True, tag="video.exhausted", kw_only=True):
    stage: Name
    attempts: Count
    video: Text
    id: Name = ""
    video_sha256: Name = ""
    error: Text = ""


class VideoQuarantined(Event, frozen=True, tag="video.quarantined", kw_only=True):
    reason: Name
    path: Text
    video: Text
    id: Name = ""
    video_sha256: Name = ""
    error: Text = ""


class ContainerRestarting(Event, frozen=True, tag="container.restarting", kw_only=True):
    name: Name
    container: Name
    attempt: Name
    reason: Text = ""


class ContainerRestarted(Event, frozen=True, tag="container.restarted", kw_only=True):
    name: Name
    attempt: Name
    result: Name
    error: Text = ""


class ContainerGaveUp(Event, frozen=True, tag="container.gave_up", kw_only=True):
    name: Name
    restarts: Count
    reason: Text = ""
    log_tail: Text = ""


class ContainerResumed(Event, frozen=True, tag="container.resumed", kw_only=True):
    name: Name
    reason: Text = ""


class ContainerForgotten(Event, frozen=True, tag="container.forgotten", kw_only=True):
    name: Name


class Supervision(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the self-monitor stands to one container."""

    in_window: Count = 0
    max: Count = 0
    gave_up: bool = False


class SupervisorChecked(Event, frozen=True, tag="supervisor.checked", kw_only=True):
    containers: Annotated[dict[Name, Supervision], Meta(max_length=MAX_ENTRIES)]
    left_out: Count = 0


class SupervisorRetired(Event, frozen=True, tag="supervisor.retired"):
    pass


class Dropped(Event, frozen=True, tag="dropped", kw_only=True):
    count: Count


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
    | DrillAsked
    | SchemaValidated
    | HmacUsed
    | ChainOutside
    | ExceptionUnhandled
    | ScriptStarted
    | ScriptEnded
    | DvrAttempt
    | DvrFrames
    | DvrEnded
    | DvrHeldBack
    | DvrLogin
    | FootageRecorded
    | StorageAccepted
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
_FIELDS = {
    type_.tag: {field.encode_name: field.type for field in type_.fields}
    for type_ in inspect.multi_type_info(TYPES)
    if isinstance(type_, inspect.StructType)
}


def decode(line: bytes | memoryview) -> Event:
    """The event in a line (without or with its newline). Raises `RejectedError`, whatever the line holds."""
    content = bytes(line)
    # The count is quick; few lines have so many brackets, and of those most are no deeper for it.
    if content.count(b"[") + content.count(b"{") > MAX_DEPTH and nesting(content) > MAX_DEPTH:
        raise RejectedError("depth")
    try:
        event: Event = _decode(line)
    except Exception:  # foreign input: no way in which it fails may stop the reader
        event = _decode_cut(line)
    if event.v != VERSION:
        raise RejectedError("version")
    return event


def nesting(line: bytes) -> int:
    """How deep arrays and objects lie in each other. How deep the interpreter would follow differs by its version."""
    depth = deepest = 0
    for token in _TOKENS.finditer(line):
        if (bracket := token[0]) in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif bracket in (b"]", b"}"):
            depth -= 1
    return deepest


def _decode_cut(line: bytes | memoryview) -> Event:
    """As `decode`, with what is too long cut: slower, and seldom needed."""
    try:
        content: Any = msgspec.json.decode(line)
    except RecursionError:
        raise RejectedError("depth") from None
    except Exception:
        raise RejectedError("syntax") from None
    if not isinstance(content, dict):
        raise RejectedError("schema")
    if content.get("v") != VERSION:
        raise RejectedError("version")
    tag = content.get("type")
    if not isinstance(tag, str) or tag not in _FIELDS:
        raise RejectedError("unknown_type")
    try:
        event: Event = msgspec.convert(_cut_fields(content, _FIELDS[tag]), AnyEvent)
    except Exception:
        raise RejectedError("schema") from None
    return event


def _cut_fields(content: dict[str, Any], fields: dict[str, inspect.Type]) -> dict[str, Any]:
    cut = {key: _cut_to_bounds(value, fields[key]) for key, value in content.items() if key in fields}
    return cut | {"type": content["type"]}


def _cut_to_bounds(value: Any, type_: inspect.Type) -> Any:
    if isinstance(value, str) and isinstance(type_, inspect.StrType) and type_.max_length:
        return label(value) if type_.max_length == MAX_NAME else value[:MAX_TEXT]
    if isinstance(value, dict) and isinstance(type_, inspect.DictType):
        texts = isinstance(type_.value_type, inspect.StrType)  # of what is not, a part would mean something else
        items = islice(value.items(), type_.max_length if texts else None)
        return {_cut_to_bounds(key, type_.key_type): _cut_to_bounds(item, type_.value_type) for key, item in items}
    return value
