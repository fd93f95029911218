"""Whether new video may be stored: the exporter says no while the disk is critically full, or missing.

if not ingest_allowed():
    wait()
"""

from __future__ import annotations

import os
import stat
import time

from vv_core.common import environment

FLAG = "ingest-paused"
"""File in ``$VV_STATE_DIR``: there while ingestion is paused. The exporter keeps it fresh."""
STALE = 300.0
"""Seconds without a fresh flag after which the exporter does not count any more, and the disk is asked instead."""

_CACHED = 1.0
_PATIENCE = 0.5
MAX_FLAG_BYTES = 4096

_looked = float("-inf")
_allowed = True
_asking: list[object] = []


def ingest_allowed() -> bool:
    """False while the video storage has less free space than ``DISK_CRITICAL_FREE``, until there is clearly more, and
    while its disk is missing: what was stored then would lie on the disk below its mount point.

    Looks at most once a second, else it costs a microsecond: ask before every file, or every frame. The answer is
    True when there is no exporter. If the exporter is gone while ingestion is paused, the pause ends as soon as the
    disk has room, or when the disk does not answer. Raises nothing, and never waits longer than half a second.
    """
    global _looked, _allowed
    now = time.monotonic()
    if not 0 <= now - _looked < _CACHED:
        _looked = now
        try:
            _allowed = _flag_allows(os.path.join(environment.state_dir(), FLAG))
        except Exception:  # a flag that cannot be read is none
            _allowed = True
    return _allowed


def is_flag(path: str | os.PathLike[str]) -> bool:
    """Whether the flag is there: a regular file. Members of the group may put other things in its place."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _flag_allows(flag: str) -> bool:
    if not is_flag(flag):
        return True
    age = time.time() - os.lstat(flag).st_mtime
    return _has_room(flag) if abs(age) > STALE else False


def _has_room(flag: str) -> bool:
    """Ask the disk in a thread, for the system call may never return; then one is enough."""
    from threading import Thread

    if _asking:
        return True
    path, wanted, wrong = _pause_details(flag)
    answers: list[bool] = []

    def ask() -> None:
        try:
            found = os.statvfs(path)
            is_there = wrong is None or os.stat(path).st_dev != wrong
            answers.append(is_there and found.f_bavail * found.f_frsize >= wanted)
        except OSError:
            answers.append(wrong is None)
        _asking.clear()

    _asking.append(flag)
    thread = Thread(target=ask, name="ingest", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # there can be no further thread; the next look tries again
        _asking.clear()
        return True
    thread.join(_PATIENCE)
    return answers[0] if answers else True


def _pause_details(flag: str) -> tuple[str, int, int | None]:
    """Which file system the pause is for, and from how many free bytes on it ends.

    Where the disk is missing, also the device (st_dev) that is there instead.
    """
    import json

    from vv_core.common import files

    content = json.loads(files.read_regular(os.fsencode(flag), MAX_FLAG_BYTES))
    wrong = content.get("missing")
    return str(content["path"]), int(content["resume_bytes"]), None if wrong is None else int(wrong)
