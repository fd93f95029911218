"""`vv health`."""

from __future__ import annotations

from pathlib import Path

import click

from vv_exporter.language import gettext as _


@click.command("health")
@click.argument("part", type=click.Choice(["exporter", "self-monitor", "docker-proxy"]))
@click.option("--port", type=int, help="The exporter's port; default: VV_EXPORTER_PORT.")
@click.option(
    "--socket",
    metavar="SOCKET",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The proxy's socket to be asked.",
)
def command(part: str, port: int | None, socket: Path | None) -> None:
    """Ask whether a PART that runs here does its work: exit code 1 and a line that says why, if it does not.

    Made for the health checks of containers: it reads the environment, and no vv.yml.
    """
    from vv_exporter import health

    if part == "docker-proxy" and socket is None:
        raise click.UsageError(_("name the proxy's socket: --socket SOCKET"))
    try:
        said = health.ask(part, port, socket or "")
    except health.UnhealthyError as error:
        raise click.ClickException(str(error)) from error
    if said:
        click.echo(said)
    click.echo("healthy")
