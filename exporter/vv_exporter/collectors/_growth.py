"""By how much counts grew within the last seconds, as whoever looks again and again sees it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Growth(Generic[Key]):
    """Call `update` at each look. Growth is shown for `seconds` after the look that saw it.

    `counts` are those before the first look. A count that is less than before was reset, and has not grown; one that is
    new has grown from 0.
    """

    def __init__(self, seconds: float, counts: Mapping[Key, float]) -> None:
        self._seconds = seconds
        self._before = counts
        self._steps: deque[tuple[float, Key, float]] = deque()

    def update(self, counts: Mapping[Key, float], monotonic: float) -> dict[Key, float]:
        """Those that have grown, and by how much."""
        before, self._before = self._before, counts
        for key, count in counts.items():
            if (step := count - before.get(key, 0.0)) > 0:
                self._steps.append((monotonic, key, step))
        while self._steps and monotonic - self._steps[0][0] >= self._seconds:
            self._steps.popleft()
        grown: dict[Key, float] = defaultdict(float)
        for _, key, step in self._steps:
            if key in counts:  # what gave way to others is shown no more
                grown[key] += step
        return dict(grown)
