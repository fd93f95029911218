"""Trying again what fails for a moment: a network that is away, a file that is locked.

for attempt in retry(ConnectionError, tries=5):
    with attempt:
        upload(file)

@retry(TimeoutError, BlockingIOError, within=60)
def fetch() -> bytes: ...

The pauses grow exponentially, each is random between 0 and its bound ("full jitter"): callers that failed together do
not come back together (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

from __future__ import annotations

import time
from functools import wraps

from vv_core import _runs
from vv_core.common import sdklog, texts
from vv_core.common.ids import random_fraction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")


class retry:  # noqa: N801 - it is used like a function
    """Attempts at something, at most `tries`, as a loop or as a decorator.

    Only the exceptions `on` are tried again; any other, and the last of these, goes on unchanged. The pause before the
    n-th retry is at most ``first_pause * 2 ** (n - 1)`` and never more than `longest_pause` (all in seconds). With
    `within`, no attempt begins later than that many seconds after the first. Each retry is logged as a warning on
    ``vv_core.retry``.

    `sleep`, `clock` (seconds, monotonic) and `random` (from 0 up to 1) are for tests. Raises `TypeError` or
    `ValueError` at once for arguments that make no sense.
    """

    def __init__(
        self,
        *on: type[BaseException],
        tries: int = 5,
        first_pause: float = 0.5,
        longest_pause: float = 30.0,
        within: float | None = None,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] | None = None,
    ) -> None:
        if not on or not all(issubclass(type(kind), type) and issubclass(kind, BaseException) for kind in on):
            raise TypeError("name the exceptions that are worth another attempt: retry(ConnectionError, …)")
        if not issubclass(type(tries), int) or tries < 1:
            raise ValueError("tries is a whole number, at least 1")
        for name, pause in (("first_pause", first_pause), ("longest_pause", longest_pause), ("within", within)):
            if pause is not None and _runs.seconds(pause) is None:
                raise ValueError(f"{name} is a number of seconds, not {texts.line(pause, 100)}")
        self.on = on
        self.tries = tries
        self.within = _runs.seconds(within)
        self._first_pause = _runs.seconds(first_pause) or 0.0
        self._longest_pause = _runs.seconds(longest_pause) or 0.0
        self._sleep = sleep
        self._clock = clock
        self._random = random or random_fraction

    def __iter__(self) -> Iterator[Attempt]:
        deadline = None if self.within is None else self._clock() + self.within
        for number in range(1, self.tries + 1):
            attempt = Attempt(self, number, deadline)
            yield attempt
            if attempt.pause is None:
                if not attempt.done:
                    raise RuntimeError("put what may fail into `with attempt:`")
                return
            self._sleep(attempt.pause)

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        """Try each call of a function; a coroutine function would need another `sleep` and is refused."""
        if getattr(getattr(func, "__code__", None), "co_flags", 0) & _runs._CO_COROUTINE:
            raise TypeError("retry() waits with time.sleep, which would stop all coroutines")

        @wraps(func)
        def tried(*args: P.args, **kwargs: P.kwargs) -> R:
            for attempt in self:
                with attempt:
                    return func(*args, **kwargs)
            raise AssertionError("the last attempt returns or raises")

        return tried

    def pause_after(self, number: int, deadline: float | None) -> float | None:
        """Seconds to wait after the attempt `number` failed; None if there is no further one."""
        if number >= self.tries:
            return None
        bound = min(self._longest_pause, self._first_pause * 2.0 ** min(number - 1, 60))
        pause = bound * self._random()
        return None if deadline is not None and self._clock() + pause > deadline else pause


class Attempt:
    """One attempt; a context manager around what may fail. `number` counts from 1."""

    def __init__(self, policy: retry, number: int, deadline: float | None) -> None:
        self.number = number
        self.done = False
        self.pause: float | None = None
        self._policy = policy
        self._deadline = deadline

    def __enter__(self) -> Attempt:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        self.done = True
        if error is None or not isinstance(error, self._policy.on):
            return False
        self.pause = self._policy.pause_after(self.number, self._deadline)
        if self.pause is None:
            return False
        text = "attempt %d of %d failed: %s: %s; the next in %.1f s"
        what = texts.kind(error), texts.line(error, 300)
        sdklog.log("vv_core.retry", "warning", text, self.number, self._policy.tries, *what, self.pause)
        return True
