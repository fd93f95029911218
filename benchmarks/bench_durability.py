"""What it costs that something outlives a power cut: each kind of event with its sync, and beside it without.

python -m benchmarks.bench_durability [FOLDER]

FOLDER says which disk is measured; by default it is that of the current folder. Without a sync means `os.fsync` and
`os.fdatasync` that do nothing.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from unittest.mock import patch

from benchmarks._measure import Row, compare, table

CALLS = 30


def main(folder: str) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        os.environ["VV_STATE_DIR"] = name
        os.environ["VV_JOURNAL_MAX"] = "1TB"
        rows = [*_rows(Path(name), ""), *_rows(Path(name), ", not synced")]
    print(table(sorted(rows, key=lambda row: row.name), title=f"One call, on the disk of {folder}"))


def _rows(root: Path, how: str) -> list[Row]:
    subjects = {f"{name}{how}": call for name, call in calls(root).items()}
    if not how:
        return compare(subjects, CALLS)
    with unsynced():
        return compare(subjects, CALLS)


@contextmanager
def unsynced() -> Iterator[None]:
    """Nothing that Python code syncs is synced."""
    with patch("os.fsync"), patch("os.fdatasync"):
        yield


def calls(root: Path) -> dict[str, Callable[[], object]]:
    """What scripts call, by the kind of event."""
    from vv_core.alerter import send_alert
    from vv_core.attempts import Attempts
    from vv_core.jobs import heartbeat
    from vv_core.quarantine import move_to_corrupted
    from vv_core.stages import stage

    numbers = count()
    (root / "input").mkdir(exist_ok=True)

    def video() -> Path:
        path = root / "input" / f"{next(numbers)}.mp4"
        path.write_bytes(str(path).encode())
        return path

    known = video()

    def attempt() -> None:
        with Attempts(known, component="scan.py").attempt("scan"):
            pass

    def two_events() -> None:
        with stage("scan", component="scan.py"):
            pass

    return {
        "heartbeat": lambda: heartbeat("cleanup", component="cleanup.py"),
        "stage, two events": two_events,
        "alert, ERROR": lambda: send_alert("ERROR", "No frames", "0 of 250 read", "scan.py"),
        "alert, CRITICAL": lambda: send_alert("CRITICAL", "No disk", "input/output error", "scan.py"),
        "attempt that succeeds": attempt,
        "move to corrupted/": lambda: move_to_corrupted(video(), "broken", component="scan.py"),
    }


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
