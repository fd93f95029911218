"""What commands print of others' texts: names, errors, answers."""

from __future__ import annotations

import click

from vv_core._text import UNSAFE

_BLANKS = dict.fromkeys({*UNSAFE} - {0x0A}, " ")


def printable(text: str) -> str:
    """Without the characters that terminals obey or do not show; lines stay lines."""
    return text if text.isprintable() else text.translate(_BLANKS)


def say(text: str, *, err: bool = False) -> None:
    """Print it, made printable."""
    click.echo(printable(text), err=err)
