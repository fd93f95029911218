"""Who learns that a program of the stack ended: the terminal and the timeline, people when it keeps exiting.

Reports go through the journal as any script's alert does, so that they are not lost while the exporter itself is the
one that ended.

    python -m vv_exporter.stack.reports STACK_FOLDER LOG NAME HOW IN_A_ROW LATELY

reports one end with the settings of its environment: what keeps the stack running (`keeper`) loads none of this.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from vv_core.alerter import send_alert
from vv_exporter.render.commands import Commands
from vv_exporter.settings import Settings, SettingsError, load
from vv_exporter.settings.values import without_secrets
from vv_exporter.stack import telegramcrash
from vv_exporter.stack.progress import last_lines
from vv_exporter.stack.servers import ALERTMANAGER
from vv_exporter.stack.supervision import AGAIN_AND_AGAIN, LONGEST_PAUSE_SECONDS, WINDOW_SECONDS, End
from vv_exporter.stack.terminal import COMPONENT, capitalized, say


def report(end: End, log: Path, folder: Path, settings: Settings) -> None:
    """Report an end; `log` is where the program's output is, `folder` that of the stack.

    What comes again and again is not shown on the terminal for ever.
    """
    if end.name == ALERTMANAGER and telegramcrash.avert_next(settings, folder / "config", log):
        return
    output, commands = without_secrets(last_lines(log, 10), settings), Commands(settings)
    end = End(capitalized(end.name), end.how, end.in_a_row, end.lately)
    if end.lately >= AGAIN_AND_AGAIN:
        report_again_and_again(end, output, str(log), commands)
    elif end.in_a_row == 1:
        say(f"{end.name} {end.how}; it is started again. It said last ({log}):\n{output}")
        send_alert("INFO", f"{end.name} ended and is started again", f"{end.name} {end.how}.", COMPONENT)


def report_again_and_again(end: End, output: str, log: str, commands: Commands) -> None:
    """The alert is raised at each end, so that its repeats are counted; the terminal shows it once in a row."""
    if end.lately == AGAIN_AND_AGAIN:
        say(
            f"{end.name} {end.how}, {end.lately} times within {WINDOW_SECONDS / 60:.0f} min; it is tried again every "
            f"{LONGEST_PAUSE_SECONDS:.0f} s. It said last ({log}):\n{output}"
        )
    send_alert(
        "ERROR",
        f"{end.name} keeps exiting",
        f"{end.name} {end.how}, {end.lately} times within {WINDOW_SECONDS / 60:.0f} min. It said last:\n{output}",
        COMPONENT,
        suggested_actions=(
            f"Read what it says: `tail -n 50 {shlex.quote(log)}`",
            commands.here("Check the configuration: `vv config check`"),
        ),
        dedupe_key=f"{end.name} ends",
    )


def main(folder: str, log: str, name: str, how: str, in_a_row: str, lately: str) -> None:
    """Report one end."""
    end = End(name, how, int(in_a_row), int(lately))
    try:
        report(end, Path(log), Path(folder), load(os.environ))
    except SettingsError as error:
        # They were changed since. Which words of the output are secrets nobody knows then, so that it is not shown.
        say(f"{capitalized(name)} {how}; it is started again. What it said last: {log}\n{error}")
        title = f"{capitalized(name)} ended and is started again"
        send_alert("ERROR", title, f"{how}. What it said last: {log}. {error}", COMPONENT, dedupe_key=f"{name} ends")


if __name__ == "__main__":
    main(*sys.argv[1:])
