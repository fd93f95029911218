"""`vv timeline`."""

from __future__ import annotations

import sys
from contextlib import nullcontext

import click
import msgspec

from vv_exporter.cli._client import COLOURS, AskError, ask
from vv_exporter.common.clock import isoformat
from vv_exporter.language import ENGLISH, speaking
from vv_exporter.language import gettext as _
from vv_exporter.state.openalerts import SEVERITIES
from vv_exporter.state.timeline import Moment


class Document(msgspec.Struct, frozen=True):
    """What `GET /api/v1/timeline` answers. `older`: where the moments before these begin, "" if there are none."""

    time: float
    moments: tuple[Moment, ...]
    older: str


@click.command("timeline")
@click.option("--since", help="How far back: 30m, 12h, 7d, or a time (RFC 3339); default: 1h, with --alert all.")
@click.option("--until", default="", help="Up to when, in the same forms.")
@click.option("--around", default="", help="Instead: a quarter of an hour before and after a time, in the same forms.")
@click.option("--severity", type=click.Choice(SEVERITIES), help="The least severity.")
@click.option("--component", default="", help="Part of a component's name.")
@click.option("--video", default="", help="Part of a video's name, or the beginning of its hash.")
@click.option("--alert", default="", help="An alert's id, as its messages have it, or the beginning of it.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=200, show_default=True, help="At most so many, the newest."
)
@click.option("--json", "as_json", is_flag=True, help="Print the document that GET /api/v1/timeline gives.")
@click.option("--url", help="The exporter's address; default: 127.0.0.1 and VV_EXPORTER_PORT.")
def command(
    since: str | None,
    until: str,
    around: str,
    severity: str | None,
    component: str,
    video: str,
    alert: str,
    limit: int,
    as_json: bool,
    url: str | None,
) -> None:
    """Show what happened, in order: failures, crashes, overruns, containers, DVRs, alerts and notifications.

    The exit code is 1 when the exporter does not answer, 2 when it does not understand what is asked for.
    """
    since = since if since is not None else "" if alert else "1h"
    asked = {"since": since, "until": until, "around": around, "component": component, "video": video}
    asked |= {"severity": severity or "", "alert": alert}
    try:
        with speaking(ENGLISH) if as_json else nullcontext():  # a program gets the same whoever runs it
            document, text = ask(url, "/api/v1/timeline", {**asked, "limit": str(limit)}, Document)
    except AskError as error:
        click.echo(f"vv: {error}", err=True)
        sys.exit(2 if error.__cause__ is None else 1)
    if as_json:
        click.echo(text)
        return
    for line in lines(document):
        click.echo(line)


def lines(document: Document) -> list[str]:
    """The moments as people read them, the newest last."""
    shown = [_("… older ones are left out (--limit)")] if document.older else []
    for moment in reversed(document.moments):
        shown += _moment_lines(moment)
    return shown or [_("no entries")]


def _moment_lines(moment: Moment) -> list[str]:
    severity = click.style(f"{moment.severity:8}", fg=COLOURS.get(moment.severity))
    component = f"  [{moment.component}]" if moment.component else ""
    video = _("video {name}").format(name=moment.video)
    video += f", SHA-256 {moment.video_sha256}" if moment.video_sha256 else ""
    below = [*([video] if moment.video else []), *moment.details.splitlines()]
    return [f"{isoformat(moment.time)}  {severity}  {moment.title}{component}", *(f"    {line}" for line in below)]
