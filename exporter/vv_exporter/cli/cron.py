"""``vv cron``: run a job by schedule; silent on success, and everything about it is recorded."""

import sys

import click

from vv_core.common.units import parse_duration
from vv_exporter.language import gettext as _
from vv_exporter.reporting import cron
from vv_exporter.reporting.reports import OVERLAPS, run_job


def _duration_option(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    try:
        seconds = None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if seconds == 0:
        raise click.BadParameter(_("must be longer than 0"))
    return seconds


@click.command("cron", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--job", "name", required=True, help="The job's name, as the configuration knows it.")
@click.option(
    "--overlap",
    type=click.Choice(OVERLAPS),
    default=OVERLAPS[0],
    show_default=True,
    help="While another run of the job, begun with skip or wait too, is in progress: run beside it, do not run, or "
    "wait for its end. At most one run waits, further ones are skipped.",
)
@click.option(
    "--timeout",
    callback=_duration_option,
    metavar="DURATION",
    help=f"End CMD and its children after this time (90, 15m, 2h): SIGTERM, and SIGKILL {cron.PATIENCE:g} s later. "
    f"The exit code is then {cron.TIMED_OUT}.",
)
@click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED)
def command(name: str, overlap: str, timeout: float | None, cmd: tuple[str, ...]) -> None:
    """Run CMD as the job NAME: nothing is printed when it succeeds; when it fails, its output (the last 256 KiB).

    The exit code is CMD's; 128 + N when signal N killed it, 127 when it was not found, 126 when it could not be
    executed, 0 when it was skipped. Signals are passed on: SIGTERM, SIGINT, SIGHUP and SIGQUIT to CMD and its
    children, others to CMD. All else is for CMD as without vv cron; what it leaves in the background lives on.
    """
    if code := run_job(name, overlap, timeout, cmd):
        sys.exit(code)
