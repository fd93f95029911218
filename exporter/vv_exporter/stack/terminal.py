"""What `vv up` says on its terminal."""

from __future__ import annotations

import contextlib

COMPONENT = "vv up"
"""Of what it reports as an alert."""


def say(line: str) -> None:
    """Print a line without what terminals obey, if the terminal is still there."""
    from vv_core.common import texts  # its table weighs more than all else in who only keeps programs running

    with contextlib.suppress(OSError):
        print(texts.escaped(line), flush=True)


def capitalized(name: str) -> str:
    """A program's name at the beginning of a sentence."""
    return name[:1].upper() + name[1:]
