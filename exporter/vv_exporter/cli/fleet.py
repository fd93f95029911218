"""`vv fleet`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vv_exporter.cli._output import say
from vv_exporter.language import gettext as _

if TYPE_CHECKING:
    from vv_exporter.settings import Settings

_INVENTORY = click.option(
    "--inventory",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Which devices there should be (docs/fleet.md).",
)
_EXAMPLE = "2026-12-01T06:00:00Z"


@click.group("fleet")
def command() -> None:
    """Many devices: the centre that watches them, and what this device sends there."""


@command.command()
@_INVENTORY
@click.option(
    "--out", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to."
)
@click.option(
    "--store",
    default="http://victoria-metrics:8428",
    show_default=True,
    metavar="URL",
    help="The store's address, as vmauth reaches it.",
)
def render(inventory: Path, out: Path, store: str) -> None:
    """Write what the centre's servers run with: access, rules, routes, and a token for each device (mode 0600)."""
    from vv_exporter.fleet import centre
    from vv_exporter.fleet.inventory import read
    from vv_exporter.settings import load

    devices = read(inventory)
    try:
        centre.render(devices, load(), out, store)
    except OSError as error:
        raise click.BadParameter(str(error), param_hint="--out") from error
    done = _("{folder}: devices in the inventory: {count}; a device's token is {token}")
    say(done.format(folder=out, count=len(devices), token=f"{out / 'tokens'}/NAME"))


@command.command()
@_INVENTORY
@click.option("--port", default=8427, show_default=True, help="That of vmauth; the others have the six after it.")
def up(inventory: Path, port: int) -> None:
    """Run the centre on this machine's loopback interface, until Ctrl-C."""
    from vv_exporter.fleet.inventory import read
    from vv_exporter.fleet.servers import Ports
    from vv_exporter.fleet.up import run
    from vv_exporter.settings import load
    from vv_exporter.stack.up import StackError

    settings = load()
    try:
        run(read(inventory), settings, settings.state_dir / "fleet", Ports.following(port))
    except (OSError, StackError) as error:
        raise click.ClickException(str(error)) from error


@command.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(as_json: bool) -> None:
    """Show what this device sends to the centre: sent, waiting, lost, refused, and when it was last taken.

    And which version of the fleet's configuration it has, and why a newer one was refused, where it pulls one.

    Exit codes: 0 it is taken, 1 it is not, or the agent does not answer, 2 no centre is configured.
    """
    import json

    from vv_exporter.settings import load

    settings = load(secrets=False)
    if not settings.fleet_url and not settings.fleet_config_url:
        raise click.UsageError(_("VV_FLEET_URL is not set: this device sends to no centre"))
    about, well = {"device": settings.device_id}, True
    for is_used, fields in ((settings.fleet_url, _sending_fields), (settings.fleet_config_url, _config_fields)):
        if is_used:
            more, is_well = fields(settings)
            about, well = {**about, **more}, well and is_well
    if as_json:
        click.echo(json.dumps(about))
    else:
        width = max(map(len, about))
        for name, value in about.items():
            say(f"{name.replace('_', ' '):<{width}}  {value}")
    if not well:
        raise SystemExit(1)


def _sending_fields(settings: Settings) -> tuple[dict[str, str], bool]:
    import time

    from vv_exporter.fleet import agent_client, sending
    from vv_exporter.fleet.report import report
    from vv_exporter.render.agent import machine

    now = time.time()
    try:
        found = agent_client.sending(settings)
    except agent_client.AgentError as error:
        raise click.ClickException(_("{error}. Nothing is known of what is sent").format(error=error)) from error
    taken = agent_client.last_taken(settings)
    shown = report(found, taken, sending.until(settings, now), now)
    return {"machine": machine(), "centre": settings.fleet_url, **shown.fields}, shown.well


def _config_fields(settings: Settings) -> tuple[dict[str, str], bool]:
    """As the exporter that runs has it."""
    from vv_exporter.cli._client import AskError, ask
    from vv_exporter.fleet.report import config_report
    from vv_exporter.status import Status

    try:
        shown = config_report(ask(None, "/api/v1/status", {}, Status)[0].fleet)
    except AskError as error:
        return {"configuration": str(error)}, False
    return {"configuration_from": settings.fleet_config_url, **shown.fields}, shown.well


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def keygen(file: Path) -> None:
    """Make the key that signs the fleet's configuration, in FILE, and print the public one that devices get."""
    from vv_exporter.fleet import ed25519

    try:
        ed25519.make_private_key(file)
        say(f"VV_FLEET_CONFIG_KEY={ed25519.public_key(file)}")
    except (OSError, ed25519.OpensslError) as error:
        raise click.ClickException(str(error)) from error


@command.command()
@click.argument("config", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--key",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The key that `vv fleet keygen` made.",
)
@click.option("--version", required=True, metavar="N", type=click.IntRange(1), help="Larger than any before it.")
@click.option(
    "--devices",
    multiple=True,
    metavar="SELECTOR",
    help="site=SITE, device=NAME or a device's name; may be repeated; default: all.",
)
@click.option("--from", "valid_from", metavar="TIME", help="Not before this time (RFC 3339); default: now.")
@click.option(
    "--above",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The signed file that is served now: devices that --devices does not select stay with what is in it.",
)
@click.option(
    "--out", required=True, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="The file to serve."
)
def sign(
    config: Path,
    key: Path,
    version: int,
    devices: tuple[str, ...],
    valid_from: str | None,
    above: Path | None,
    out: Path,
) -> None:
    """Make the signed file that devices pull of CONFIG, a vv.yml without secrets and what is a device's own."""
    from vv_exporter.fleet.config_document import DocumentError, Release
    from vv_exporter.fleet.config_signing import read_config, sign_release
    from vv_exporter.fleet.ed25519 import OpensslError
    from vv_exporter.settings import SettingsError

    try:
        release = Release(version, read_config(config), _time_of(valid_from), devices)
        sign_release(release, key, above, out)
    except SettingsError as error:
        for problem in error.problems:
            say(f"vv: {config}: {problem}", err=True)
        raise SystemExit(2) from error
    except (OSError, OpensslError, DocumentError) as error:
        raise click.ClickException(str(error)) from error
    say(
        _("{file}: version {version}, for {devices}").format(
            file=out, version=version, devices=", ".join(devices) or _("all devices")
        )
    )


def _time_of(text: str | None) -> float:
    """Unix seconds; 0 where nothing is said."""
    from vv_exporter.common.clock import moment

    time = moment(text) if text else 0.0
    if time is None:
        raise click.BadParameter(
            _("{text} is no time; e.g. {example}").format(text=repr(text), example=_EXAMPLE), param_hint="--from"
        )
    return time


@command.command("send-all")
@click.option("--for", "duration", metavar="TIME", help="How long, e.g. 30m, 1h; a day at most.")
@click.option("--stop", is_flag=True, help="End it now.")
def send_all(duration: str | None, stop: bool) -> None:
    """Send everything to the centre for a time, as often as it is scraped, rather than what is kept once a minute.

    It begins within half a minute, ends by itself, and stays within VV_FLEET_BYTES_PER_DAY: what is above that waits.
    """
    import time

    from vv_core.common.units import parse_duration
    from vv_exporter.common.clock import isoformat
    from vv_exporter.fleet import sending
    from vv_exporter.settings import load

    settings, now = load(secrets=False), time.time()
    if not settings.fleet_url:
        raise click.UsageError(_("VV_FLEET_URL is not set: this device sends to no centre"))
    if stop == bool(duration):
        raise click.UsageError(_("say how long with --for, or --stop"))
    try:
        seconds = parse_duration(duration) if duration else 0.0
        if duration and not 0 < seconds <= sending.MAX_SECONDS:
            limits = _("{option}: {text} must be longer than 0 and not longer than a day")
            raise ValueError(limits.format(option="--for", text=repr(duration)))
        sending.request(settings, seconds, now)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(str(error)) from error
    if seconds:
        say(_("everything is sent until {time}").format(time=isoformat(now + seconds)))
    else:
        say(_("what is kept is sent, as ever"))


@command.command("agent")
@click.option(
    "--data",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of its queue and of what it reads.",
)
def agent(data: Path) -> None:
    """Run the agent that sends to the centre (vmagent) with what the settings say, as its service does."""
    from vv_exporter.fleet.agent import AgentMissingError, become, prepare
    from vv_exporter.settings import load

    settings = load()
    if not settings.fleet_url:
        raise click.UsageError(_("VV_FLEET_URL is not set: this device sends to no centre"))
    try:
        become(prepare(settings, data))
    except (AgentMissingError, OSError) as error:
        raise click.ClickException(str(error)) from error
