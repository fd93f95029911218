"""Where fetched programs are."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder of fetched programs: `VV_TOOLS_DIR`, or `.vv` of the checkout, or one in the user's cache."""
    named = os.environ.get("VV_TOOLS_DIR")
    if named:
        return Path(named).absolute()
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file():
        return checkout / ".vv"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "vv-exporter"
