"""The exporter reads, counts, shows, and deletes: nothing is counted twice, and what was shown stays counted.

Heartbeats are routine, and wait for their commit: those may be lost with the half minute before the cut.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.powercut.scenarios import named, say
from tests.powercut.scenarios.device import Exporter, damaged, exporter, settings


def prepare(root: Path) -> None:
    """Files of writers that were there before, a long one among them."""
    from tests.support.journals import RawWriter

    for name in ("old", "older"):
        writer = RawWriter(root / "journal", name)
        for number in range(5):
            writer.event("alert", id=f"{name}-{number}", level="ERROR", title=f"{name} {number}")
        writer.close()


def run(root: Path) -> None:
    """Writers come and go; in between the exporter reads, and shows what it has counted."""
    from vv_core.common.journals import NEEDED, Journal
    from vv_exporter.journal import batch, folder

    batch.BATCH_FILES = 2
    folder.FORGET_INTERVAL_SECONDS = 5.0
    device = Exporter(root, commit_interval=7.0)
    # Some commits to a checkpoint: each of those syncs, whatever the commits do.
    device.store._connection.execute("PRAGMA wal_autocheckpoint = 80")
    lasting = Journal(str(settings(root).journal_dir))
    for number in range(11):
        short = Journal(str(settings(root).journal_dir))
        for writer, name in ((short, "short"), (lasting, "lasting"), (short, "shorter")):
            title = f"{name} {number}"
            writer.emit("alert", "scan.py", {"id": title, "level": "ERROR", "title": title}, NEEDED)
            if number % 3 == 0:
                device.read()
        if number % 2 == 0:
            short.emit("heartbeat", "scan.py", {"job": f"beat {number}"}, NEEDED)
        short.close()
        calm = Journal(str(settings(root).journal_dir))
        calm.emit("heartbeat", "calm.py", {"job": f"calm {number}"}, NEEDED)
        calm.close()
        device.read()
        for title in device.alerts():
            say(f"shown {title}")
    os._exit(0)  # it is not stopped in order


def check(root: Path, said: Sequence[str]) -> Iterator[str]:
    """Now, and after another start."""
    for start in ("the first", "the second"):
        with exporter(root) as device:
            device.read()
            alerts = device.alerts()
            for title in set(named(said, "shown")) - alerts.keys():
                yield f"after {start} start {title!r} is not counted, though it was shown"
            for title, count in alerts.items():
                if count > 1:
                    yield f"after {start} start {title!r} is counted {count} times"
            yield from (f"{job} is counted {runs:.0f} times" for job, runs in device.beats().items() if runs > 1)
            if device.counted() != len(alerts):
                yield f"after {start} start {device.counted():.0f} are counted of {len(alerts)}"
    yield from (f"{name} was set aside" for name in damaged(root))
