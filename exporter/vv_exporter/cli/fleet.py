"""`vv fleet`."""

from __future__ import annotations

from pathlib import Path

import click

from vv_exporter.cli._output import say

_INVENTORY = click.option(
    "--inventory",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Which devices there should be (docs/fleet.md).",
)


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
    say(f"{out}: {len(devices)} devices; a device's token is {out / 'tokens'}/NAME")


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
