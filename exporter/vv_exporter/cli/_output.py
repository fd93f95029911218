"""What commands print of others' texts: names, errors, answers."""

import click

from vv_exporter.reporting.reports import printable


def say(text: str, *, err: bool = False) -> None:
    """Print it, made printable."""
    click.echo(printable(text), err=err)
