"""What reaches the disk of the state folder: flash is worn out by it.

    vv_state_written_bytes_total 1.9e+09
    vv_state_disk_life_used_ratio 0.3

The kernel counts sectors of 512 bytes, whatever the disk's own are (Documentation/block/stat.rst). An eMMC reports its
life in tenths, of each kind of its memory; the worst counts (JESD84-B51, DEVICE_LIFE_TIME_EST; `life_time` in sysfs,
Documentation/driver-api/mmc/mmc-dev-attrs.rst). What is on no disk of its own (tmpfs, NFS, Btrfs, an overlay) is left
out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import Metric as Family

from vv_exporter.metrics import counters, gauges
from vv_exporter.metrics.flash import LIFE_USED, WRITTEN
from vv_exporter.services import Services

SECTOR_BYTES = 512
_WRITTEN_SECTORS = 6  # which field of `stat`
_MOST_TENTHS = 11  # 0x0B: more than it is rated for; what is beyond is reserved


class Flash:
    """Reads /sys at each scrape."""

    name = "flash"

    def __init__(self, folder: Path, sys: Path = Path("/sys")) -> None:
        self._folder = folder
        self._sys = sys

    def collect(self) -> Iterable[Family]:
        """Both families; without a series where the disk does not say it."""
        disk = disk_of(os.stat(self._folder).st_dev, self._sys)
        written = written_bytes(disk) if disk is not None else None
        used = life_used(disk) if disk is not None else None
        yield counters(WRITTEN, [] if written is None else [((), written, None)])
        yield gauges(LIFE_USED, [] if used is None else [((), used)])


def disk_of(device: int, sys: Path) -> Path | None:
    """Where sysfs shows the whole disk on which a file system's device (`st_dev`) lies; None for one without."""
    place = (sys / "dev" / "block" / f"{os.major(device)}:{os.minor(device)}").resolve()
    if (place / "partition").exists():
        place = place.parent
    return place if (place / "stat").exists() else None


def written_bytes(disk: Path) -> float | None:
    """Bytes written to it since the device started; None where the kernel does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return float(int((disk / "stat").read_text(encoding="ascii").split()[_WRITTEN_SECTORS]) * SECTOR_BYTES)
    return None


def life_used(disk: Path) -> float | None:
    """The share of its life that it has used, in tenths; None where it does not say."""
    with contextlib.suppress(OSError, ValueError):
        tenths = [int(word, 16) for word in (disk / "device" / "life_time").read_text(encoding="ascii").split()]
        return max((one for one in tenths if 0 < one <= _MOST_TENTHS), default=0) / 10 or None
    return None


def build(services: Services) -> Flash:
    """Make the collector."""
    return Flash(services.settings.state_dir)
