"""What a stage and a job have in common: a body that begins and ends, and reports both."""

from __future__ import annotations

import os
import time
from contextvars import ContextVar
from functools import wraps

from vv_core import _reported
from vv_core.common import journals, texts
from vv_core.common.ids import uuid7_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token
    from types import TracebackType
    from typing import Any, ParamSpec, Self, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

MAX_ERROR = 1000
"""Longest error that is recorded, in bytes (``docs/journal.md``)."""

MAX_PATH = 4096
"""Longest path of a video, in bytes: Linux' PATH_MAX."""

# What the exporter takes of a number (``journal/events.py``): nothing beyond is written.
MAX_COUNT = 1 << 53
_MAX_SECONDS = 1e10
_LEAST_EXIT_CODE, _MAX_EXIT_CODE = -(1 << 31), (1 << 32) - 1

_CO_COROUTINE = 0x80  # inspect.CO_COROUTINE, without the cost of importing inspect
_current: ContextVar[Run | None] = ContextVar("vv_core_run", default=None)


def current() -> Run | None:
    """The innermost run that is in progress in this thread or task; in a forked child, the one it was forked in."""
    return _current.get()


class Run:
    """One run of a body: what that may add to the report. `id` names the run in the journal."""

    def __init__(self, span: Span, parent: Run | None) -> None:
        self.id = uuid7_hex()
        self.parent = parent
        self._span = span
        self.error: str | None = None
        self.exception: str | None = None
        self.reported = False  # the exception was reported before it came here
        self.exit_code: int | None = None
        self.output: object = None
        self.notes: dict[str, str] = {}
        self.begun = time.monotonic()
        self.pid = os.getpid()
        self.recorded = False
        self.token: Token[Run | None] | None = None

    def fail(self, reason: object = "") -> None:
        """Let the run count as failed although no exception leaves its body."""
        self.error = texts.line(reason, MAX_ERROR) or "failed"

    def note(
        self,
        *,
        video: object = None,
        video_sha256: object = None,
        video_bytes: object = None,
        video_seconds: object = None,
    ) -> None:
        """Tell what became known on the way: the video, the SHA-256 of its content (hexadecimal), its size in bytes
        and its duration in seconds, which limits may depend on. It is reported at once, so that a crash can tell it.
        """
        known: dict[str, str] = {}
        if video is not None:
            known["video"] = texts.video(video, MAX_PATH)
        if video_sha256 is not None:
            known["video_sha256"] = texts.line(video_sha256, 128)
        self.notes.update(known)
        self._span.noted(self, known | measures(video_bytes, video_seconds))

    @property
    def component(self) -> str:
        """The script that reports it."""
        return self._span._component

    @property
    def failed(self) -> bool:
        """Whether it counts as failed so far."""
        return self.error is not None

    def end_with(self, error: BaseException) -> None:
        """Take over how the body ended. `SystemExit` with 0 is a success, as is a generator's early end."""
        if isinstance(error, GeneratorExit):
            return
        if isinstance(error, SystemExit):
            self._exit_with(error.code)
            return
        self.reported = _reported.is_reported(error)
        _reported.mark_reported(error)
        self.exception = texts.name(texts.kind(error))
        self.fail(texts.printed(error) or self.exception)

    def _exit_with(self, code: object) -> None:
        if code is None or isinstance(code, int):
            self.exit_code = int(code or 0) & 0xFF
            if self.exit_code:
                self.fail(f"exit code {self.exit_code}")
        else:
            self.exit_code = 1
            self.fail(code)


def measures(video_bytes: object, video_seconds: object) -> dict[str, object]:
    """A video's size and duration, as far as they make sense, as fields of an event."""
    fields: dict[str, object] = {}
    if type(video_bytes) is int and 0 <= video_bytes < 1 << 63:
        fields["video_bytes"] = video_bytes
    if (seconds := positive(video_seconds)) is not None:
        fields["video_seconds"] = seconds
    return fields


def positive(value: object) -> float | None:
    """A number of seconds above 0 that can be compared with a clock, or None."""
    return seconds(value) or None


def seconds(value: object) -> float | None:
    """A number of seconds, 0 too, or None for what is no such number."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except texts.ENDS:
        raise
    except BaseException:
        return None
    return min(number, _MAX_SECONDS) if 0 <= number < float("inf") else None


def whole(value: object, least: int = 0, most: int = MAX_COUNT) -> int | None:
    """A whole number within bounds, for one beyond them the nearer bound; None for what is no number."""
    try:
        number: int = int(value)  # type: ignore[call-overload]
    except texts.ENDS:
        raise
    except BaseException:
        return None
    return max(least, min(number, most))


def exit_code(value: object) -> int | None:
    """An exit code as systems have them, or None."""
    return whole(value, _LEAST_EXIT_CODE, _MAX_EXIT_CODE)


class Span:
    """Context manager and decorator around a body. It never changes what the body returns or raises."""

    kind = ""

    def __init__(self, name: object, component: object = None) -> None:
        self._name = texts.name(name) or "unnamed"
        self._component = journals.component_name(component)
        self._runs: list[Run] = []

    def __enter__(self) -> Run:
        run = Run(self, _current.get())
        self._runs.append(run)
        run.token = _current.set(run)
        fields = {"run": run.id, self.kind: self._name, "mono": run.begun, **self._start(run)}
        run.recorded = journals.emit(f"{self.kind}.started", self._component, fields)
        return run

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if not self._runs:  # it was not entered
            return
        run = self._runs.pop()
        self._restore_context(run)
        if run.pid != os.getpid():  # a fork inside the body: the parent's copy reports
            return
        if error is not None:
            run.end_with(error)
        seconds = time.monotonic() - run.begun
        fields = {"run": run.id, self.kind: self._name, "seconds": seconds, **self._finish(run)}
        worth = journals.CLOSING if run.recorded else journals.NEEDED if run.failed else journals.ROUTINE
        journals.emit(f"{self.kind}.finished", self._component, fields, worth)

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function or a coroutine function; each call is a run of its own."""
        if getattr(getattr(func, "__code__", None), "co_flags", 0) & _CO_COROUTINE:

            @wraps(func)
            async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self._again():
                    return await func(*args, **kwargs)  # type: ignore[misc]

            return run_async  # type: ignore[return-value]

        @wraps(func)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._again():
                return func(*args, **kwargs)

        return run

    def noted(self, run: Run, facts: dict[str, object]) -> None:
        """Report what became known while `run` is in progress."""

    def _start(self, run: Run) -> dict[str, object]:
        raise NotImplementedError

    def _finish(self, run: Run) -> dict[str, object]:
        raise NotImplementedError

    def _again(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, _runs=[])
        return twin

    def _restore_context(self, run: Run) -> None:
        try:
            if run.token is not None:
                _current.reset(run.token)
        except ValueError:  # left in another context than it was entered in, as generators may
            _current.set(run.parent)
        run.parent = None  # or tasks that start each other from within a stage would keep a growing chain
