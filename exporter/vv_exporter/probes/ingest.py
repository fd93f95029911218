"""Whether new video may be stored: a flag in the state folder that `vv_core.ingest.ingest_allowed` reads.

Ingestion pauses when the video storage has less free space than `DISK_CRITICAL_FREE`, and goes on when it has a fifth
more than that (on a disk where that is much, half of what the limit leaves). It pauses, too, while another file system
than the storage's is at its place: what is written then lies below the mount point, on the system's disk.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

from vv_core.common import files, shared
from vv_core.ingest import MAX_FLAG_BYTES, is_flag
from vv_exporter.common.smallfiles import make_way
from vv_exporter.probes.filesystem import Status, Usage
from vv_exporter.runtime.loop import Loop
from vv_exporter.settings import FreeSpace

log = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between decisions; each keeps the flag fresh, which counts for `vv_core.ingest.STALE`."""

_MARGIN = 0.2
_FOR_ALL = 0o644  # whoever stores video reads it


def limit(usage: Usage, critical: FreeSpace) -> float:
    """Free bytes below which the disk is critically full: the larger of the two limits."""
    return critical.least(usage.size)


def resume_at(usage: Usage, critical: FreeSpace) -> float:
    """Free bytes from which on ingestion goes on."""
    least = limit(usage, critical)
    return least + min(_MARGIN * least, max(usage.size - least, 0.0) / 2)


def is_paused(before: bool, usage: Usage, critical: FreeSpace) -> bool:
    """Whether ingestion is to be paused now, given whether it is. A file system without a size says nothing."""
    if usage.size == 0:
        return before
    return usage.free < (resume_at(usage, critical) if before else limit(usage, critical))


class IngestPause:
    """Keeps the flag as `status`, the last answer of the storage's probe, demands. Without one it stays as it is."""

    def __init__(self, flag: Path, root: Path, critical: FreeSpace, status: Callable[[], Status | None]) -> None:
        self.paused = is_flag(flag)
        """Whether the flag is there; after a restart, as it was left."""
        self._full = self.paused and not _is_for_missing(flag)
        """Whether it is paused for want of space; what a missing disk had when it was there."""
        self._missing = self.paused and not self._full
        self._flag = flag
        self._root = root
        self._critical = critical
        self._status = status
        self._problem = ""
        self._loop = Loop("ingest", "whether video may be stored", self.decide, INTERVAL, at_once=True)

    def start(self) -> None:
        """Begin to decide."""
        self._loop.start()

    def stop(self) -> None:
        """End, and leave the flag: the disk is no emptier without an exporter."""
        self._loop.stop()

    def decide(self) -> None:
        """Look at the storage once, and set, refresh or remove the flag."""
        status = self._status()
        usage = status.usage if status is not None else None
        before = self.paused
        unknown = status is None or (status.usage is None and status.missing is None)
        missing = self._missing if unknown or status is None else bool(status.missing)
        wanted = missing or (self._full if usage is None else is_paused(self._full, usage, self._critical))
        if not missing:
            self._full = wanted
        try:
            make_way(self._flag)
            if wanted and missing != self._missing:
                self._write_flag(usage, missing)
            elif wanted:
                self._keep_flag(usage)
            else:
                self._flag.unlink(missing_ok=True)
            self._log_problem_once("")
        except OSError as error:
            self._log_problem_once(str(error))
            wanted = is_flag(self._flag)
        self.paused, self._missing = wanted, missing
        if wanted != before:
            said = status.missing if status is not None and status.missing else _free_space_text(usage)
            log.warning("storing video is %s: %s", "paused" if wanted else "allowed again", said)

    def _keep_flag(self, usage: Usage | None) -> None:
        try:
            os.utime(self._flag, follow_symlinks=False)
        except FileNotFoundError:
            self._write_flag(usage, self._missing)

    def _write_flag(self, usage: Usage | None, missing: bool) -> None:
        resume = resume_at(usage, self._critical) if usage is not None else 0.0
        content: dict[str, object] = {"path": str(self._root), "resume_bytes": int(resume)}
        if missing:
            content["missing"] = _device_of(self._root)
        text = json.dumps(content) + "\n"
        try:
            files.write_new(os.fsencode(self._flag), text.encode(), replace=True, mode=_FOR_ALL)
        except OSError:  # the state folder may lie on the full disk, where an empty file has room
            os.close(shared.open_file(str(self._flag), os.O_WRONLY, _FOR_ALL))

    def _log_problem_once(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.error("storing video cannot be paused or allowed: %s", problem)
        self._problem = problem


def _is_for_missing(flag: Path) -> bool:
    """Whether a flag was set because the disk was missing."""
    try:
        content = json.loads(files.read_regular(os.fsencode(flag), MAX_FLAG_BYTES))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "missing" in content


def _device_of(path: Path) -> int:
    """The device (st_dev) that is there now, -1 if nothing is."""
    try:
        return path.stat().st_dev
    except OSError:
        return -1


def _free_space_text(usage: Usage | None) -> str:
    return f"{usage.free / 1e9:.1f} GB of {usage.size / 1e9:.1f} GB are free" if usage else "the disk does not answer"
