"""`vv doctor`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from vv_exporter.cli._output import say
from vv_exporter.language import gettext as _


@click.command("doctor")
@click.option(
    "--root",
    metavar="DIR",
    default="/",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Examine an installation below DIR, such as that of a package or an image, instead of this machine's.",
)
@click.pass_context
def command(context: click.Context, root: Path) -> None:
    """Say what of this installation is not as it should be, a line each with the command that cures it.

    \b
    Examined are    who owns and may read, write and replace the folders and files of the state;
                    users, groups and their members; the Docker proxy's sockets;
                    the units of systemd with their drop-ins: user, groups, umask, sandbox;
                    files of secrets and of settings; whether the exporter may write to VIDEO_STORAGE_ROOT.

    \b
    wrong:   SUBJECT: what is wrong: the command that cures it
    unknown: SUBJECT: this user cannot see it: run it as root

    Run it as root after an installation, an upgrade and a change of units, or in a container:
    docker compose exec exporter vv doctor. It changes nothing.

    Exit codes: 0 all was seen and is as it should be, 1 something is wrong or could not be seen, 2 wrong use.
    """
    from vv_exporter.installation.doctor import examine

    findings = list(examine(root, os.environ))
    for finding in findings:
        say(str(finding))
    if findings:
        unknown = sum(finding.unknown for finding in findings)
        click.echo(
            _("{wrong} wrong, {unknown} unknown").format(wrong=len(findings) - unknown, unknown=unknown), err=True
        )
        context.exit(1)
    click.echo(_("ok: folders, users, groups, sockets, units and secrets are as they should be"))
