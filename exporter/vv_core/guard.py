"""The last resort of a script: an exception that nothing handled is logged, reported, and passed on.

@guard(component="cleanup_old_files.py")
def main() -> None: ...

for video in videos:
    with guard(component="orchestrator.py", video=video, quarantine=True, then="continue"):
        process(video)

`install` does the same for all that no guard is around: the whole process, its threads included.

A process that is killed while a guard is around what it does is noticed, too.
"""

from __future__ import annotations

import os
import sys
from functools import wraps
from threading import RLock, current_thread, main_thread

from vv_core import _ends, _reported, _runs, _subject
from vv_core.common import journals, sdklog, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Literal, ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")
    Then = Literal["raise", "exit", "continue"]

MAX_TRACEBACK = 4000
"""Longest traceback that is reported, in bytes; its end is kept."""

_WAYS = ("raise", "exit", "continue")
_FRAMES = 50


class guard:  # noqa: N801 - it is used like a function
    """Context manager and decorator that reports what leaves its body, however the body ends.

    An exception is logged with its traceback on ``vv_core.guard`` and becomes an `exception` event, which brings the
    alert UnhandledException; one that was reported already, because a stage or a job failed with it or a validation
    raised it, is logged only: one cause, one alert. `video` and `video_sha256` say what was being worked on (default:
    the surrounding stage's). With `quarantine`, `video` is moved to ``corrupted/``
    (`vv_core.quarantine.move_to_corrupted`), whatever the exception was.

    `then` says how it goes on: ``raise`` (the default) lets the exception go on unchanged, ``exit`` ends the process
    with exit code 1 and no further traceback, ``continue`` goes on after the body; a decorated function then returns
    None.

    The outermost guard of a process reports its beginning and its end: a process that is killed in between (SIGKILL,
    out of memory, a signal that nothing handles) brings the alert ScriptCrashed. Whatever ends the script from within
    is no crash: an exception, `sys.exit`, `os._exit`, an ``exec``. A guard within a stage or a job leaves that to
    these. A forked child is another process, and watched if it enters a guard itself; processes of `multiprocessing`
    are not, for their pool ends them with a signal.

    `SystemExit`, `KeyboardInterrupt`, `GeneratorExit` and the cancelling of an asyncio task are no failures: they go on
    unchanged and are not reported. The guard itself raises nothing, but `ValueError` for an unknown `then`.
    """

    def __init__(
        self,
        component: str | None = None,
        *,
        video: str | bytes | os.PathLike[str] | None = None,
        video_sha256: str | None = None,
        quarantine: bool = False,
        then: Then = "raise",
    ) -> None:
        self._then = texts.printed(then)
        if self._then not in _WAYS:
            raise ValueError(f"then={texts.line(then, 100)!r} is none of {', '.join(_WAYS)}")
        self._component = component
        self._video = video
        self._video_sha256 = video_sha256
        self._quarantine = texts.truth(quarantine)

    def __enter__(self) -> None:
        _watch.enter(self._component, self._video, self._video_sha256)

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        try:
            return error is not None and self._handle_error(error)
        finally:
            _watch.leave()

    def _handle_error(self, error: BaseException) -> bool:
        """Report what leaves the body; whether it goes no further."""
        if _is_an_end(error):
            return False
        try:
            who = _subject.reporter(self._component)
            report(error, who, self._video, self._video_sha256, twice=self._then == "raise")
            if self._quarantine and self._video is not None:
                _move_subject(self._video, error, who)
        except Exception as problem:  # whatever happens here, the first exception is the one that counts
            sdklog.log("vv_core.guard", "warning", "the guard itself failed: %s", texts.printed(problem))
        if self._then == "exit":
            if current_thread() is main_thread():  # else a thread ends, and the process goes on
                _ends.fail()
            raise SystemExit(1) from error
        return self._then == "continue"

    def __call__(self, func: Callable[P, R]) -> Callable[P, R | None]:
        """Guard each call of a function, or of a coroutine function."""
        if getattr(getattr(func, "__code__", None), "co_flags", 0) & _runs._CO_COROUTINE:

            @wraps(func)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> object:
                with self:
                    return await func(*args, **kwargs)  # type: ignore[misc]
                return None

            return guarded_async  # type: ignore[return-value]

        @wraps(func)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
            with self:
                return func(*args, **kwargs)
            return None

        return guarded


def install(component: str | None = None) -> None:
    """Report what no guard is around, until the process ends: sets `sys.excepthook` and `threading.excepthook`.

    What was set before is called as well, so that Python prints the traceback as ever. A forked child has the hooks of
    its parent, a spawned one none. Processes of `multiprocessing` print their exceptions themselves, without the hook:
    guard what they run. Calling it again replaces the component only.
    """
    import threading

    who = journals.component_name(component)
    _hook_into(sys, "excepthook", who, lambda _kind, error, _trace: error)
    _hook_into(threading, "excepthook", who, lambda args: args.exc_value)
    _watch.install(who)


class _Watch:
    """Says when the first guard of this process is entered and when the last one is left, in whatever thread.

    In a forked child nothing is guarded: it leaves guards that its parent entered, of which it says nothing.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, in a forked child."""
        self._lock = RLock()  # reentrant: a signal handler may enter a guard
        self._bodies = 0
        self._installed = False

    def enter(self, component: object, video: object = None, video_sha256: object = None) -> None:
        """A guard is entered. Raises nothing."""
        with self._lock:
            self._bodies += 1
            if self._bodies == 1 and not self._installed:
                _begin_script(component, video, video_sha256)

    def leave(self) -> None:
        """A guard is left. Raises nothing."""
        with self._lock:
            self._bodies = max(self._bodies - 1, 0)
            if not self._bodies and not self._installed and (end := _ends.closed(_SCRIPT)):
                end()

    def install(self, component: str) -> None:
        """All that this process does from now on is guarded."""
        with self._lock:
            self._installed = True
            _begin_script(component)


_SCRIPT = "script"
_watch = _Watch()
os.register_at_fork(after_in_child=_watch.forget)


def _begin_script(component: object, video: object = None, video_sha256: object = None) -> None:
    """Say that this script is at work, unless whoever is at work already tells if it is killed."""
    try:
        run = _runs.current()
        if (run is not None and run.pid == os.getpid()) or _is_worker():
            return
        who, about = _subject.reporter(component), _subject.video_fields(video, video_sha256)

        def begin() -> None:
            if journals.emit("script.started", who, about):
                _ends.opened(_SCRIPT, end, begin)

        def end() -> None:
            journals.emit("script.ended", who, {}, journals.CLOSING)

        begin()
    except Exception as problem:
        sdklog.log("vv_core.guard", "warning", "the guard itself failed: %s", texts.printed(problem))


def _is_worker() -> bool:
    """Whether `multiprocessing` made this process: it ends its workers with a signal, which is no crash."""
    module = sys.modules.get("multiprocessing.process")
    return module is not None and module.parent_process() is not None


def report(
    error: BaseException, component: str, video: object = None, video_sha256: object = None, *, twice: bool = False
) -> None:
    """Log `error`, and make it an event unless it has been reported. `twice`: Python will print it, too."""
    if _reported.is_guarded(error):
        return
    about = _subject.video_fields(video, video_sha256)
    kind = texts.name(texts.kind(error))
    if not _reported.is_reported(error):
        fields: dict[str, object] = {"exception": kind, "error": texts.line(error, _runs.MAX_ERROR) or kind}
        if frames := _frames_text(error):
            fields["traceback"] = frames
        journals.emit("exception", component, {**fields, **about}, journals.NEEDED)
    _reported.mark_reported(error, by_guard=True)
    if not twice and not _is_heard():
        sys.excepthook(type(error), error, error.__traceback__)
        return
    text = "unhandled %s in %s: %s; video: %s"
    message, name = texts.line(error, _runs.MAX_ERROR), about.get("video", "unknown")
    sdklog.log("vv_core.guard", "error", text, kind, component, message, name, error=error)


def _is_heard() -> bool:
    """Whether the script has set up logging."""
    if "logging" not in sys.modules:
        return False
    import logging

    return logging.getLogger("vv_core.guard").hasHandlers()


def _is_an_end(error: BaseException) -> bool:
    """Whether this is how a program is asked to end; anything else, a panic of native code too, is a failure."""
    if isinstance(error, SystemExit | KeyboardInterrupt | GeneratorExit):
        return True
    return texts.kind(error) == "CancelledError" and not isinstance(error, Exception)


def _frames_text(error: BaseException) -> str:
    """The calls that led to `error`, the innermost last."""
    import traceback

    return texts.last_lines("".join(traceback.format_tb(error.__traceback__, -_FRAMES)).rstrip(), MAX_TRACEBACK)


def _move_subject(video: object, error: BaseException, component: str) -> None:
    from vv_core.quarantine import move_to_corrupted

    details = {"error": error, "traceback": _frames_text(error)}
    move_to_corrupted(video, texts.kind(error), details, component=component)  # type: ignore[arg-type]


def _hook_into(module: object, name: str, component: str, subject: Callable[..., BaseException | None]) -> None:
    before = getattr(module, name)
    before = getattr(before, "_vv_before", before)

    def hook(*args: object) -> None:
        try:
            error = subject(*args)
            if error is not None and not _is_an_end(error):
                report(error, component, twice=True)
        except Exception as problem:
            sdklog.log("vv_core.guard", "warning", "the hook itself failed: %s", texts.printed(problem))
        finally:
            before(*args)

    hook._vv_before = before  # type: ignore[attr-defined]
    setattr(module, name, hook)
