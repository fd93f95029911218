"""The latest failure of each component and kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.metrics.pipeline import LAST_FAILURE, LAST_FAILURE_INFO
from vv_exporter.state.timeline import shortened
from vv_exporter.status.series import Series
from vv_exporter.status.table import QUOTED, Cell, Table, when

KINDS = {
    "alert": translatable("Alert of a script"),
    "chain": translatable("The chain {subject} is broken"),
    "container_failed": translatable("The self-monitor gave up on a container"),
    "crash": translatable("A script crashed"),
    "dvr": translatable("DVR {subject} does not answer as it should"),
    "dvr_agent": translatable("The agent of DVR {subject} was killed"),
    "exception": translatable("Exception {subject}"),
    "exhausted": translatable("Stage {subject} gave up on a video"),
    "footage_corrupt": translatable("A recording of {subject} cannot be played"),
    "hmac:sign": translatable("A payload could not be signed"),
    "hmac:verify": translatable("A signature could not be verified"),
    "job_crash": translatable("Job {subject} crashed"),
    "job_failure": translatable("Job {subject} failed"),
    "quarantined": translatable("A file was moved to corrupted/: {subject}"),
    "schema": translatable("JSON is not valid by the schema {subject}"),
    "stage_crash": translatable("Stage {subject} crashed"),
    "stage_failure": translatable("Stage {subject} failed"),
    "stage_overrun": translatable("Stage {subject} takes too long"),
}
"""What failed, by a failure's kind or the part before its colon; `subject` is what is behind that."""
SHOWN = 10
RECENT = 3600.0  # seconds for which a failure is worth a look


class LastFailure(msgspec.Struct, frozen=True):
    """A failure. `kind` says what failed, e.g. `stage_failure:scan_video`; `time` in Unix seconds."""

    time: float
    component: str
    kind: str
    error: str
    video: str = ""
    video_sha256: str = ""
    alert_id: str = ""


def read(series: Series) -> Iterator[LastFailure]:
    """The newest few, newest first."""
    times = {(labels["component"], labels["kind"]): time for labels, time in series.all(LAST_FAILURE)}
    newest = sorted(
        (labels for labels, _ in series.all(LAST_FAILURE_INFO)),
        key=lambda labels: -times.get((labels["component"], labels["kind"]), 0.0),
    )
    for labels in newest[:SHOWN]:
        yield LastFailure(
            time=times.get((labels["component"], labels["kind"]), 0.0),
            component=labels["component"],
            kind=labels["kind"],
            error=labels["error"],
            video=labels["video"],
            video_sha256=labels["video_sha256"],
            alert_id=labels["alert_id"],
        )


def table(failures: Sequence[LastFailure], now: float) -> Table:
    """For people."""
    columns = (_("What"), _("When"), _("Component"), _("Error"), _("Video"))
    return Table("failures", _("Latest failures"), columns, [_failure_row(one, now) for one in failures])


def spoken_kind(kind: str) -> str:
    """What failed, in the current language."""
    what, _colon, subject = kind.partition(":")
    message = KINDS.get(kind) or KINDS.get(what)
    return _(message).format(subject=subject) if message else kind


def _failure_row(one: LastFailure, now: float) -> tuple[Cell, ...]:
    video = Cell(one.video.rpartition("/")[2] or "–", "" if one.video else "muted", note=one.video_sha256[:12])
    return (
        Cell(spoken_kind(one.kind)),
        when(one.time, now, "warning" if now - one.time < RECENT else "")._replace(moment=(one.time, one.component)),
        Cell(one.component),
        Cell(shortened(one.error, QUOTED)),
        video,
    )
