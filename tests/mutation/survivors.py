"""Changes that change nothing anybody could see, each with the reason."""

from __future__ import annotations

import tomllib
from pathlib import Path

FILE = Path(__file__).with_name("survivors.toml")


def explained() -> dict[str, str]:
    """The reason by a mutant's identity."""
    text = tomllib.loads(FILE.read_text()) if FILE.exists() else {}
    return {identity: one["because"] for one in text.get("survivor", []) for identity in one["changes"]}
