"""What the Engine does not answer though it answers else: asked again and again, with growing pauses.

One container whose shim or volume is stuck makes each question about it hang, for hours. It costs its own series only:
who asks in vain waits once, and then longer and longer before it does so again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from vv_exporter.settings import back_off

INITIAL_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 300.0


class _Missing(NamedTuple):
    failures: int
    due: float
    problem: str


class Unanswered:
    """Subjects (ids of containers, or kinds of requests) of which the last answer did not come, or was not understood.

    One thread writes; any may read.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        initial_pause: float = INITIAL_PAUSE_SECONDS,
        longest_pause: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        self._monotonic = monotonic
        self._initial_pause = initial_pause
        self._longest_pause = longest_pause
        self._missing: dict[str, _Missing] = {}

    def __contains__(self, subject: str) -> bool:
        return subject in self._missing

    def __bool__(self) -> bool:
        return bool(self._missing)

    def is_due(self, subject: str) -> bool:
        """Whether it may be asked for now."""
        missing = self._missing.get(subject)
        return missing is None or self._monotonic() >= missing.due

    def due_at(self, subject: str) -> float:
        """When it may be asked for (monotonic); 0 for a subject that was answered."""
        missing = self._missing.get(subject)
        return 0.0 if missing is None else missing.due

    def failed(self, subject: str, problem: str) -> bool:
        """It was asked for in vain. Whether that is news: the first time, or for another reason than the last time."""
        before = self._missing.get(subject)
        failures = before.failures if before else 0
        pause = back_off(failures, self._initial_pause, self._longest_pause)
        self._missing[subject] = _Missing(failures + 1, self._monotonic() + pause, problem)
        return before is None or before.problem != problem

    def answered(self, subject: str) -> bool:
        """It was answered. Whether that is news."""
        return self._missing.pop(subject, None) is not None

    def keep(self, subjects: Collection[str]) -> None:
        """Forget all others: they are not there any more."""
        self._missing = {subject: one for subject, one in self._missing.items() if subject in subjects}
