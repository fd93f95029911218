"""Writing a journal as docs/journal.md says, without the SDK: what another language would do."""

import contextlib
import fcntl
import json
import os
from itertools import count
from pathlib import Path
from typing import Any


class RawWriter:
    """A writer that keeps its file locked, as long as it is not closed."""

    def __init__(self, directory: Path, writer: str, seq: int = 0, *, lock: bool = True, **header: Any) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path, self._descriptor = _open_new(directory, writer, seq, lock)
        self.event("writer", **{"component": "test.py", "lock": lock, "boot": "b", **header})

    def event(self, type_: str, *, ts: float = 1_700_000_000.0, **fields: Any) -> None:
        self.raw(json.dumps({"v": 1, "type": type_, "ts": ts, **fields}).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        assert os.write(self._descriptor, data) == len(data)

    def close(self) -> None:
        """Let the lock go, as the end of the process would."""
        os.close(self._descriptor)


def _open_new(directory: Path, writer: str, seq: int, lock: bool) -> tuple[Path, int]:
    """A new file. A reader that works meanwhile may have its lock first: then it gets another name."""
    for number in count(seq, 1000):
        path = directory / f"{writer}.{number}.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        if not lock:
            break
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                break
        os.close(descriptor)
    return path, descriptor
