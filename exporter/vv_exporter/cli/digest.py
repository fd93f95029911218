"""`vv digest`."""

from __future__ import annotations

import sys
import time

import click

from vv_exporter.cli._client import AskError, ask
from vv_exporter.cli._output import say
from vv_exporter.digest import Digest
from vv_exporter.language import gettext as _
from vv_exporter.settings import load


@click.command("digest")
@click.option("--since", default="24h", show_default=True, help="How far back: 12h, 7d, or a time (RFC 3339).")
@click.option("--send", "is_sent", is_flag=True, help="Send it by e-mail, too; that of the day comes all the same.")
@click.option("--json", "as_json", is_flag=True, help="Print the document that GET /api/v1/digest gives.")
@click.option("--url", help="The exporter's address; default: 127.0.0.1 and VV_EXPORTER_PORT.")
def command(since: str, is_sent: bool, as_json: bool, url: str | None) -> None:
    """Show the digest: alerts, stages, videos, jobs, what was up, disks, notifications.

    The exit code is 1 when the exporter does not answer or the mail could not be sent, 2 when it does not understand
    what is asked for, or no mail server is configured.
    """
    settings = load()
    if is_sent and not settings.smtp_smarthost:
        click.echo(_("vv: SMTP_SMARTHOST: is not set; set it, SMTP_FROM and ALERT_EMAIL_TO"), err=True)
        sys.exit(2)
    try:
        found, text = ask(url, "/api/v1/digest", {"since": since}, Digest)
    except AskError as error:
        click.echo(f"vv: {error}", err=True)
        sys.exit(2 if error.__cause__ is None else 1)
    from vv_exporter.digest import mail
    from vv_exporter.language import speaking
    from vv_exporter.messages import smtp

    click.echo(text if as_json else mail.text(found, settings.public_url), nl=as_json)
    if is_sent:
        with speaking(settings.language):  # not that of the shell
            made = mail.message(found, settings.smtp_from, settings.alert_email_to, time.time(), settings.public_url)
        try:
            refused = smtp.send(made, settings)
        except smtp.MailError as error:
            say(_("vv: not sent: {error}").format(error=error), err=True)
            sys.exit(1)
        click.echo(_("vv: sent to {addresses}").format(addresses=settings.alert_email_to), err=True)
        for address in refused:
            say(_("vv: refused for {address}").format(address=address), err=True)
