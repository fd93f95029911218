"""`vv up`."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command("up")
@click.option(
    "--demo",
    type=click.Choice(["faults", "healthy"]),
    is_flag=False,
    flag_value="faults",
    help="Run an example pipeline beside it, which fails in several ways; =healthy: which does not.",
)
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="VV_STATE_DIR",
    default=Path("state"),
    show_default=True,
    help="Where everything that is kept goes (VV_STATE_DIR).",
)
def command(demo: str | None, state_dir: Path) -> None:
    """Run exporter, Prometheus and Alertmanager on this machine, on loopback, until Ctrl-C; the self-monitor, too,
    where a Docker Engine answers and a container was given to it.

    Fetches Prometheus and Alertmanager on a Debian machine that has none that are new enough; installs nothing
    into the system.
    """
    from vv_exporter.settings import load
    from vv_exporter.stack.demo import run_demo
    from vv_exporter.stack.up import StackError, run

    environment = dict(os.environ) | {"VV_STATE_DIR": str(state_dir.absolute()), "VV_DEPLOYMENT": "up"}
    try:
        if demo:
            run_demo(environment, demo)
        else:
            run(load(environment), environment)
    except StackError as error:
        raise click.ClickException(str(error)) from error
