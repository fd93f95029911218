"""`vv dvr`."""

from __future__ import annotations

import click

from vv_core.common.journals import LASTING
from vv_core.dvr import allow_logins
from vv_exporter.language import gettext as _
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
    _record_event("dvr.ended", name)
    click.echo(_("no agent of DVR {dvr} is missed, until one reports again").format(dvr=name))


@command.command("login")
@click.argument("name")
def login(name: str) -> None:
    """Send user and password to DVR NAME again: it refused them, and takes them by now as they stand here.

    Both the exporter's probe and agents that hold them back go on.
    """
    try:
        was_agent = allow_logins(name)
    except OSError as error:
        why = _("what agents were refused cannot be forgotten: {error}").format(error=error)
        raise click.ClickException(why) from error
    if name not in load().dvrs and not was_agent:
        known = ", ".join(load().dvrs) or _("none")
        raise click.ClickException(_("no DVR {dvr} is configured; there are: {known}").format(dvr=name, known=known))
    _record_event("dvr.login", name)
    click.echo(_("user and password are sent to DVR {dvr} again; vv status shows what it answers").format(dvr=name))


def _record_event(kind: str, dvr: str) -> None:
    with recording(load()) as journal:
        journal.emit(kind, COMPONENT, {"dvr": dvr}, LASTING)
        if not journal.flush() or journal.lost:
            raise click.ClickException(_("that could not be recorded"))
