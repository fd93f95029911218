"""`vv get`."""

from __future__ import annotations

import sys

import click

from vv_exporter.cli._client import AskError
from vv_exporter.cli._client import get as ask
from vv_exporter.language import gettext as _
from vv_exporter.reporting.reports import printable


@click.command("get")
@click.argument("path")
@click.option("--url", help="The exporter's address; default: VV_EXPORTER_URL, with user and CA of the settings.")
def command(path: str, url: str | None) -> None:
    """Print what the exporter answers at PATH, e.g. /metrics or /-/ready.

    As curl does, but at the exporter's own address, with the user, the password and the CA that it is configured with.

    \b
    Examples:
      vv get /-/ready
      vv get /metrics | grep '^vv_relay_'

    Exit codes: 0 an answer below 400, 1 another one or none.
    """
    if not path.startswith("/"):
        why = _("{path} does not begin with /; e.g. /metrics").format(path=repr(path))
        raise click.BadParameter(why, param_hint="PATH")
    try:
        answer = ask(url, path)
    except AskError as error:
        click.echo(f"vv: {error}", err=True)
        sys.exit(1)
    click.echo(printable(answer.text), nl=not answer.text.endswith("\n"))
    if answer.status_code >= 400:
        said = _("it answers {status} {reason}").format(status=answer.status_code, reason=answer.reason)
        click.echo(f"vv: {said}", err=True)
        sys.exit(1)
