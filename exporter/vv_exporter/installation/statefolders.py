"""The folders of the state as `installation/rights.py` wants them: made, and mended as far as this process may."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from vv_core.common import shared
from vv_exporter.installation import rights
from vv_exporter.installation.rights import PRIVATE_FILE, PRIVATE_FOLDER

SHARED = tuple(entry for entry in rights.STATE[1:] if entry.group == rights.SCRIPTS and entry.mode & stat.S_IWGRP)
"""Those that everybody who reports meets in; they come with the exporter, so that nobody else makes them first."""


def make_shared_folders(state: Path) -> None:
    """Make and mend what scripts share. Raises `OSError` where there can be no state folder.

    The state folder itself, which may be one that an operator named, is opened to nobody; it only becomes sticky.
    """
    shared.make_folder(str(state), rights.STATE[0].mode, mend=False)
    with contextlib.suppress(OSError):  # not its owner: it is reported below, and by `vv doctor`
        found = stat.S_IMODE(state.stat().st_mode)
        if _lets_replace(found, rights.STATE[0].mode):
            state.chmod(found | stat.S_ISVTX)
    for entry in SHARED:
        with contextlib.suppress(OSError):
            shared.make_folder(str(state / entry.path), entry.mode)


def make_own_folder(folder: Path, mode: int = PRIVATE_FOLDER) -> None:
    """Have a folder of one's own with exactly this mode. Raises `OSError`, also where it is somebody else's."""
    shared.make_folder(str(folder), mode)
    found = folder.stat()
    if os.geteuid() not in (0, found.st_uid):
        raise PermissionError(1, f"it belongs to user {found.st_uid}, not to this one ({os.geteuid()})", str(folder))
    if stat.S_IMODE(found.st_mode) != mode:
        _narrow_mode(folder, mode)


def open_own_file(path: Path) -> int:
    """A descriptor of a file that nobody else may read, made where it is missing. Raises `OSError`."""
    descriptor = shared.open_file(str(path), os.O_RDWR, PRIVATE_FILE)
    if os.fstat(descriptor).st_mode & 0o077:
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, PRIVATE_FILE)
    return descriptor


def close_to_others(folder: Path, names: str) -> None:
    """Take the group's and others' rights from one's own files in `folder` that fit the pattern."""
    for path in folder.glob(names):
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
            _narrow_mode(path, PRIVATE_FILE)


def open_to_replacement(state: Path) -> Iterator[str]:
    """What others may still replace in the state folder, a line each with its cure."""
    for entry in rights.STATE:
        path = state / entry.path
        with contextlib.suppress(OSError):
            if _lets_replace(stat.S_IMODE(path.stat().st_mode), entry.mode):
                yield f"{path}: whoever may write here may {entry.risk}: chmod {entry.mode:04o} {path}"


def _lets_replace(found: int, wanted: int) -> bool:
    """Whether others may delete and rename what is not theirs, in a folder that should be sticky."""
    return bool(wanted & ~found & stat.S_ISVTX) and bool(found & (stat.S_IWGRP | stat.S_IWOTH))


def _narrow_mode(path: Path, mode: int) -> None:
    with contextlib.suppress(OSError):  # not its owner: `vv doctor` reports it
        path.chmod(mode, follow_symlinks=True)
