"""The latest failure of each component and kind: what an alert quotes."""

from __future__ import annotations

import msgspec

from vv_exporter.common.times import UnixTime, is_later
from vv_exporter.metrics.pipeline import LAST_FAILURE
from vv_exporter.state.store import Kind, Transaction

MAX_ERROR = 300  # characters of an error that become a label's value
MAX_NAME = 200  # characters of a video's name that do


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One failure. `kind` says what failed, e.g. `stage_failure:scan_video`."""

    component: str
    kind: str
    time: UnixTime
    video: str = ""
    video_sha256: str = ""
    error: str = ""
    alert_id: str = ""


MAX_FAILURES = 500
FAILURES: Kind[Failure] = Kind(
    "failure", Failure, MAX_FAILURES, LAST_FAILURE, lambda failure: failure.kind.partition(":")[2]
)


def remember(tx: Transaction, failure: Failure) -> None:
    """Keep the failure if it is the latest of its component and kind."""
    key = f"{failure.component}\n{failure.kind}"
    known = tx.get(FAILURES, key)
    if known is None or is_later(failure.time, known.time, tx.now):
        tx.put(FAILURES, key, failure)


def shorten(text: str, limit: int) -> str:
    """The text in one line, at most `limit` characters, an ellipsis where it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
