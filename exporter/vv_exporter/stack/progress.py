"""Showing that something is going on, and running commands whose output matters only when they fail."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from vv_core.common import texts
from vv_exporter.language import decimal
from vv_exporter.language import gettext as _

_TICK = 0.2
_LINE_EVERY = 10.0
"""Seconds between two lines about one step where the output is no terminal."""


class CommandError(Exception):
    """A command ended with an error; the message holds the last lines that it printed."""


class Step:
    """One thing that takes a while: a line that is kept up to date on a terminal, a few lines elsewhere."""

    def __init__(self, what: str, out: TextIO) -> None:
        self.result = _("done")
        """What is shown at the end of a block that raises nothing."""
        self._what = what
        self._out = out
        self._began = self._shown = time.monotonic()
        self._terminal = out.isatty()
        self._write_line(f"{what} …")

    def update(self, detail: str = "") -> None:
        """Show `detail` (such as "40 %") and the seconds gone by."""
        now = time.monotonic()
        if now - self._shown < (_TICK if self._terminal else _LINE_EVERY):
            return
        self._shown = now
        self._write_line(f"{self._what} … {detail + ', ' if detail else ''}{now - self._began:.0f} s")

    def end(self, result: str) -> None:
        """Show the last state of this step."""
        self._write_line(f"{self._what}: {result} ({decimal(f'{time.monotonic() - self._began:.1f}')} s)")
        if self._terminal:
            self._out.write("\n")
            self._out.flush()

    def _write_line(self, line: str) -> None:
        self._out.write(f"\r\033[K{line[:100]}" if self._terminal else f"{line}\n")
        self._out.flush()


@contextmanager
def step(what: str, out: TextIO | None = None) -> Iterator[Step]:
    """Show `what` while the block runs, then how it ended and how long it took."""
    shown = Step(what, out or sys.stdout)
    try:
        yield shown
    except BaseException:
        shown.end(_("failed"))
        raise
    shown.end(shown.result)


def run(
    command: Sequence[str],
    shown: Step,
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run `command` with its output in `log`, keeping `shown` alive.

    Raises `CommandError` with the end of the output.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=env
        )
        try:
            _wait_showing(process, shown)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode != 0:
        raise CommandError(
            _("{command} … failed:\n{output}").format(command=" ".join(command[:3]), output=last_lines(log))
        )


def _wait_showing(process: subprocess.Popen[bytes], shown: Step) -> None:
    while True:
        try:
            process.wait(_TICK)
        except subprocess.TimeoutExpired:
            shown.update()
        else:
            return


def last_lines(log: Path, count: int = 15) -> str:
    """The last `count` lines of a text file that a program wrote, indented."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 16_384))
            text = texts.escaped(stream.read().decode(errors="replace"))
    except OSError:
        text = ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-count:] or [_("(no output)")])
