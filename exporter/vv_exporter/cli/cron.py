"""``vv cron``: run a job by schedule; silent on success, and everything about it is recorded."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import click

from vv_core.jobs import job

_CANNOT_START = 127
_SHOWN = 256 << 10
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# How long to wait for output of what the command left behind in the background.
_LINGER = 0.5


@click.command("cron", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--job", "name", required=True, help="The job's name, as the configuration knows it.")
@click.argument("cmd", nargs=-1, required=True, type=click.UNPROCESSED)
def command(name: str, cmd: tuple[str, ...]) -> None:
    """Run CMD as the job NAME: nothing is printed when it succeeds, its output when it fails.

    The exit code is CMD's; 128 + N when signal N killed it, 127 when it could not be started.
    """
    begun = time.monotonic()
    with job(name, component="vv cron") as run:
        code, problem, output = _execute(cmd)
        run.exit_code, run.output = code, output.data
        if problem:
            run.fail(problem)
    if problem:
        click.echo(f"vv cron: job {name!r} failed after {time.monotonic() - begun:.1f} s: {problem}", err=True)
        output.show()
    sys.exit(code)


class _Tail:
    """The end of a stream."""

    def __init__(self) -> None:
        self.data = b""
        self._cut = 0

    def read(self, stream: int) -> None:
        """Read on to the end, keeping no more than what is shown."""
        while chunk := os.read(stream, 64 << 10):
            whole = self.data + chunk
            self._cut += max(0, len(whole) - _SHOWN)
            self.data = whole[-_SHOWN:]

    def show(self) -> None:
        """Print it."""
        if self._cut:
            click.echo(f"[the first {self._cut} bytes of its output are left out]")
        click.echo(self.data, nl=bool(self.data) and not self.data.endswith(b"\n"))


def _execute(cmd: tuple[str, ...]) -> tuple[int, str, _Tail]:
    """Run the command; its exit code, what went wrong ("" if nothing did), and what it printed."""
    output = _Tail()
    forward = _forward_signals()
    source, sink = os.pipe()
    try:
        process = subprocess.Popen(cmd, stdout=sink, stderr=sink, start_new_session=True)
    except OSError as error:
        return _CANNOT_START, f"cannot start {cmd[0]!r}: {error.strerror}", output
    finally:
        os.close(sink)
    forward(process)
    reader = threading.Thread(target=output.read, args=(source,), daemon=True)
    reader.start()
    status = process.wait()
    reader.join(_LINGER)
    if status < 0:
        return 128 - status, f"killed by signal {-status} ({_signal_name(-status)})", output
    return status, f"exit code {status}" if status else "", output


def _forward_signals() -> Callable[[subprocess.Popen[bytes]], None]:
    """Pass on to the command, and its children, what would end this process; early ones as soon as it runs."""
    group: list[int] = []
    early: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if not group:
            early.append(number)
            return
        try:
            os.killpg(group[0], number)
        except ProcessLookupError:
            return

    def begin(process: subprocess.Popen[bytes]) -> None:
        group.append(process.pid)
        for number in early:
            handle(number, None)

    for number in _FORWARDED:
        signal.signal(number, handle)
    return begin


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
