"""`vv docker-proxy`."""

from __future__ import annotations

from pathlib import Path

import click

from vv_exporter.language import gettext as _

_SOCKET = click.Path(dir_okay=False, path_type=Path)


@click.command("docker-proxy")
@click.option("--read", metavar="SOCKET", type=_SOCKET, help="A socket to look: lists, states, events. No secrets.")
@click.option(
    "--act", metavar="SOCKET", type=_SOCKET, help="A socket to look, and to restart what the self-monitor was given."
)
def command(read: Path | None, act: Path | None) -> None:
    """Stand between the Docker Engine and who needs a little of it, until SIGTERM or Ctrl-C.

    Whoever may speak to the Engine (DOCKER_HOST, by default /var/run/docker.sock) is root on the machine. The sockets
    that this command makes let through what the exporter and the self-monitor need, and nothing else. Who may connect
    is what their folders and VV_DOCKER_READ_USERS and VV_DOCKER_ACT_USERS say.
    """
    if read is None and act is None:
        raise click.UsageError(_("name a socket: --read SOCKET, --act SOCKET, or both"))
    from vv_exporter.docker_proxy.run import run
    from vv_exporter.settings import load

    run(load(secrets=False), read, act)
