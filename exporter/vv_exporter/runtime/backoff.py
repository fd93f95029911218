"""Pauses that grow between tries."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_SECONDS = 1.0
"""Of the first pause; doubled for each further one."""


class Backoff:
    """Pauses between tries: 1 s, 2 s, 4 s, … up to `longest` seconds, after so many `failures` before."""

    def __init__(self, longest: float, monotonic: Callable[[], float], failures: int = 0) -> None:
        self._longest = longest
        self._monotonic = monotonic
        self._not_before = float("-inf")
        self.failures = failures
        """Tries in a row that failed."""

    def ready(self) -> bool:
        """Whether it is time for a try."""
        return self._monotonic() >= self._not_before

    def failed(self, at_least: float = 0.0) -> None:
        """A try failed: pause, for `at_least` so many seconds if somebody asked for that."""
        pause = min(FIRST_SECONDS * 2.0 ** min(self.failures, 64), self._longest)
        self.failures += 1
        self._not_before = self._monotonic() + max(pause, at_least)

    def hasten(self) -> None:
        """The next try may be a good one: it need not wait."""
        self._not_before = float("-inf")

    def succeeded(self) -> None:
        """A try succeeded."""
        self.failures = 0
        self._not_before = float("-inf")
