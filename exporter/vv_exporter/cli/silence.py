"""`vv silence`."""

from __future__ import annotations

import getpass
import json
import time
from typing import TYPE_CHECKING

import click

from vv_exporter.cli._output import say
from vv_exporter.language import gettext as _

if TYPE_CHECKING:
    from vv_exporter.alertmanager.silences.client import Silence, Silences
    from vv_exporter.settings import Settings


MAX_SECONDS = 366 * 86400.0


@click.group("silence")
def command() -> None:
    """Silences: for a while nobody is told of the alerts that they match.

    They are Alertmanager's own, wherever they were made: here, on the exporter's page /silence, with amtool. What is
    silenced stays on the status page and in the timeline.
    """


@command.command()
@click.argument("matchers", nargs=-1, required=True, metavar="MATCHER...")
@click.option("--for", "duration", required=True, metavar="TIME", help="How long, e.g. 90m, 4h, 2d.")
@click.option("--reason", required=True, metavar="TEXT", help="Why: whoever is on duty next will want to know.")
@click.option("--by", "author", metavar="NAME", help="Who; default: the user who types.")
def add(matchers: tuple[str, ...], duration: str, reason: str, author: str | None) -> None:
    """Silence the alerts that have all these labels.

    A MATCHER is label=value, label!=value, label=~expression or label!~expression; a mere word is an alert's name.
    Labels of every alert are alertname, severity, component and device; most have one of their own: name (container),
    stage, job, dvr, role, path, title (of an alert that a script raised).

    \b
    Examples:
      vv silence add DiskSpaceLow --for 4h --reason "new disk comes at noon"
      vv silence add ContainerDown name=agent_dvr --for 1h --reason "camera is being moved"
      vv silence add "name=~test_.*" severity!=critical --for 2d --reason "load test"

    It prints the silence's id and what it silences now. Exit codes: 0 it is made, 1 it is not, 2 wrong use.
    """
    from vv_core.common.units import parse_duration
    from vv_exporter.alertmanager.silences.preview import preview
    from vv_exporter.common.clock import isoformat
    from vv_exporter.common.matchers import parse_matcher

    settings, now = _load_settings(), time.time()
    silences = _silences_client(settings)
    try:
        wanted, seconds = [parse_matcher(one) for one in matchers], parse_duration(duration)
        if not 0 < seconds <= MAX_SECONDS:
            raise ValueError(_("{text} must be longer than 0 and not longer than a year").format(text=repr(duration)))
        if not reason.strip():
            raise ValueError(_("--reason: say why"))
        with _explained():
            fits = preview(silences, wanted, settings.device_id)
            id_ = silences.add(wanted, now, now + seconds, author or _user_name(), reason.strip())
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    say(_("{id}  until {time}").format(id=id_, time=isoformat(now + seconds)))
    for title in fits:
        say("  " + _("silenced now: {title}").format(title=title))
    if not fits:
        say("  " + _("no alert that fires now has these labels: vv status shows what fires"))


@command.command("list")
@click.option("--ended", is_flag=True, help="Those that ended in the last days, too.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(ended: bool, as_json: bool) -> None:
    """Show what is silenced: id, until when, by whom, why."""
    import msgspec

    with _explained():
        found = [one for one in _silences_client(_load_settings()).list() if ended or one.holds]
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(one) | {"matchers": list(map(str, one.matchers))} for one in found]))
        return
    for one in found:
        say(_silence_line(one))
    if not found:
        say(_("nothing is silenced"))


@command.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def end(ids: tuple[str, ...]) -> None:
    """End silences now; `vv silence list` shows their ids."""
    silences = _silences_client(_load_settings())
    for id_ in ids:
        with _explained():
            silences.end(id_)
        say(_("{id}  ended").format(id=id_))


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        return "vv silence"


def _silence_line(one: Silence) -> str:
    from vv_exporter.common.clock import isoformat

    held, ended = (
        _("{id}  until {time}  {what}  by {author}: {reason}"),
        _("{id}  ended {time}  {what}  by {author}: {reason}"),
    )
    return (held if one.holds else ended).format(
        id=one.id, time=isoformat(one.ends), what=one.what, author=one.author or "?", reason=one.reason
    )


def _load_settings() -> Settings:
    from vv_exporter.settings import load

    return load(secrets=False)


def _silences_client(settings: Settings) -> Silences:
    from vv_exporter.alertmanager.silences.client import Silences

    return Silences(settings.alertmanager)


class _explained:  # noqa: N801 - it is used like a function
    """Says in one line what Alertmanager did not do."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from vv_exporter.alertmanager.silences.client import SilenceError

        if isinstance(error, SilenceError):
            raise click.ClickException(str(error)) from error
