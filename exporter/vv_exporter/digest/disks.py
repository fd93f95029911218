"""What became of the disks, and when they are full if it goes on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vv_exporter.digest.samples import Sample
from vv_exporter.language import gettext as _
from vv_exporter.status.table import size

LEAST = 3600.0  # seconds of samples before which a trend says nothing
DAY = 86400.0


class Disk(msgspec.Struct, frozen=True):
    """In bytes. `per_day` is what it filled a day (negative: freed), None when not known; `full_in` is in seconds."""

    name: str
    size: float
    free: float
    per_day: float | None = None
    full_in: float | None = None

    @property
    def trend(self) -> str:
        """`per_day` in words; empty where it is not known, or nothing to speak of."""
        if self.per_day is None or abs(self.per_day) < 1e6:
            return ""
        trend = _("filled by {size} a day") if self.per_day > 0 else _("freed by {size} a day")
        return trend.format(size=size(abs(self.per_day)))


def disks(samples: Sequence[Sample], until: float) -> list[Disk]:
    """All that the last sample knows, those that are full first."""
    samples = [sample for sample in samples if sample.time <= until]
    if not samples:
        return []
    found = [_disk_between(name, samples) for name in samples[-1].disks]
    return sorted(found, key=lambda disk: (disk.full_in is None, disk.full_in or 0.0, disk.name))


def _disk_between(name: str, samples: Sequence[Sample]) -> Disk:
    last = samples[-1]
    first = next(sample for sample in samples if name in sample.disks)
    space, took = last.disks[name], last.time - first.time
    if took < LEAST:
        return Disk(name, space.size, space.free)
    filled = (first.disks[name].free - space.free) / took
    return Disk(name, space.size, space.free, filled * DAY, space.free / filled if filled > 0 else None)
