"""What scripts report by ``vv alert``, ``vv heartbeat`` and ``vv cron``. Nothing here imports more than they need: on
a device they run by the thousand.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys

from vv_core.common import environment, journals
from vv_core.common.texts import UNSAFE, many

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vv_exporter.reporting import cron

OVERLAPS = ("allow", "skip", "wait")
"""What a run of a job does while another one is in progress."""

_MAX_STDIN = 64 << 10
_BLANKS = dict.fromkeys({*UNSAFE} - {0x0A}, " ")


class NotRecordedError(Exception):
    """The journal did not take what was reported."""


def printable(text: str) -> str:
    """Without the characters that terminals obey or do not show; lines stay lines."""
    return text if text.isprintable() else text.translate(_BLANKS)


def report_heartbeat(job: str) -> None:
    """Record that the job succeeded just now. Raises `NotRecordedError`."""
    from vv_core.jobs import heartbeat

    heartbeat(job, component="vv heartbeat")
    if not journals.complete():
        raise NotRecordedError("the heartbeat could not be recorded")
    warn_without_reader(chosen=False)


def report_alert(
    level: str,
    title: str,
    details: str = "",
    component: str | None = None,
    context: Mapping[str, str] | None = None,
    suggest: Sequence[str] = (),
    dedupe_key: str | None = None,
) -> None:
    """Raise an alert and print its id; details of ``-`` are read from standard input. Raises `NotRecordedError`."""
    from vv_core.alerter import send_alert

    alert_id = send_alert(
        level,
        title,
        sys.stdin.read(_MAX_STDIN) if details == "-" else details,
        component or "vv alert",
        context=context,
        suggested_actions=suggest,
        dedupe_key=dedupe_key,
    )
    if not journals.complete():
        raise NotRecordedError("the alert could not be recorded")
    print(alert_id, flush=True)
    warn_without_reader()


def run_job(name: str, overlap: str, timeout: float | None, cmd: tuple[str, ...]) -> int:
    """Run a command as the job `name`, show its output if it failed, and return the exit code. `timeout` in seconds."""
    import time

    from vv_core.jobs import job, skipped
    from vv_exporter.reporting import cron

    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        try:
            lock = None if overlap == "allow" else stack.enter_context(_take_turn(name, wait=overlap == "wait"))
        except cron.BusyError:
            skipped(name, "another run is in progress", component="vv cron")
            return 0
        signals = stack.enter_context(cron.Signals())
        output = stack.enter_context(cron.Output())
        with job(name, component="vv cron") as run:
            ended = cron.execute(cmd, signals, timeout, output=output, keep=lock)
            run.exit_code, run.output = ended.code, ended.output.data
            if ended.problem:
                run.fail(ended.problem)
    if ended.problem:
        with contextlib.suppress(OSError):  # nobody reads it any more; the exit code still counts
            _show_output(f"job {name!r} failed after {time.monotonic() - begun:.1f} s: {ended.problem}", ended.output)
    with contextlib.suppress(OSError):
        warn_without_reader(chosen=False)
    return ended.code


@contextlib.contextmanager
def _take_turn(name: str, *, wait: bool) -> Iterator[int | None]:
    """The job's lock. Where there can be none the job runs all the same: that matters more than an overlap."""
    from vv_exporter.reporting import cron

    with contextlib.ExitStack() as stack:
        folder = os.path.join(environment.state_dir(), "jobs")  # noqa: PTH118 - pathlib costs 4 ms
        lock = None
        try:
            lock = stack.enter_context(cron.turn(folder, name, wait=wait))
        except OSError as error:
            _print_warning(f"vv cron: runs of job {name!r} may overlap: {folder}: {error.strerror}")
        yield lock


def _show_output(problem: str, output: cron.Tail) -> None:
    _print_warning(f"vv cron: {problem}")
    if output.cut:
        print(f"[{many(output.cut, 'byte')} at the beginning of its output: left out]", flush=True)
    if output.data:
        sys.stdout.flush()
        sys.stdout.buffer.write(output.data if output.data.endswith(b"\n") else output.data + b"\n")
        sys.stdout.buffer.flush()


def warn_without_reader(*, chosen: bool = True) -> None:
    """Say so on standard error where no exporter reads the journal; unless `chosen`, only of a folder by default.

    The exporter holds a lock on the folder (`vv_exporter.journal.files.reading`). Where that cannot be found out
    nothing is said.
    """
    if not chosen and os.environ.get("VV_STATE_DIR"):
        return
    folder = environment.journal_dir()
    if _is_unread(folder):
        cure = "start it (vv exporter), or name its folder by VV_STATE_DIR"
        _print_warning(f"vv: warning: no exporter reads {folder} now; {cure}")


def _is_unread(folder: str) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _print_warning(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
