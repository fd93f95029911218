"""Attempts at videos: one that was begun counts, and a video that was tried in vain is told and moved."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.powercut.scenarios import named, say
from tests.powercut.scenarios.device import exporter
from vv_core.attempts import Attempts
from vv_core.common import journals
from vv_core.quarantine import release
from vv_exporter.metrics.videos import VIDEOS_EXHAUSTED

FAILING, MENDED, GOOD = "failing.mp4", "mended.mp4", "good.mp4"
LIMIT = 3
ERROR = "no frames"


def prepare(root: Path) -> None:
    """Videos that came in."""
    (root / "input").mkdir()
    for name in (FAILING, MENDED, GOOD):
        (root / "input" / name).write_bytes(name.encode() * 1_000)


def run(root: Path) -> None:
    """One fails as often as it may; one fails as often as it may but once, and succeeds; one succeeds."""
    os.environ["VV_STATE_DIR"] = str(root / "state")
    for number in range(LIMIT):
        for name in (FAILING, MENDED, GOOD):
            is_good = name == GOOD or (name == MENDED and number == LIMIT - 1)
            attempts = Attempts(root / "input" / name, limit=LIMIT, component="scan.py")
            if attempts.exhausted("scan"):
                continue
            with attempts.attempt("scan") as attempt:
                say(f"begun {name}")
                if is_good:
                    say(f"succeeding {name}")
                else:
                    attempt.fail(ERROR)
            say(f"{'succeeded' if is_good else 'failed'} {name}")
            if attempts.moved_to:
                say("releasing")
                release(attempts.moved_to.parent, name)
                say(f"released {name}")


def check(root: Path, said: Sequence[str]) -> Iterator[str]:
    """The counts; and what follows when the pipeline goes on."""
    os.environ["VV_STATE_DIR"] = str(root / "state")
    begun, succeeding = named(said, "begun"), named(said, "succeeding")
    succeeded = named(said, "succeeded")
    for name in (FAILING, MENDED, GOOD):
        attempts = Attempts(_found(root, name), limit=LIMIT, component="scan.py", quarantine=False)
        count = attempts.count("scan")
        is_settled = name in succeeding or (name == FAILING and "releasing" in said)
        if not is_settled and not begun.count(name) <= count <= begun.count(name) + 1:
            yield f"{count} attempts at {name} are known of {begun.count(name)}"
        if count > LIMIT:
            yield f"{count} attempts at {name} are known, and never more than {LIMIT} were made"
        if name in named(said, "released") and count:
            yield f"{name} was released, and {count} attempts are remembered"
        if name in succeeded and count >= LIMIT:
            yield f"{name} succeeded, and is given up"
        errors = [one["error"] for one in attempts.history("scan")]
        if not is_settled and errors.count(ERROR) < named(said, "failed").count(name):
            yield f"why attempts at {name} failed is lost: {errors}"
    exhausted = begun.count(FAILING) == LIMIT
    if exhausted and "releasing" not in said and (root / "input" / FAILING).exists():
        Attempts(root / "input" / FAILING, limit=LIMIT, component="scan.py").exhausted("scan")
        if not (root / "corrupted" / FAILING).exists():
            yield f"{FAILING} is not moved"
    journals.reset()
    with exporter(root / "state") as device:
        device.read()
        told = sum(series.value for _, series in device.store.series(VIDEOS_EXHAUSTED))
        if exhausted and told != 1:
            yield f"{FAILING} was given up, and told {told:.0f} times"


def _found(root: Path, name: str) -> Path:
    return next((path for path in (root / "corrupted" / name, root / "input" / name) if path.exists()), root / name)
