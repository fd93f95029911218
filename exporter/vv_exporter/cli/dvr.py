"""`vv dvr`."""

from __future__ import annotations

import click

from vv_core._journal import LASTING
from vv_exporter.settings import load
from vv_exporter.supervisor.run import recording

COMPONENT = "vv dvr"


@click.group("dvr")
def command() -> None:
    """What an operator may say of DVRs and their agents."""


@command.command("forget")
@click.argument("name")
def forget(name: str) -> None:
    """Stop missing the agent of DVR NAME that was killed: nobody is to get its stream any more."""
    with recording(load()) as journal:
        journal.emit("dvr.ended", COMPONENT, {"dvr": name}, LASTING)
        if not journal.flush() or journal.lost:
            raise click.ClickException("that could not be recorded")
    click.echo(f"no agent of DVR {name} is missed, until one reports again")
