"""`vv exporter`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("exporter")
@click.option(
    "--web.listen-address",
    "listen_address",
    metavar="HOST:PORT",
    help="Where to serve; default: 127.0.0.1 and VV_EXPORTER_PORT (19461).",
)
@click.option(
    "--web.config.file",
    "web_config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="TLS and users, in the format of Prometheus' exporter-toolkit; default: VV_WEB_CONFIG_FILE.",
)
def command(listen_address: str | None, web_config_file: Path | None) -> None:
    """Run the exporter until SIGTERM or Ctrl-C.

    It reads what scripts reported, watches disks, containers and the host, serves /metrics, and passes alerts of
    scripts on to Alertmanager. Everything is configured by the environment or vv.yml: see `vv config check`.
    """
    from vv_exporter.exporter import run
    from vv_exporter.settings import load

    settings = load()
    run(settings, listen_address, web_config_file or settings.web_config_file)
