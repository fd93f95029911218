"""``vv heartbeat``: a job reports that it succeeded."""

import click

from vv_exporter.reporting.reports import NotRecordedError, report_heartbeat


@click.command("heartbeat")
@click.argument("job")
def command(job: str) -> None:
    """Record that JOB succeeded just now."""
    try:
        report_heartbeat(job)
    except NotRecordedError as error:
        raise click.ClickException(str(error)) from error
