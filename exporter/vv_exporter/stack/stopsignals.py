"""The signals that end a foreground program. They are kept back until somebody looks (`sigtimedwait(2)`), so that none
is lost, in a handler or while the process becomes another program: `execve(2)` keeps what is blocked and what waits.
"""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class StopSignals:
    """Within the block Ctrl-C, SIGTERM and SIGHUP end nothing, and are seen. Under nohup SIGHUP is none of them.

    Enter it before any thread is started: a signal ends the process in whichever thread does not keep it back.
    """

    def __init__(self) -> None:
        outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._ending = {signal.SIGINT, signal.SIGTERM} | (set() if outlives else {signal.SIGHUP})
        self._came = False
        self._blocked_before: set[int] = set()

    def __enter__(self) -> Self:
        self._blocked_before = set(signal.pthread_sigmask(signal.SIG_BLOCK, {*self._ending, signal.SIGCHLD}))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while signal.sigtimedwait(self._ending, 0):
            pass  # who asks twice is not to end what is at its end
        signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked_before)

    def is_set(self) -> bool:
        """Whether one came."""
        self._came = self._came or signal.sigtimedwait(self._ending, 0) is not None
        return self._came

    def wait(self, seconds: float) -> bool:
        """Whether one came, now or within so many seconds; sooner, when a child ended."""
        if not self.is_set():
            found = signal.sigtimedwait({*self._ending, signal.SIGCHLD}, seconds)
            self._came = found is not None and found.si_signo in self._ending
        return self._came
