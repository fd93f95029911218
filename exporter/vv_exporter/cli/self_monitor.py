"""`vv self-monitor`."""

from __future__ import annotations

import click

from vv_exporter.language import gettext as _


@click.command("self-monitor")
@click.option(
    "--retire", is_flag=True, help="Run nothing; tell the exporter that this device has no self-monitor any more."
)
def command(retire: bool) -> None:
    """Restart containers that failed, until SIGTERM or Ctrl-C.

    Only those that are named in vv.yml below self_monitor (by name or compose project), or carry the label
    vv.self-monitor=true. After SELF_MONITOR_MAX_RESTARTS restarts within SELF_MONITOR_WINDOW it gives up on a
    container: see `vv containers`.
    """
    from vv_core.common.journals import LASTING
    from vv_exporter.settings import load
    from vv_exporter.supervisor.publish import COMPONENT
    from vv_exporter.supervisor.run import recording, run

    settings = load(secrets=False)
    if not retire:
        run(settings)
        return
    with recording(settings) as journal:
        journal.emit("supervisor.retired", COMPONENT, {}, LASTING)
        if not journal.flush() or journal.lost:
            raise click.ClickException(_("that could not be recorded"))
