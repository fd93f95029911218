"""A store for long histories of a simulated device: real, but it does not wait for the disk."""

from __future__ import annotations

from pathlib import Path

from tests.support.clocks import Clocks
from vv_exporter.state.store import Store
from vv_exporter.state.timekeeping import Timekeeper


class FastStore(Store):
    """No power is cut here that the disk would feel: what is committed is there."""

    def __init__(self, path: Path, clocks: Clocks) -> None:
        super().__init__(path, clocks.wall, timekeeper=Timekeeper(clocks.boottime, clocks.boot))
        self._connection.execute("PRAGMA synchronous = OFF")

    def lose(self) -> None:
        """As a kill does: what was not committed never was."""
        self._connection.rollback()
        self._connection.close()
