"""A machine's clocks as they are in the field: set, slept through, and begun anew at each boot."""

from __future__ import annotations


class Clocks:
    """The truth, and what the machine's clocks make of it. `error` is by how much the wall clock is ahead."""

    def __init__(self, now: float = 1_795_900_000.0) -> None:
        self.now = now
        self.error = 0.0
        self.boot = "boot-1"
        self._booted = now - 3600.0
        self._slept = 0.0

    def wall(self) -> float:
        """Unix seconds, as the machine shows them."""
        return self.now + self.error

    __call__ = wall

    def boottime(self) -> float:
        """CLOCK_BOOTTIME."""
        return self.now - self._booted

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC, which stands still in sleep."""
        return self.boottime() - self._slept

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        """Suspend the machine."""
        self.now += seconds
        self._slept += seconds

    def set_error(self, error: float) -> None:
        """Set the wall clock."""
        self.error = error

    def reboot(self, off: float, error: float) -> None:
        """Switch off, and on again with a clock that is so wrong; ten seconds later programs start."""
        self.now += off + 10.0
        self._booted, self._slept = self.now - 10.0, 0.0
        self.boot = f"boot-{int(self.boot.rpartition('-')[2]) + 1}"
        self.error = error
