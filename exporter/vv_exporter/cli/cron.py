"""``vv cron``: run a job by schedule; silent on success, and everything about it is recorded."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from vv_core import _environment
from vv_core._units import parse_duration
from vv_core.jobs import job, skipped
from vv_exporter import cron
from vv_exporter.cli._output import say
from vv_exporter.cli._reader import warn_without_reader


def _duration(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    try:
        seconds = None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if seconds == 0:
        raise click.BadParameter("must be longer than 0")
    return seconds


@click.command("cron", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--job", "name", required=True, help="The job's name, as the configuration knows it.")
@click.option(
    "--overlap",
    type=click.Choice(["allow", "skip", "wait"]),
    default="allow",
    show_default=True,
    help="While another run of the job, begun with skip or wait too, is in progress: run beside it, do not run, or "
    "wait for its end. At most one run waits, further ones are skipped.",
)
@click.option(
    "--timeout",
    callback=_duration,
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
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        try:
            lock = None if overlap == "allow" else stack.enter_context(_turn(name, wait=overlap == "wait"))
        except cron.BusyError:
            skipped(name, "another run is in progress", component="vv cron")
            return
        signals = stack.enter_context(cron.Signals())
        output = stack.enter_context(cron.Output())
        with job(name, component="vv cron") as run:
            ended = cron.execute(cmd, signals, timeout, output=output, keep=lock)
            run.exit_code, run.output = ended.code, ended.output.data
            if ended.problem:
                run.fail(ended.problem)
    if ended.problem:
        with contextlib.suppress(OSError):  # nobody reads it any more; the exit code still counts
            _show(f"job {name!r} failed after {time.monotonic() - begun:.1f} s: {ended.problem}", ended.output)
    with contextlib.suppress(OSError):
        warn_without_reader(chosen=False)
    sys.exit(ended.code)


@contextlib.contextmanager
def _turn(name: str, *, wait: bool) -> Iterator[int | None]:
    """The job's lock. Where there can be none the job runs all the same: that matters more than an overlap."""
    with contextlib.ExitStack() as stack:
        folder = Path(_environment.state_dir()) / "jobs"
        lock = None
        try:
            lock = stack.enter_context(cron.turn(str(folder), name, wait=wait))
        except OSError as error:
            click.echo(f"vv cron: runs of job {name!r} may overlap: {folder}: {error.strerror}", err=True)
        yield lock


def _show(problem: str, output: cron.Tail) -> None:
    say(f"vv cron: {problem}", err=True)
    if output.cut:
        click.echo(f"[the first {output.cut} bytes of its output are left out]")
    if output.data:
        click.echo(output.data, nl=not output.data.endswith(b"\n"))
