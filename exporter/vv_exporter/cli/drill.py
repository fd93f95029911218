"""`vv drill`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import click

from vv_exporter.cli._client import AskError, ask
from vv_exporter.cli._output import say
from vv_exporter.drills.plan import SEVERITIES, drill_channels, patience, plan
from vv_exporter.drills.report import ChannelReport, DrillReport, Drills
from vv_exporter.drills.request import RequestError, request_drill
from vv_exporter.language import gettext as _
from vv_exporter.language import ngettext
from vv_exporter.reporting.reports import printable, warn_without_reader
from vv_exporter.settings import Settings, load

POLL_SECONDS = 0.5
SHOWN_EVERY_SECONDS = 10.0
BEYOND_SECONDS = 15.0  # after the drill's end in which the exporter must have said how it ended


@click.command("drill")
@click.option(
    "--severity", type=click.Choice(SEVERITIES), help="By the routes of this severity; default: critical, see below."
)
@click.option("--channel", metavar="C", help="By this channel alone, e.g. slack; all that are configured if not given.")
@click.option("--url", help="The exporter's address; default: 127.0.0.1 and VV_EXPORTER_PORT.")
@click.pass_context
def command(context: click.Context, severity: str | None, channel: str | None, url: str | None) -> None:
    """Try the whole way of an alert: a harmless one goes through journal, rule, routes and channels.

    Each message says that it is a DRILL. It is waited until the provider behind each channel has taken it (`vv notify
    test` goes past Prometheus and Alertmanager, and a message that was sent is not one that was taken); then the
    seconds are printed, and the channel counts as proven: on the status page, in the digest, and for DrillOverdue.

    Without a severity each channel gets one message by the gravest route that leads to it, so the pagers ring: an
    incident is opened there, and closed within two minutes. With --channel nobody else hears of it. VV_DRILL_AT does
    the same at a time of its own.

    \b
    Exit codes: 0 every channel took it, 1 one did not or the exporter does not answer, 2 wrong use.
    """
    settings = load()
    available = drill_channels(settings)
    if channel is not None and channel not in available:
        if available:
            problem = _("{channel} is not a channel that can be drilled; configured: {channels}")
        else:
            problem = _("{channel} is not a channel that can be drilled; none is configured")
        text = problem.format(channel=repr(channel), channels=", ".join(available))
        raise click.BadParameter(text, param_hint="--channel")
    expected = [name for step in plan(severity or "", channel or "", available) for name in step.channels]
    if not expected:
        raise click.UsageError(_("no channel is configured that it would reach: set SLACK_WEBHOOK_URL or others"))
    try:
        id_ = request_drill(settings, severity or "", channel or "")
    except RequestError as error:
        raise click.ClickException(str(error)) from error
    warn_without_reader()
    begun = _("drill {id}: {channels} (at most {seconds} s)")
    say(begun.format(id=id_, channels=", ".join(expected), seconds=f"{patience(settings):.0f}"), err=True)
    found = _follow_drill(settings, id_, url, max(map(len, expected)))
    if found is None or found.refused:
        say(f"vv: {found.refused if found else _not_counted_text(settings)}", err=True)
        context.exit(1)
    failed = [one.channel for one in found.channels if one.state != "accepted"]
    if failed:
        said = ngettext(
            "{failed} of {count} channel failed: {names}", "{failed} of {count} channels failed: {names}",
            len(found.channels),
        ).format(failed=len(failed), count=len(found.channels), names=", ".join(failed))  # fmt: skip
        say(f"vv: {said}", err=True)
        context.exit(1)


def _follow_drill(settings: Settings, id_: str, url: str | None, width: int) -> DrillReport | None:
    """Print what becomes of it until it has ended; None if the exporter never counted it."""
    started = shown = time.monotonic()
    printed: set[str] = set()
    said: set[str] = set()
    found: DrillReport | None = None
    while time.monotonic() - started < patience(settings) + BEYOND_SECONDS:
        found = _ask_exporter(url, id_) or found
        for step in _step_texts(found):
            if step not in said:
                said.add(step)
                shown = _print_progress(step, started)
        for one in found.channels if found is not None else ():
            if one.state != "waiting" and one.channel not in printed:
                printed.add(one.channel)
                _print_channel(one, width)
        if found is not None and found.ended:
            return found
        if time.monotonic() - shown >= SHOWN_EVERY_SECONDS:
            waiting = (
                [one.channel for one in found.channels if one.state == "waiting"] if found else [_("the exporter")]
            )
            shown = _print_progress(_("waiting for {names}").format(names=", ".join(waiting)), started)
        time.sleep(POLL_SECONDS)
    return found


def _ask_exporter(url: str | None, id_: str) -> DrillReport | None:
    try:
        answer, _ = ask(url, "/api/v1/drills", {"id": id_}, Drills)
    except AskError as error:
        if error.__cause__ is not None:  # it may come back: a restart ends no drill
            return None
        click.echo(f"vv: {error}", err=True)
        sys.exit(1)
    return next(iter(answer.drills), None)


def _step_texts(found: DrillReport | None) -> Iterator[str]:
    if found is not None and not found.refused:
        yield _("counted by the exporter; the rule Drill fires at Prometheus' next evaluation")
        if found.reached:
            yield _("Alertmanager has it")


def _print_progress(text: str, started: float) -> float:
    now = time.monotonic()
    say(f"  {now - started:4.0f} s  {text}", err=True)
    return now


def _print_channel(one: ChannelReport, width: int) -> None:
    name = printable(one.channel).ljust(width)
    accepted = _("accepted")
    if one.state == "accepted":
        mark = click.style(accepted, fg="green")
        click.echo(f"{name}  {mark}  {one.seconds or 0.0:6.1f} s  {one.severity}")
        return
    mark = click.style(_("failed").ljust(len(accepted)), fg="red")
    cure = _("do: {cure}").format(cure=printable(one.cure))
    click.echo(f"{name}  {mark}  {printable(one.reason)}")
    click.echo(f"{'':<{width}}  {'':<{len(accepted)}}  {cure}")


def _not_counted_text(settings: Settings) -> str:
    return _(
        "the exporter has not counted the drill: it reads {folder}, does it run there? "
        "See `vv health exporter`, VV_STATE_DIR and VV_EXPORTER_PORT"
    ).format(folder=settings.journal_dir)
