"""``vv heartbeat``: a job tells that it succeeded."""

import click

from vv_core import _journal
from vv_core.jobs import heartbeat
from vv_exporter.cli._reader import warn_without_reader


@click.command("heartbeat")
@click.argument("job")
def command(job: str) -> None:
    """Record that JOB succeeded just now."""
    heartbeat(job, component="vv heartbeat")
    if not _journal.complete():
        raise click.ClickException("the heartbeat could not be recorded")
    warn_without_reader(chosen=False)
