"""What all that works in the background has in common: a thread that goes on whatever happens, pauses that grow."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from vv_exporter.runtime import threads
from vv_exporter.state.database import StoreError

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between rounds that nobody asks for
RESTING = 10.0  # the same, while nothing waits
SHORTEST = 0.25  # seconds between rounds at least
AFTER_DEFECT = 1.0  # seconds to the next try after something that should not happen
FIRST = 1.0  # seconds of the first pause; doubled for each further one


class Loop:
    """Does `work` in a thread every `interval` seconds, after `wake`, and rarely while it gives False: nothing waits.

    `shortest` is the pause between rounds however often it is woken; `at_once`: the first round waits for nothing.
    `name` is the thread's; `what` begins the lines that tell of trouble.
    """

    def __init__(
        self,
        name: str,
        what: str,
        work: Callable[[], bool | None],
        interval: float = INTERVAL,
        shortest: float = SHORTEST,
        *,
        at_once: bool = False,
    ) -> None:
        self._what = what
        self._work = work
        self._interval = interval
        self._shortest = min(shortest, interval)
        self._stopping = threading.Event()
        self._woken = threading.Event()
        if at_once:
            self._woken.set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        threads.start(self._thread)

    def stop(self) -> None:
        """End, within a few seconds."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout=8)

    def wake(self) -> None:
        """There may be something to do; returns at once."""
        self._woken.set()

    @property
    def stopping(self) -> bool:
        """Whether the work should end soon."""
        return self._stopping.is_set()

    def _run(self) -> None:
        ended, rests = float("-inf"), False
        while True:
            self._woken.wait(RESTING if rests else self._interval)
            self._stopping.wait(max(ended + self._shortest - time.monotonic(), 0))
            self._woken.clear()
            if self._stopping.is_set():
                return
            rests = False
            try:
                rests = self._work() is False
            except StoreError as error:
                log.error("%s: will try again: %s", self._what, error)
                self._stopping.wait(AFTER_DEFECT)
            except Exception:  # the thread must outlive its own defects
                log.exception("%s: failed, will try again", self._what)
                self._stopping.wait(AFTER_DEFECT)
            ended = time.monotonic()


class Backoff:
    """Pauses between tries: 1 s, 2 s, 4 s, … up to `longest` seconds."""

    def __init__(self, longest: float, monotonic: Callable[[], float]) -> None:
        self._longest = longest
        self._monotonic = monotonic
        self._not_before = float("-inf")
        self.failures = 0
        """Tries in a row that failed."""

    def ready(self) -> bool:
        """Whether it is time for a try."""
        return self._monotonic() >= self._not_before

    def failed(self, at_least: float = 0.0) -> None:
        """A try failed: pause, for `at_least` so many seconds if somebody asked for that."""
        pause = min(FIRST * 2.0 ** min(self.failures, 64), self._longest)
        self.failures += 1
        self._not_before = self._monotonic() + max(pause, at_least)

    def hasten(self) -> None:
        """The next try may be a good one: it need not wait."""
        self._not_before = float("-inf")

    def succeeded(self) -> None:
        """A try succeeded."""
        self.failures = 0
        self._not_before = float("-inf")
