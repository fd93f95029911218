"""`vv up`."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command("up")
@click.option("--demo", is_flag=True, help="Run an example pipeline beside it, which fails in several ways.")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="VV_STATE_DIR",
    default=Path("state"),
    show_default=True,
    help="Where everything that is kept goes (VV_STATE_DIR).",
)
def command(demo: bool, state_dir: Path) -> None:
    """Run exporter, Prometheus and Alertmanager on this machine, on loopback, until Ctrl-C.

    Fetches Prometheus and Alertmanager on a Debian machine that has none that are new enough; installs nothing
    into the system.
    """
    from vv_exporter.settings import load
    from vv_exporter.stack.up import StackError, example_pipeline, run

    environment = dict(os.environ) | {"VV_STATE_DIR": str(state_dir.absolute())}
    try:
        script = example_pipeline(environment) if demo else None
        run(load(environment), environment, script)
    except StackError as error:
        raise click.ClickException(str(error)) from error
