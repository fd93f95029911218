"""What all that works in the background has in common: a thread that goes on whatever happens, pauses that grow."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from vv_exporter.runtime import threads
from vv_exporter.state.database import StoreError

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between rounds that nobody asks for
RESTING = 10.0  # the same, while nothing waits
SHORTEST = 0.25  # seconds between rounds at least
AFTER_DEFECT = 1.0  # seconds to the next try after something that should not happen
STOP_SECONDS = 8.0  # how long the end of a round is waited for
NOT_WAITED_FOR = 0.0  # `stop_seconds` of what hangs as soon as a disk or a DVR does
HUNG_SECONDS = 1.0  # the same, of what mostly ends at once all the same


@dataclass(frozen=True, slots=True)
class LastRound:
    """When a round ended (CLOCK_MONOTONIC, seconds), and whether without an error."""

    ended: float
    succeeded: bool

    def seconds_ago(self) -> float:
        """How long ago it ended."""
        return time.monotonic() - self.ended


class Loop:
    """Does `work` in a thread every `interval` seconds, after `wake`, and rarely while it gives False: nothing waits.

    `interval` may be asked for before each pause. `shortest` is the pause between rounds however often it is woken;
    `at_once`: the first round waits for nothing. `name` is the thread's, and the loop's in `/metrics`; `what` begins
    the lines about trouble, once for each trouble, and of its end. `stop_seconds`: how long `stop` waits for a
    round that may hang; its daemon thread is left to it then. An `expected` error is logged without where it arose.
    """

    def __init__(
        self,
        name: str,
        what: str,
        work: Callable[[], bool | None],
        interval: float | Callable[[], float] = INTERVAL,
        shortest: float = SHORTEST,
        *,
        at_once: bool = False,
        stop_seconds: float = STOP_SECONDS,
        expected: tuple[type[Exception], ...] = (StoreError, OSError),
    ) -> None:
        self.name = name
        self._what = what
        self._work = work
        self._interval = interval if callable(interval) else lambda: interval
        self._shortest = shortest
        self._stop_seconds = stop_seconds
        self._stopping = threading.Event()
        self._woken = threading.Event()
        if at_once:
            self._woken.set()
        self._last: LastRound | None = None
        self._due = float("inf")
        self._failures = 0
        self._expected = expected
        self._trouble = ""
        self._thread = threading.Thread(target=self._run_rounds, name=name, daemon=True)

    def start(self) -> None:
        """Begin. Raises `RuntimeError` where there can be no further thread for long."""
        self._due = time.monotonic()
        _STARTED[self.name] = self
        threads.start(self._thread)

    def stop(self) -> None:
        """End, within a few seconds."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive() and self._stop_seconds:
            self._thread.join(timeout=self._stop_seconds)
        if _STARTED.get(self.name) is self:
            del _STARTED[self.name]

    def wake(self) -> None:
        """There may be something to do; returns at once."""
        self._woken.set()

    @property
    def stopping(self) -> bool:
        """Whether the work should end soon."""
        return self._stopping.is_set()

    @property
    def alive(self) -> bool:
        """Whether its thread runs; also while the last round, which was not waited for, has not ended yet."""
        return self._thread.is_alive()

    @property
    def last_round(self) -> LastRound | None:
        """The last round that ended; None before there was one."""
        return self._last

    @property
    def may_hang(self) -> bool:
        """Whether it hangs as soon as a disk or a DVR does: others watch these."""
        return self._stop_seconds <= HUNG_SECONDS

    @property
    def due(self) -> float:
        """When a round was, or is, to begin at the latest (CLOCK_MONOTONIC, seconds); infinity before the start.

        It stays as it is during a round: a loop that hangs or has died falls behind.
        """
        return self._due

    @property
    def failures(self) -> int:
        """Rounds that raised."""
        return self._failures

    def _run_rounds(self) -> None:
        ended, rests = float("-inf"), False
        while True:
            interval = self._interval()
            pause = RESTING if rests else interval
            self._due = max(time.monotonic() + pause, ended + self._shortest)
            self._woken.wait(pause)
            self._stopping.wait(max(ended + min(self._shortest, interval) - time.monotonic(), 0))
            self._woken.clear()
            if self._stopping.is_set():
                return
            rests = self._run_round() is False
            ended = time.monotonic()

    def _run_round(self) -> bool | None:
        """One round: what the work gave, None after an error. Nothing ends the thread."""
        try:
            found = self._work()
        except Exception as error:
            self._last = LastRound(time.monotonic(), succeeded=False)
            self._failures += 1
            self._log_trouble(error)
            self._stopping.wait(AFTER_DEFECT)
            return None
        self._last = LastRound(time.monotonic(), succeeded=True)
        if self._trouble:
            log.info("%s: works again", self._what)
        self._trouble = ""
        return found

    def _log_trouble(self, error: Exception) -> None:
        """Say so when it begins, or is another trouble: with where it arose, if nobody expected it."""
        trouble = str(error) or repr(error)
        if trouble != self._trouble:
            where = None if isinstance(error, self._expected) else error
            log.error("%s: will try again: %s", self._what, trouble, exc_info=where)
        self._trouble = trouble


_STARTED: dict[str, Loop] = {}


def started() -> list[Loop]:
    """The loops of this process that were started and not stopped, as `threading.enumerate` knows its threads."""
    return list(_STARTED.values())
