"""`vv footage`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import BinaryIO, TypeVar
from zoneinfo import ZoneInfo

import click
import msgspec

from vv_core.signing import SigningError, signer_of
from vv_exporter.cli._client import AskError, ask
from vv_exporter.common.clock import isoformat, utc
from vv_exporter.footage.corrupt import PROBLEMS
from vv_exporter.footage.document import CameraFootage, Footage
from vv_exporter.footage.statement import CameraStatement, Statement
from vv_exporter.footage.words import length, words
from vv_exporter.language import decimal
from vv_exporter.language import gettext as _
from vv_exporter.reporting.reports import printable

T = TypeVar("T")
MAX_STATEMENT = 20_000_000


URL = "The exporter's address; default: 127.0.0.1 and VV_EXPORTER_PORT."


@click.group("footage", invoke_without_command=True)
@click.option("--day", default="", help="A day (UTC): 2026-01-31, today, yesterday; default: the last 24 hours.")
@click.option("--json", "as_json", is_flag=True, help="Print the document that GET /api/v1/footage gives.")
@click.option("--url", help=URL)
@click.pass_context
def command(context: click.Context, day: str, as_json: bool, url: str | None) -> None:
    """Show what there is of each camera's footage, and what is missing and why.

    The exit code is 1 when the exporter does not answer, 2 when it does not understand what is asked for.
    """
    if context.invoked_subcommand is not None:
        return
    document, text = _answer(url, "/api/v1/footage", day, Footage)
    if as_json:
        click.echo(text)
        return
    for line in lines(document):
        click.echo(line)


@command.command("statement")
@click.option("--day", default="", help="A day: 2026-01-31, today, yesterday; default: yesterday. In DIGEST_TIMEZONE.")
@click.option("--json", "as_json", is_flag=True, help="Print the signed document, to be kept.")
@click.option("--url", help=URL)
def statement(day: str, as_json: bool, url: str | None) -> None:
    """Print the statement of a day: for each camera what is there, what is missing and why, how much is signed.

    The exit code is 1 when the exporter does not answer, 2 when it does not understand what is asked for.
    """
    document, text = _answer(url, "/api/v1/footage/statement", day, Statement)
    if as_json:
        click.echo(text)
        return
    signature = json.loads(text).get("signature")
    for line in statement_lines(document, signature if isinstance(signature, dict) else None):
        click.echo(line)


@command.command("verify")
@click.argument("file", type=click.File("rb"))
def verify(file: BinaryIO) -> None:
    """Say whether a statement is as the device signed it. Keys are those of VV_HMAC_KEY_FILE and VV_HMAC_KEYS_DIR.

    The exit code is 1 when it is not, or that cannot be known, 2 when it is no statement.
    """
    try:
        found = json.loads(file.read(MAX_STATEMENT))
        document = msgspec.convert(found, Statement)
    except (ValueError, RecursionError, msgspec.ValidationError):
        click.echo("vv: " + _("this is no statement of footage"), err=True)
        sys.exit(2)
    try:
        key_id = signer_of(found)
    except SigningError as error:
        click.echo(click.style(_("NOT PROVEN: {why}").format(why=printable(str(error))), fg="red"))
        sys.exit(1)
    click.echo(
        _("good: {device} signed this statement of {day} with the key {key_id}").format(
            device=printable(document.device), day=printable(document.day), key_id=printable(str(key_id))
        )
    )


def _answer(url: str | None, path: str, day: str, type_: type[T]) -> tuple[T, str]:
    """What the exporter answers; ends the command where there is no answer."""
    try:
        return ask(url, path, {"day": day}, type_)
    except AskError as error:
        click.echo(f"vv: {error}", err=True)
        sys.exit(2 if error.__cause__ is None else 1)


def statement_lines(document: Statement, signature: Mapping[str, object] | None) -> list[str]:
    """A statement as it is printed; times are those of its time zone."""
    zone = ZoneInfo(document.timezone)

    def shown(moment: float) -> str:
        return utc(moment).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %z")

    found = [
        _("Footage of {device} on {day} ({timezone})").format(
            device=document.device, day=document.day, timezone=document.timezone
        ),
        _("from {since} to {until}, as of {time}").format(
            since=shown(document.since), until=shown(document.until), time=shown(document.time)
        ),
    ]
    for camera in document.cameras:
        found += ["", *_stated(camera, shown)]
    if not document.cameras:
        found += ["", _("no footage is known")]
    if not document.heads_known:
        found += ["", _("the heads of chains could not be read")]
    for head in document.chains:
        said = _("chain {chain}: line {number}, {time}, key {key_id}, MAC {mac}")
        found += [
            "",
            said.format(chain=head.chain, number=head.number, time=shown(head.time), key_id=head.key_id, mac=head.mac),
        ]
    signed = signature or {}
    found += ["", _("signed with the key {key_id}; to be proven: {command}").format(
        key_id=signed.get("key_id", "?"), command="`vv footage statement --json > FILE; vv footage verify FILE`"
    ) if signature else _("not signed: the exporter has no key (VV_HMAC_KEY_FILE)")]  # fmt: skip
    return found


def _stated(camera: CameraStatement, shown: Callable[[float], str]) -> list[str]:
    if camera.there_ratio is None:
        there = _("nothing was expected")
    else:
        there = _("{share} of {expected} expected are there, {missing} are missing").format(
            share=_share(camera.there_ratio),
            expected=length(camera.expected_seconds),
            missing=length(camera.missing_seconds),
        )
    found = [f"{camera.dvr}: {there}"]
    if camera.signed_ratio is not None:
        found.append("    " + _("{share} of what was recorded is signed").format(share=_share(camera.signed_ratio)))
    if not camera.final:
        found.append("    " + _("not final: footage of this day may still come"))
    found += [
        f"    {shown(one.start)} – {shown(one.end)}  {length(one.end - one.start):>12}  {words(one.cause, one.detail)}"
        for one in camera.missing
    ]
    if camera.left_out:
        found.append("    … " + _("shorter ones that are left out: {count}").format(count=camera.left_out))
    if camera.closed_seconds:
        found.append(
            "    … " + _("{length} in short holes are not known singly").format(length=length(camera.closed_seconds))
        )
    for file in camera.corrupt:
        problem = _(PROBLEMS.get(file.problem, file.problem))
        said = _("{file} cannot be played: {problem}").format(file=file.file, problem=problem)
        found.append(f"    {shown(file.start)} – {shown(file.end)}  {said}")
    return found


def _share(ratio: float) -> str:
    """A share, never rounded up to all."""
    return decimal(f"{int(ratio * 10_000 + 1e-6) / 100:g} %")


def lines(document: Footage) -> list[str]:
    """The document as people read it."""
    shown = [_("{start} to {end}").format(start=isoformat(document.since), end=isoformat(document.until))]
    for camera in document.cameras:
        shown += _camera_lines(camera)
    return shown if document.cameras else [_("no footage is known")]


def _camera_lines(camera: CameraFootage) -> list[str]:
    steps = ", ".join(f"{length(seconds)} {_(step)}" for step, seconds in camera.seconds.items())
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
