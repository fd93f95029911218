"""`vv containers`."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import click

from vv_core.common.journals import LASTING
from vv_exporter.cli._output import say
from vv_exporter.common.clock import boot_id, boottime, span
from vv_exporter.language import gettext as _
from vv_exporter.settings import Settings, load
from vv_exporter.supervisor.mailbox import CONTAINER_NAME, Mailbox, Request, Seen, View
from vv_exporter.supervisor.run import recording

COMPONENT = "vv containers"
WAIT = 5.0  # seconds for the self-monitor to do what was asked
STALE = 60.0  # seconds after which a view is shown as old


@click.group("containers")
def command() -> None:
    """The self-monitor's view of the containers, and what an operator may tell it."""


@command.command("list")
def show() -> None:
    """Show the containers that the self-monitor looks after.

    The exit code is 1 when there is no self-monitor, or it has not looked for a minute.
    """
    view = Mailbox(load().self_monitor_dir).view()
    if view is None:
        raise click.ClickException(_("no self-monitor has ever looked; is `vv self-monitor` running?"))
    rows = [(_("NAME"), _("STATE"), _("RESTARTS"), ""), *_table_rows(view)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(map(str.ljust, row, widths)).rstrip())
    if not view.containers:
        none = _("none: name containers or projects below self_monitor in vv.yml, or label them vv.self-monitor=true")
        click.echo(none)
    age = view.age(time.time(), boot_id(), boottime())
    if age > STALE:
        late = _("the self-monitor last looked {time} ago; is it running?").format(time=span(age))
        click.echo(f"vv: {late}", err=True)
        sys.exit(1)


@command.command("resume")
@click.argument("name")
def resume(name: str) -> None:
    """Take container NAME up again, with no restarts on its account."""
    settings = load()
    view = Mailbox(settings.self_monitor_dir).view()
    if view is None or _checked_name(name) not in {one.name for one in view.containers}:
        why = _("the self-monitor does not manage {name}: see `vv containers list`").format(name=repr(name))
        raise click.ClickException(why)
    done, later = (
        _("{name} is taken up again"),
        _("{name} is taken up again as soon as the self-monitor runs: it does not answer now"),
    )
    _ask_self_monitor(settings, Request("resume", name), done.format(name=name), later.format(name=name))


@command.command("forget")
@click.argument("name")
def forget(name: str) -> None:
    """Stop expecting container NAME, until it is started again: no restarts, no alert that it is down."""
    settings = load()
    for key, names in (
        ("containers.essential", settings.containers.essential),
        ("containers.expected", settings.containers.expected),
        ("self_monitor.containers", settings.self_monitor.containers),
    ):
        if _checked_name(name) in names:
            why = _("{name} is listed in {key} in vv.yml: take it out there, and restart").format(name=name, key=key)
            raise click.ClickException(why)
    with recording(settings) as journal:
        journal.emit("container.forgotten", COMPONENT, {"name": name}, LASTING)
        if not journal.flush() or journal.lost:
            raise click.ClickException(_("that could not be recorded"))
    done = _("{name} is not expected any more").format(name=name)
    later = _("{name} is not expected any more as soon as the self-monitor runs: it does not answer now")
    if settings.self_monitor_dir.exists():
        _ask_self_monitor(settings, Request("forget", name), done, later.format(name=name))
    else:
        click.echo(done)


def _checked_name(name: str) -> str:
    if not re.match(CONTAINER_NAME, name):
        raise click.UsageError(_("{name} is not the name of a container").format(name=repr(name)))
    return name


def _ask_self_monitor(settings: Settings, request: Request, done: str, later: str) -> None:
    try:
        path = Mailbox(settings.self_monitor_dir).ask(request)
    except OSError as error:
        folder = settings.self_monitor_dir
        why = _("{folder} cannot be written: {error}; root and the self-monitor's user may")
        raise click.ClickException(why.format(folder=folder, error=error.strerror)) from error
    click.echo(done if _wait_until_gone(path) else later)


def _wait_until_gone(path: Path) -> bool:
    end = time.monotonic() + WAIT
    while path.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _table_rows(view: View) -> list[tuple[str, ...]]:
    return [
        (one.name, f"{one.state} {one.health}".strip(), f"{one.in_window}/{one.max}", one.verdict + _due_text(one))
        for one in view.containers
    ]


def _due_text(one: Seen) -> str:
    if not one.due:
        return ""
    words = _("; to be given up in {seconds} s") if one.in_window >= one.max else _("; to be restarted in {seconds} s")
    return words.format(seconds=f"{max(one.due - time.time(), 0):.0f}")
