"""The journal's folder: what lies in it, when its writers were last seen to live, and which files are gone for good."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from vv_core.common.lasting import sync_folder
from vv_exporter.journal import files
from vv_exporter.journal.progress import PROGRESS
from vv_exporter.state.store import Transaction

log = logging.getLogger(__name__)

FORGET_INTERVAL_SECONDS = 60.0  # between syncs of the folder, after which files that were deleted are forgotten
FORGET_FILES = 1000  # …or when so many were deleted
SETTLED_SECONDS = 5.0  # without a change after which an unlocked file is taken for complete


class Folder:
    """Of one reader. `clock` gives Unix seconds."""

    def __init__(self, directory: Path, clock: Callable[[], float]) -> None:
        self.directory = directory
        self._clock = clock
        self._alive: dict[str, float] = {}  # file → when its lock was last refused
        self._gone: list[str] = []  # files that are no more, also after a power cut, but known
        self._next_forgetting = float("-inf")

    def path(self, name: str) -> Path:
        """A file's path."""
        return self.directory / name

    def list_names(self) -> list[str]:
        """The names that the folder holds now."""
        return files.names(self.directory)

    def has_settled(self, entry: files.Entry) -> bool:
        """Whether it has not changed for long; a time to come is none at which it was changed."""
        return abs(self._clock() - entry.modified) >= SETTLED_SECONDS

    def note_alive(self, name: str) -> None:
        """The file's lock was refused just now."""
        self._alive[name] = self._clock()

    def pop_last_alive(self, name: str) -> float:
        """When the file's lock was last refused, 0 if never; forgets it."""
        return self._alive.pop(name, 0.0)

    def note_absent(self, absent: set[str], now: float) -> None:
        """Find those of files that are not there which a power cut does not bring back. Seldom, for it costs a sync."""
        self._gone = [name for name in self._gone if name in absent]  # nothing was committed since
        if self._gone or not absent or (now < self._next_forgetting and len(absent) < FORGET_FILES):
            return
        self._next_forgetting = now + FORGET_INTERVAL_SECONDS
        try:
            sync_folder(str(self.directory))
        except OSError as error:  # then they stay known
            log.warning("%s cannot be written through to the disk: %s", self.directory, error)
            return
        self._gone = list(absent)

    def forget_gone(self, tx: Transaction) -> None:
        """Forget how far files were counted that are gone for good."""
        for name in self._gone:
            tx.delete(PROGRESS, name)

    def end_forgetting(self) -> None:
        """They were forgotten."""
        self._gone.clear()
