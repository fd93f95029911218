"""File systems, and the videos on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from vv_exporter.common.clock import span
from vv_exporter.language import decimal, ngettext, translatable
from vv_exporter.language import gettext as _
from vv_exporter.metrics.storage import FREE, INGEST_PAUSED, MISSING_INFO, PROBE_SUCCESS, READONLY, SIZE
from vv_exporter.metrics.thresholds import FREE_BYTES, FREE_RATIO
from vv_exporter.metrics.videos import BACKLOG_OLDEST, BACKLOG_VIDEOS, QUARANTINE_BYTES, QUARANTINE_FILES
from vv_exporter.status.series import Series
from vv_exporter.status.table import Cell, Level, Table, ago, size

ROLES = {"video_storage": translatable("video storage"), "system": translatable("system")}


class Disk(msgspec.Struct, frozen=True):
    """A file system; sizes in bytes. `readable`: its last probe succeeded; `missing`: what should be there and is not.

    `low` is the severity of the threshold that it is under, if any. `grew` is what it filled (negative: freed) in the
    last `grew_in` seconds, `full_in` when it is full if that goes on, in seconds.
    """

    role: str
    path: str
    size: float
    free: float
    readable: bool
    read_only: bool = False
    missing: str = ""
    low: str = ""
    grew: float = 0.0
    grew_in: float = 0.0
    full_in: float | None = None


class Videos(msgspec.Struct, frozen=True):
    """Files that wait in input/, and those in corrupted/."""

    waiting: int | None
    oldest: float | None
    quarantined: int | None
    quarantined_bytes: float
    ingest_paused: bool


Past = Sequence[tuple[float, Mapping[str, float]]]
"""How much was free by role at earlier times, oldest first."""
_TREND_AFTER = 300.0  # seconds before which a trend says nothing


def free(series: Series) -> dict[str, float]:
    """How much is free now, by role."""
    return {labels["role"]: value for labels, value in series.all(FREE)}


def read(series: Series, now: float, past: Past) -> Iterator[Disk]:
    """All file systems."""
    for labels, success in series.all(PROBE_SUCCESS):
        whole, left = series.one(SIZE, **labels), series.one(FREE, **labels)
        disk = Disk(
            labels["role"],
            labels["path"],
            whole or 0.0,
            left or 0.0,
            success == 1,
            read_only=series.one(READONLY, **labels) == 1,
            missing=_missing_reason(series, labels["role"]),
        )
        if whole and left is not None:
            low = next((level for level in ("critical", "warning") if _is_under_limit(series, disk, level)), "")
            disk = _with_trend(msgspec.structs.replace(disk, low=low), now, past)
        yield disk


def _missing_reason(series: Series, role: str) -> str:
    return next((labels["reason"] for labels, _ in series.all(MISSING_INFO) if labels["role"] == role), "")


def _is_under_limit(series: Series, disk: Disk, severity: str) -> bool:
    ratio = series.one(FREE_RATIO, role=disk.role, severity=severity)
    count = series.one(FREE_BYTES, role=disk.role, severity=severity)
    return (ratio is not None and disk.free / disk.size < ratio) or (count is not None and disk.free < count)


def _with_trend(disk: Disk, now: float, past: Past) -> Disk:
    first = next(((time, left[disk.role]) for time, left in past if disk.role in left), None)
    if first is None or now - first[0] < _TREND_AFTER:
        return disk
    took, grew = now - first[0], first[1] - disk.free
    full = disk.free * took / grew if grew > 0 else None
    return msgspec.structs.replace(disk, grew=grew, grew_in=took, full_in=full)


def read_videos(series: Series) -> Videos | None:
    """None where no folder of videos is watched."""
    waiting, quarantined = series.one(BACKLOG_VIDEOS), series.one(QUARANTINE_FILES)
    paused = series.one(INGEST_PAUSED)
    if waiting is None and quarantined is None and paused is None:
        return None
    return Videos(
        waiting=None if waiting is None else int(waiting),
        oldest=series.one(BACKLOG_OLDEST) or None,
        quarantined=None if quarantined is None else int(quarantined),
        quarantined_bytes=series.one(QUARANTINE_BYTES) or 0.0,
        ingest_paused=paused == 1,
    )


def troubles(disks: Sequence[Disk], videos: Videos | None) -> Iterator[str]:
    """What is wrong with storage."""
    for disk in disks:
        if not disk.readable:
            said = _("{path} cannot be used").format(path=disk.path)
            yield f"{said}: {disk.missing}" if disk.missing else said
    yield from (
        _("{path} is read-only").format(path=disk.path)
        for disk in disks
        if disk.readable and disk.read_only and _is_written(disk)
    )
    yield from (
        _("{path} is critically low").format(path=disk.path)
        for disk in disks
        if disk.readable and disk.low == "critical"
    )
    if videos is not None and videos.ingest_paused:
        yield _("ingestion is paused: the video storage is critically full")


def _is_written(disk: Disk) -> bool:
    return disk.role == "video_storage"


def table(disks: Sequence[Disk]) -> Table:
    """For people."""
    return Table(
        "storage", _("Storage"), (_("Storage"), _("Path"), _("Free"), _("Trend")), [_disk_row(disk) for disk in disks]
    )


def _disk_row(disk: Disk) -> tuple[Cell, ...]:
    name = Cell(_(ROLES.get(disk.role, disk.role.replace("_", " "))))
    if not disk.readable or not disk.size:
        return name, Cell(disk.path), Cell(_("cannot be used"), "bad", note=disk.missing), Cell("–", "muted")
    levels: dict[str, Level] = {"critical": "bad", "warning": "warning"}
    words = _("{free} GB free of {size} ({share})").format(
        free=decimal(f"{disk.free / 1e9:.1f}"),
        size=decimal(f"{disk.size / 1e9:.1f}"),
        share=f"{disk.free / disk.size:.0%}",
    )
    note = (
        _("read-only") if disk.read_only else {"critical": _("critically low"), "warning": _("low")}.get(disk.low, "")
    )
    left = Cell(words, levels.get(disk.low, ""), note=note, share=1 - disk.free / disk.size)
    return name, Cell(disk.path), left, _trend_cell(disk)


def _trend_cell(disk: Disk) -> Cell:
    if not disk.grew_in:
        return Cell("–", "muted")
    if abs(disk.grew) < 1e6:
        return Cell(_("steady for {time}").format(time=span(disk.grew_in)))
    words = _("{size} filled in {time}") if disk.grew > 0 else _("{size} freed in {time}")
    note = (
        _("full in {time} at this rate").format(time=span(disk.full_in))
        if disk.full_in is not None and disk.full_in < 30 * 86400
        else ""
    )
    soon = disk.full_in is not None and disk.full_in < 86400
    return Cell(words.format(size=size(abs(disk.grew)), time=span(disk.grew_in)), "warning" if soon else "", note=note)


def videos_table(videos: Videos | None, now: float) -> Table:
    """For people; without rows where there is nothing to show."""
    rows = []
    if videos is not None and videos.waiting is not None:
        since = _("oldest {time}").format(time=ago(videos.oldest, now)) if videos.oldest and videos.waiting else ""
        rows.append(
            (
                Cell(_("waiting in input/")),
                Cell(
                    ngettext("{count} video", "{count} videos", videos.waiting).format(count=videos.waiting), note=since
                ),
            )
        )
    if videos is not None and videos.quarantined is not None:
        level: Level = "warning" if videos.quarantined else ""
        rows.append(
            (
                Cell(_("in corrupted/")),
                Cell(
                    ngettext("{count} file", "{count} files", videos.quarantined).format(count=videos.quarantined),
                    level,
                    size(videos.quarantined_bytes),
                ),
            )
        )
    if videos is not None and videos.ingest_paused:
        rows.append((Cell(_("ingestion")), Cell(_("paused: the disk is critically full"), "bad")))
    return Table("videos", _("Videos"), (_("Videos"), _("Now")), rows)
