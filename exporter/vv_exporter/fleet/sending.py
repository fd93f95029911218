"""Whether everything is sent to the centre for a time, rather than what is kept: a request that ends by itself."""

from __future__ import annotations

import os
from pathlib import Path

from vv_core.common.files import read_regular
from vv_exporter.render import files
from vv_exporter.settings import Settings

MAX_SECONDS = 24 * 3600.0
"""A request that ends later than this from now was made by a clock that was ahead, and is none."""


def _send_all_file(settings: Settings) -> Path:
    return settings.state_dir / "fleet-send-all-until"


def request(settings: Settings, seconds: float, now: float) -> None:
    """Have everything sent for so many seconds; 0 ends it at once. Raises `OSError`."""
    files.write(_send_all_file(settings), f"{now + seconds:.0f}\n" if seconds else "0\n")


def until(settings: Settings, now: float) -> float | None:
    """When it ends, in Unix seconds; None while nothing but what is kept is sent."""
    try:
        end = float(read_regular(os.fsencode(_send_all_file(settings)), 32) or b"0")
    except (OSError, ValueError):
        return None
    return end if now < end <= now + MAX_SECONDS else None
