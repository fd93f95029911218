"""`vv footage`."""

from __future__ import annotations

import sys

import click

from vv_exporter.cli._client import AskError, ask
from vv_exporter.common.clock import isoformat
from vv_exporter.footage.document import CameraFootage, Footage, length, words
from vv_exporter.language import gettext as _


@click.command("footage")
@click.option("--day", default="", help="A day (UTC): 2026-01-31, today, yesterday; default: the last 24 hours.")
@click.option("--json", "as_json", is_flag=True, help="Print the document that GET /api/v1/footage gives.")
@click.option("--url", help="The exporter's address; default: 127.0.0.1 and VV_EXPORTER_PORT.")
def command(day: str, as_json: bool, url: str | None) -> None:
    """Show what there is of each camera's footage, and what is missing and why.

    The exit code is 1 when the exporter does not answer, 2 when it does not understand what is asked for.
    """
    try:
        document, text = ask(url, "/api/v1/footage", {"day": day}, Footage)
    except AskError as error:
        click.echo(f"vv: {error}", err=True)
        sys.exit(2 if error.__cause__ is None else 1)
    if as_json:
        click.echo(text)
        return
    for line in lines(document):
        click.echo(line)


def lines(document: Footage) -> list[str]:
    """The document as people read it."""
    shown = [_("{start} to {end}").format(start=isoformat(document.since), end=isoformat(document.until))]
    for camera in document.cameras:
        shown += _camera(camera)
    return shown if document.cameras else [_("no footage is known")]


def _camera(camera: CameraFootage) -> list[str]:
    steps = ", ".join(f"{length(seconds)} {step}" for step, seconds in camera.seconds.items())
    if camera.missing_seconds:
        missing = _("{time} missing").format(time=length(camera.missing_seconds))
        verdict = click.style(missing, fg="red")
    else:
        verdict = _("nothing missing")
    words_ = (
        _("{dvr}: {verdict} of {expected} expected ({steps})")
        if steps
        else _("{dvr}: {verdict} of {expected} expected")
    )
    expected = length(camera.expected_seconds)
    shown = [words_.format(dvr=camera.dvr, verdict=verdict, expected=expected, steps=steps)]
    for one in camera.missing:
        what = words(one.cause, one.detail)
        times = _("{start} to {end}").format(start=isoformat(one.start), end=isoformat(one.end))
        shown.append(f"    {times}  {length(one.end - one.start):>12}  {what}")
    if camera.left_out:
        shown.append("    " + _("… {count} shorter ones are left out").format(count=camera.left_out))
    if camera.closed_seconds:
        closed = _("… {time} in short holes are not known singly").format(time=length(camera.closed_seconds))
        shown.append(f"    {closed}")
    return shown
