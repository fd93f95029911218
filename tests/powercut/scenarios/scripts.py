"""A script that reports, while nobody reads: an alert of level CRITICAL that was raised is on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.powercut.scenarios import named, say
from tests.powercut.scenarios.device import damaged, exporter
from vv_exporter.metrics.exporter import EVENTS_REJECTED


def prepare(root: Path) -> None:
    """Nothing: it is the first to report at all."""


def run(root: Path) -> None:
    """Report of everything, going on to a next file now and then."""
    from vv_core.alerter import send_alert
    from vv_core.common import journals
    from vv_core.jobs import heartbeat
    from vv_core.stages import stage

    os.environ["VV_STATE_DIR"] = str(root / "state")
    journals.ROLL_AT = 3_000
    for number in range(8):
        heartbeat("backup", component="backup.sh")
        with stage("scan", video=f"{number}.mp4", component="scan.py"):
            send_alert("ERROR", f"error {number}", "no frames " * number, "scan.py")
            send_alert("CRITICAL", f"critical {number}", "no disk " * 20, "scan.py")
            say(f"raised critical {number}")


def check(root: Path, said: Sequence[str]) -> Iterator[str]:
    """Each CRITICAL is there, nothing is there twice, and nothing else is refused than what is torn."""
    with exporter(root / "state") as device:
        device.read()
        alerts = device.alerts()
        yield from (f"{title!r} was raised, and is lost" for title in named(said, "raised") if title not in alerts)
        yield from (f"{title!r} is there {count} times" for title, count in alerts.items() if count > 1)
        reasons = {labels[0] for labels, series in device.store.series(EVENTS_REJECTED) if series.value}
        yield from (f"a line was refused: {reason}" for reason in reasons - {"torn", "syntax"})
    yield from (f"{name} was set aside" for name in damaged(root))
