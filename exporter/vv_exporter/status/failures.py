"""The latest failure of each component and kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from vv_exporter.language import gettext as _
from vv_exporter.metrics.pipeline import LAST_FAILURE, LAST_FAILURE_INFO
from vv_exporter.state.timeline import shortened
from vv_exporter.status.series import Series
from vv_exporter.status.table import QUOTED, Cell, Table, when

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


def _failure_row(one: LastFailure, now: float) -> tuple[Cell, ...]:
    what, _, subject = one.kind.partition(":")
    video = Cell(one.video.rpartition("/")[2] or "–", "" if one.video else "muted", note=one.video_sha256[:12])
    return (
        Cell(f"{what.replace('_', ' ')} {subject}".strip()),
        when(one.time, now, "warning" if now - one.time < RECENT else "")._replace(moment=(one.time, one.component)),
        Cell(one.component),
        Cell(shortened(one.error, QUOTED)),
        video,
    )
