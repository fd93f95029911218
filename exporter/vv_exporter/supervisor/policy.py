"""What to do with a container: a function of its history, its state, the limits and the time. No I/O, no clock.

A container has **failed** when it should run (it ran, and neither an operator nor its own success has ended it) and
does not, when its health check says unhealthy, or when a program that must run in it does not.

Before each restart there is a wait, which doubles with each restart in the window. Restarts that are `window` seconds
old or older do not count any more, those by Docker's restart policy do. **The Nth restart inside the window is the
last**: when the container has failed after it, it is given up.

A container that Docker is about to start again is left to Docker; its restarts are counted, and beyond N it is given up
as well. What an operator stopped is left alone, and so is what may have been stopped while nobody looked: its end was
not seen, and it ended as a stop ends a container (0, 143 or 137).
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import NamedTuple

from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.records import GONE, ContainerRecord
from vv_exporter.settings import Settings, back_off
from vv_exporter.supervisor.state import Supervised

_ENDING = 60.0  # seconds that a container which was sent a signal may take to end
_AS_STOPPED = frozenset({0, 128 + signal.SIGTERM, 128 + signal.SIGKILL})


class Limits(NamedTuple):
    """When to restart, and when to give up. Times are in seconds."""

    max_restarts: int = 5
    window: float = 3600.0
    first_wait: float = 5.0
    longest_wait: float = 300.0

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """As they are configured."""
        return cls(
            settings.max_restarts, settings.restart_window, settings.restart_backoff, settings.restart_backoff_max
        )

    def wait(self, made: int) -> float:
        """How long to wait before the next restart when `made` lie in the window."""
        return back_off(made, self.first_wait, self.longest_wait)


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart it now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing before this time (Unix seconds)."""

    until: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not restart it any more."""


@dataclass(frozen=True, slots=True)
class Leave:
    """There is nothing to do."""


Decision = Restart | Wait | GiveUp | Leave


class Condition(NamedTuple):
    """What is wrong with a container, "" if nothing is; `by_docker`: Docker is about to start it again."""

    fault: str = ""
    by_docker: bool = False


def condition(record: ContainerRecord, now: float, *, must_run: bool, owed: bool, missing: str) -> Condition:
    """What is wrong. `owed`: the self-monitor stopped it; `missing`: a program that should run in it and does not."""
    if record.state in (GONE, "paused", "created"):
        return Condition()
    if record.state == "running":
        being_ended = record.killed > 0 and 0 <= now - record.killed / SECOND < _ENDING
        if being_ended or not (record.wanted or must_run):
            return Condition()
        if record.health == "unhealthy":
            return Condition(f"it is unhealthy ({record.streak} failed health checks in a row)")
        return Condition(f"the program {missing} does not run in it" if missing else "")
    if owed:
        return Condition("it was stopped and could not be started again")
    if record.stopped or not (record.wanted or must_run):
        return Condition()
    if record.state == "restarting":
        return Condition(_ended_text(record), by_docker=True)
    unseen = record.ahead and not record.oom_counted and record.exit_code in _AS_STOPPED
    return Condition() if unseen else Condition(_ended_text(record))


def _ended_text(record: ContainerRecord) -> str:
    if record.oom_counted:
        return "it was OOM-killed"
    return f"it ended with exit code {record.exit_code}"


def recent(history: Supervised, limits: Limits, now: float) -> tuple[float, ...]:
    """The restarts that count."""
    return tuple(time for time in history.restarts if 0 <= now - time < limits.window)


def decide(
    history: Supervised, now_is: Condition, limits: Limits, now: float, *, restarted_by_docker: bool = False
) -> Decision:
    """What to do now. `history.failing_since` is when the fault was first seen.

    `restarted_by_docker`: its policy has just restarted it, so that it has failed, whatever it seems to be now.
    """
    made = len(recent(history, limits, now))
    if history.gave_up or history.attempt is not None:
        return Leave()
    if restarted_by_docker and made > limits.max_restarts:
        return GiveUp()
    if not now_is.fault:
        return Leave()
    exhausted = made >= limits.max_restarts
    if now_is.by_docker and not exhausted:
        return Leave()
    # What an operator does looks like a failure for a moment: nothing is decided before the first wait.
    due = min(history.failing_since, now) + limits.wait(0 if exhausted else made)
    if now < due:
        return Wait(due)
    return GiveUp() if exhausted else Restart()
