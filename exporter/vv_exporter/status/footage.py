"""Footage in small: how much of the last day is there of each camera, and what is missing now, why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from vv_exporter.footage.words import length, words
from vv_exporter.language import decimal
from vv_exporter.language import gettext as _
from vv_exporter.metrics.footage import (
    FOOTAGE_DAY_RATIO,
    FOOTAGE_LATEST,
    FOOTAGE_MISSING_LIMIT,
    FOOTAGE_OPEN,
    FOOTAGE_RECENT,
)
from vv_exporter.status.series import Series
from vv_exporter.status.table import Cell, Level, Table, when


class CameraInShort(msgspec.Struct, frozen=True):
    """A camera. `share` (0 to 1) of what was expected of the last day is there; None: nothing was, or nobody knows.

    Since `open_since` (Unix seconds) footage is missing, and still is, for `cause` (`docs/footage.md`). `recent`
    seconds are missing of the last hour, more than `limit` are too many. `latest` is the end of the latest footage.
    """

    name: str
    share: float | None
    recent: float
    open_since: float | None
    cause: str
    latest: float | None
    limit: float


def read(series: Series) -> Iterator[CameraInShort]:
    """All cameras that are watched."""
    limit = series.one(FOOTAGE_MISSING_LIMIT) or 0.0
    for name in series.names("dvr", FOOTAGE_DAY_RATIO, FOOTAGE_LATEST, FOOTAGE_OPEN):
        holes = [(since, labels["cause"]) for labels, since in series.all(FOOTAGE_OPEN) if labels["dvr"] == name]
        since, cause = holes[0] if holes else (None, "")
        latest = [end for labels, end in series.all(FOOTAGE_LATEST) if labels["dvr"] == name]
        yield CameraInShort(
            name=name,
            share=series.one(FOOTAGE_DAY_RATIO, dvr=name),
            recent=sum(value for labels, value in series.all(FOOTAGE_RECENT) if labels["dvr"] == name),
            open_since=since,
            cause=cause,
            latest=max(latest, default=None),
            limit=limit,
        )


def troubles(cameras: Sequence[CameraInShort], now: float) -> Iterator[str]:
    """Cameras of which footage is missing now, and has been for long enough to be shown."""
    for one in cameras:
        if _is_missing(one):
            yield _("footage of {name} is missing for {time} ({cause}): {command}").format(
                name=one.name,
                time=length(now - (one.open_since or now)),
                cause=words(one.cause),
                command="`vv footage`",
            )


def _is_missing(one: CameraInShort) -> bool:
    return one.open_since is not None and one.recent > one.limit


def table(cameras: Sequence[CameraInShort], now: float) -> Table:
    """For people; those of which footage is missing first."""
    ordered = sorted(
        cameras, key=lambda one: (not _is_missing(one), one.share if one.share is not None else 2, one.name)
    )
    columns = (_("Camera"), _("Last 24 hours"), _("Missing now"), _("Latest footage"))
    return Table("footage", _("Footage"), columns, [_row(one, now) for one in ordered])


def _row(one: CameraInShort, now: float) -> tuple[Cell, ...]:
    if one.share is None:
        share = Cell(_("nothing was expected"), "muted")
    else:
        level: Level = "warning" if one.recent > one.limit else ""
        note = _("{length} missing of the last hour").format(length=length(one.recent)) if one.recent else ""
        # 99.99 % is not all of it.
        whole = decimal(f"{int(one.share * 1000 + 1e-6) / 10:g} %")
        share = Cell(whole, level, note=note, share=one.share)
    if one.open_since is None:
        missing = Cell("–", "muted")
    else:
        missing = Cell(
            _("for {time}").format(time=length(now - one.open_since)),
            "bad" if _is_missing(one) else "warning",
            note=words(one.cause),
            moment=(one.open_since, one.name),
        )
    return Cell(one.name), share, missing, when(one.latest, now)
