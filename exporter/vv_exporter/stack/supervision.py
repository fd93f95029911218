"""Keeps the programs of the stack running: one that ends is started again, and takes no other with it.

1. A program that ended, or could not be started, waits for a pause that grows with each end in a row.
2. After the pause it is started again. Nothing here waits: whoever asks for the end is heard within a look.
3. One that has run for `STEADY_SECONDS` runs: its next pause is the shortest again.
4. Each end is reported, and with it how many there were lately: the caller says whom that concerns.
"""

from __future__ import annotations

import signal
from collections import deque

from vv_exporter.runtime.backoff import Backoff

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from vv_exporter.stack.processes import Child

    History = tuple[float | None, int, tuple[float, ...]]

LONGEST_PAUSE_SECONDS = 15.0
STEADY_SECONDS = 30.0
WINDOW_SECONDS = 600.0
AGAIN_AND_AGAIN = 3  # ends within the window that are more than an accident
NEW: History = (None, 0, ())
"""When a program was started (None: it does not run), its ends in a row, and when those of lately came."""


class End:
    """A program is not running: `how` that came, and how many ends there were in a row and `lately`."""

    def __init__(self, name: str, how: str, in_a_row: int, lately: int) -> None:
        self.name = name
        self.how = how
        self.in_a_row = in_a_row
        self.lately = lately


class Supervised:
    """One program of the stack. `monotonic` gives seconds that never go back."""

    def __init__(
        self,
        child: Child,
        monotonic: Callable[[], float],
        report_end: Callable[[End], None],
        history: History = NEW,
    ) -> None:
        self.child = child
        self._monotonic = monotonic
        self._report_end = report_end
        self._started_at, failures, ends = history  # None while it does not run
        self._backoff = Backoff(LONGEST_PAUSE_SECONDS, monotonic, failures)
        self._ends = deque(ends)

    @property
    def history(self) -> History:
        """What is to be known where somebody else goes on with it."""
        return self._started_at, self._backoff.failures, tuple(self._ends)

    @property
    def running(self) -> bool:
        """Whether it was started and had not ended when it was last looked at."""
        return self._started_at is not None

    @property
    def steady(self) -> bool:
        """Whether it has run for so long that its earlier ends are over."""
        return self._started_at is not None and self._monotonic() - self._started_at >= STEADY_SECONDS

    def start(self) -> None:
        """Start it, or report why it cannot be started; then it is tried again like one that ended."""
        try:
            self.child.start()
        except OSError as error:
            self._note_end(f"cannot be run: {error.strerror or error}")
        else:
            self._started_at = self._monotonic()

    def check(self) -> None:
        """See whether it has ended, or whether it is time to start it again."""
        if self._started_at is None:
            if self._backoff.ready():
                self.start()
            return
        code = self.child.exit_code()
        if code is not None:
            self._note_end(describe_exit(code))
        elif self._backoff.failures and self.steady:
            self._backoff.succeeded()

    def _note_end(self, how: str) -> None:
        now = self._monotonic()
        if self.steady:
            self._backoff.succeeded()
        self._started_at = None
        self._backoff.failed()
        self._ends.append(now)
        while self._ends[0] < now - WINDOW_SECONDS:
            self._ends.popleft()
        self._report_end(End(self.child.name, how, self._backoff.failures, len(self._ends)))


def describe_exit(code: int) -> str:
    """How a process ended, from what `subprocess` says of it (negative: the signal's number)."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"was ended by signal {-code}"
