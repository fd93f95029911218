"""What `vv up` is once all runs: it keeps the programs running, in a quarter of the memory that starting them took.

1. `vv up` starts everything, and then becomes this program (`hand_over`): the process and its children stay the same.
2. What is to be known comes in a file in memory (`memfd_create(2)`), for it holds the environment. The same Python
   writes and reads it.
3. It sleeps until a program ends or somebody asks for the end (`stopsignals`).
4. An end is reported by a process of its own (`reports`), which needs all that was left behind here. Until that is
   done the program is not started again: the report may change its configuration (`telegramcrash`).

Imports are few, and on demand: they are what it weighs (`benchmarks/bench_memory.py`).
"""

from __future__ import annotations

import marshal
import os
import sys
import time

from vv_exporter.stack.processes import Child
from vv_exporter.stack.stopsignals import StopSignals
from vv_exporter.stack.supervision import End, Supervised, describe_exit
from vv_exporter.stack.terminal import capitalized, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

LOOK_SECONDS = 0.2
"""Between two looks while something has not run for long."""
REST_SECONDS = 60.0
"""Between two looks while all runs: the end of a program wakes it."""
LONGEST_REPORT_SECONDS = 60.0


def hand_over(
    running: Sequence[Supervised], demo: Child | None, folder: Path, environment: Mapping[str, str], last: Last
) -> None:
    """Become the keeper of these programs, of which `demo` runs once. Comes back only if the system refuses.

    `folder` is the stack's, `environment` has the settings. Signals that ask for the end must be kept back.
    """
    plan = {
        "running": [{**_described(one.child, one.running), "history": one.history} for one in running],
        "demo": None if demo is None else _described(demo, True),
        "folder": str(folder),
        "environment": dict(environment),
        "last": last.__dict__,
    }
    try:
        number = os.memfd_create("vv-up", 0)  # stays open in the next program
        with open(number, "wb", closefd=False) as stream:
            marshal.dump(plan, stream)
        os.lseek(number, 0, os.SEEK_SET)
        # Who looks for "vv up" among the processes is to find it, with what it was asked.
        os.execv(sys.executable, [sys.executable, "-m", "vv_exporter.stack.keeper", str(number), "vv", *sys.argv[1:]])  # noqa: S606
    except OSError:
        return


def _described(child: Child, runs: bool) -> dict[str, Any]:
    return {
        "name": child.name,
        "command": child.command,
        "log": None if child.log is None else str(child.log),
        "env": None if child.env is None else dict(child.env),
        "pid": child.pid if runs else None,
    }


class Last:
    """What is done last: two lines are said, and a folder in memory is removed."""

    def __init__(self, stopping: str, stopped: str, scratch: str | None) -> None:
        self.stopping = stopping
        self.stopped = stopped
        self.scratch = scratch


class Reports:
    """Reports of ends, each by a process of its own, at most one for a program at a time."""

    def __init__(self, folder: str, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._running: dict[str, tuple[Child, float]] = {}

    def begin(self, end: End, log: str | Path | None) -> None:
        """Have an end reported."""
        what = [self._folder, str(log), end.name, end.how, str(end.in_a_row), str(end.lately)]
        child = Child("the report", [sys.executable, "-m", "vv_exporter.stack.reports", *what], None, self._environment)
        try:
            child.start()
        except OSError:
            say(f"{capitalized(end.name)} {end.how}; it is started again. What it said last: {log}")
        else:
            self._running[end.name] = child, time.monotonic()

    def pending(self, name: str) -> bool:
        """Whether the last end of a program is still being reported."""
        if name not in self._running:
            return False
        child, began = self._running[name]
        if child.exit_code() is None and time.monotonic() - began < LONGEST_REPORT_SECONDS:
            return True
        child.kill()
        del self._running[name]
        return False


def keep_running(
    running: Sequence[Supervised], demo: Child | None, wait: Callable[[float], bool], pending: Callable[[str], bool]
) -> None:
    """Until somebody asks for the end, for which `wait` waits so many seconds (`StopSignals`).

    One whose end is `pending` is not started before that is reported.
    """
    troubled = {one.child.name for one in running if not one.running}
    while not wait(REST_SECONDS if all(one.steady for one in running) else LOOK_SECONDS):
        for one in running:
            try:
                if not pending(one.child.name):
                    _look_at(one, troubled)
            except Exception as error:  # such as an upgrade that takes modules away: the others are kept
                print(f"{one.child.name}: {error!r}", file=sys.stderr, flush=True)
        if demo is not None and (code := demo.exit_code()) is not None:
            say(f"{demo.name} {describe_exit(code)}.")
            demo = None


def _look_at(one: Supervised, troubled: set[str]) -> None:
    one.check()
    if not one.running:
        troubled.add(one.child.name)
    elif one.steady and one.child.name in troubled:
        troubled.remove(one.child.name)
        say(f"{capitalized(one.child.name)} runs again.")


def keep_plan_running(plan: Mapping[str, Any]) -> None:
    """Keep the programs of a plan running, and at the end stop them all, the last first."""
    reports, last = Reports(plan["folder"], plan["environment"]), Last(**plan["last"])
    running = [_supervised(one, reports) for one in plan["running"]]
    demo = None if plan["demo"] is None else _child(plan["demo"])
    with StopSignals() as stop:
        keep_running(running, demo, stop.wait, reports.pending)
        say(f"\n{last.stopping}")
        for child in reversed([*(one.child for one in running), *([] if demo is None else [demo])]):
            child.stop()
        if last.scratch is not None:
            import shutil

            shutil.rmtree(last.scratch, ignore_errors=True)
        say(last.stopped)


def _supervised(one: Mapping[str, Any], reports: Reports) -> Supervised:
    child = _child(one)
    return Supervised(child, time.monotonic, lambda end: reports.begin(end, child.log), one["history"])


def _child(one: Mapping[str, Any]) -> Child:
    child = Child(one["name"], one["command"], one["log"], one["env"])
    child.adopt(one["pid"])
    return child


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "rb") as handed:
        handed_over = marshal.load(handed)  # noqa: S302 - from this very process (`hand_over`)
    keep_plan_running(handed_over)
