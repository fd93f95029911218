"""Who learns that a program of the stack ended: the terminal and the timeline, people when it keeps exiting.

Reports go through the journal as any script's alert does, so that they are not lost while the exporter itself is the
one that ended.
"""

from __future__ import annotations

import contextlib
import shlex

from vv_core.alerter import send_alert
from vv_core.common import texts
from vv_exporter.render.commands import Commands
from vv_exporter.stack.supervision import AGAIN_AND_AGAIN, LONGEST_PAUSE_SECONDS, WINDOW_SECONDS, End

COMPONENT = "vv up"


def report_end(end: End, log: str, commands: Commands) -> None:
    """Report an end; `log` is where the program's output is. The terminal is not told for ever of what cannot run."""
    end = end._replace(name=_capitalize_name(end.name))
    if end.lately >= AGAIN_AND_AGAIN:
        report_again_and_again(end, log, commands)
    elif end.in_a_row == 1:
        say(f"{end.name} {end.how}; it is started again. It said last ({log}):\n{end.output}")
        send_alert("INFO", f"{end.name} ended and is started again", f"{end.name} {end.how}.", COMPONENT)


def report_again_and_again(end: End, log: str, commands: Commands) -> None:
    """The alert is raised at each end, so that its repeats are counted; the terminal is told once in a row."""
    if end.lately == AGAIN_AND_AGAIN:
        say(
            f"{end.name} {end.how}, {end.lately} times within {WINDOW_SECONDS / 60:.0f} min; it is tried again every "
            f"{LONGEST_PAUSE_SECONDS:.0f} s. It said last ({log}):\n{end.output}"
        )
    send_alert(
        "ERROR",
        f"{end.name} keeps exiting",
        f"{end.name} {end.how}, {end.lately} times within {WINDOW_SECONDS / 60:.0f} min. It said last:\n{end.output}",
        COMPONENT,
        suggested_actions=(
            f"Read what it says: `tail -n 50 {shlex.quote(log)}`",
            commands.here("Check the configuration: `vv config check`"),
        ),
        dedupe_key=f"{end.name} ends",
    )


def report_running(name: str) -> None:
    """A program whose ends were told runs again."""
    say(f"{_capitalize_name(name)} runs again.")


def _capitalize_name(name: str) -> str:
    return name[:1].upper() + name[1:]


def say(line: str) -> None:
    """Print a line without what terminals obey, if the terminal is still there."""
    with contextlib.suppress(OSError):
        print(texts.escaped(line), flush=True)
