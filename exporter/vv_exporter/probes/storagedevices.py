"""The file system of the video storage: the one that was there is remembered, so that another one is noticed."""

from __future__ import annotations

import os
from pathlib import Path

from vv_exporter.probes.mounts import (
    FSTAB,
    FileSystem,
    file_system_of,
    mount_point_of,
    mount_points,
    mounts,
    why_missing,
    why_not_mounted,
)
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Kind, Store, Transaction

SEEN: Kind[FileSystem] = Kind("storage_file_system", FileSystem)
"""What was mounted where the storage is, by the storage's path."""


class Mounted:
    """Whether the file system below `root` is the one that should be there. For the thread of its probe alone."""

    def __init__(self, store: Store, root: Path, boot: str, fstab: Path = FSTAB) -> None:
        self._store = store
        self._root = root
        self._boot = boot
        self._fstab = fstab

    def why_missing(self, folder: int | None) -> str:
        """Why not, of the open folder; of its path when it cannot be opened. Empty: it is there."""
        real = os.path.realpath(self._root)
        known = self._store.document(SEEN, str(self._root))
        if folder is None:
            return why_not_mounted(real, mount_point_of(real, mounts()), known, self._wanted_mounts())
        found = file_system_of(folder, self._boot)
        if found is None:
            return ""
        missing = why_missing(real, found, known, self._wanted_mounts())
        if not missing and found != known:
            self._remember_filesystem(found)
        return missing

    def _wanted_mounts(self) -> list[str]:
        try:
            return mount_points(self._fstab.read_text(errors="replace"))
        except OSError:
            return []

    def _remember_filesystem(self, found: FileSystem) -> None:
        try:
            with self._store.transaction() as tx:
                tx.put(SEEN, str(self._root), found)
        except StoreError:
            return  # said by who else writes; the next probe tries again


def accept(tx: Transaction) -> None:
    """What is there now is what should be: forget what was."""
    for path in tx.docs(SEEN):
        tx.delete(SEEN, path)
