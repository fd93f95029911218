"""Videos that are given up, and those that go to `corrupted/`.

Whoever is killed between reporting and doing reports again when it is done, under the same id: that counts once.
"""

from __future__ import annotations

import msgspec

from vv_exporter.common.times import UnixTime
from vv_exporter.journal.events import VideoExhausted, VideoQuarantined
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.language.sdk import OF_ENDS, spoken, understood
from vv_exporter.language.sentences import Sentence, nsentence, sentence
from vv_exporter.metrics.videos import VIDEOS_EXHAUSTED, VIDEOS_QUARANTINED
from vv_exporter.settings import Settings
from vv_exporter.state.failures import MAX_ERROR, MAX_NAME, Failure, remember, shorten
from vv_exporter.state.store import Kind, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

MAX_SEEN = 2000
MAX_LABEL = 128


class Seen(msgspec.Struct, frozen=True):
    """An id that was counted, and when."""

    time: UnixTime


SEEN: Kind[Seen] = Kind("video_event", Seen)


def exhausted(tx: Transaction, event: VideoExhausted, source: Source, settings: Settings) -> None:
    """A stage has had its attempts with a video."""
    if _is_new(tx, event.id):
        stage = shorten(event.stage, MAX_LABEL)
        tx.inc(VIDEOS_EXHAUSTED, (stage,))
        title = nsentence(
            "Stage {stage} gave up on a video after {count} attempt",
            "Stage {stage} gave up on a video after {count} attempts",
            stage=stage, count=event.attempts,
        )  # fmt: skip
        _remember_video(tx, f"exhausted:{stage}", title, event, source)


def quarantined(tx: Transaction, event: VideoQuarantined, source: Source, settings: Settings) -> None:
    """A file was moved to `corrupted/`."""
    if _is_new(tx, event.id):
        reason = shorten(event.reason, MAX_LABEL)
        tx.inc(VIDEOS_QUARANTINED, (event.component or source.component, reason))
        title = sentence("A file was moved to corrupted/: {reason}", reason=reason)
        _remember_video(tx, f"quarantined:{reason}", title, event, source)


def _is_new(tx: Transaction, id_: str) -> bool:
    if not id_:
        return True
    if tx.get(SEEN, id_) is not None:
        return False
    if tx.count(SEEN) >= MAX_SEEN:
        seen = sorted(tx.docs(SEEN).items(), key=lambda item: item[1].time)
        for key, _ in seen[: max(len(seen) - MAX_SEEN + 1, 0)]:
            tx.delete(SEEN, key)
    tx.put(SEEN, id_, Seen(tx.now))
    return True


def _remember_video(
    tx: Transaction, kind: str, title: Sentence, event: VideoExhausted | VideoQuarantined, source: Source
) -> None:
    component = event.component or source.component
    family = "video.exhausted" if isinstance(event, VideoExhausted) else "video.quarantined"
    error = understood(event.error, OF_ENDS)
    add_to_timeline(tx, event.ts, Entry(family, title, "error", component, error, event.video, event.video_sha256))
    remember(
        tx,
        Failure(
            component=component,
            kind=kind,
            time=event.ts,
            video=shorten(event.video, MAX_NAME),
            video_sha256=shorten(event.video_sha256, 64),
            error=shorten(spoken(error), MAX_ERROR),
        ),
    )


HANDLERS: dict[type, Handler] = {VideoExhausted: exhausted, VideoQuarantined: quarantined}
