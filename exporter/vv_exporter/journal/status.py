"""How the reader is doing: what `/metrics` and the page show of it, and a problem that is logged once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vv_exporter.journal.batch import Batch
from vv_exporter.journal.files import Entry

log = logging.getLogger(__name__)

LAG_SHOWN_SECONDS = 60.0  # for which the lag of the latest events is shown when nothing waits
SETTLING_SECONDS = 0.5
"""After which a problem is logged: a file that a writer with another umask has just made is opened to others an instant
later (vv_core.common.shared), and on a slow device the reader comes in between."""


@dataclass(slots=True)
class Status:
    """How the reader is doing: `lag` in seconds, `backlog` in bytes (None before the first look), `problem` why it does
    not get on.

    `counted` and `looked` are when events were counted last, and when it last ended a look (monotonic).
    """

    lag: float = 0.0
    backlog: int | None = None
    problem: str = ""
    counted: float = float("-inf")
    looked: float = float("inf")


class Problems:
    """Why reading does not get on. What is wrong with a file is over when all files were looked at without it."""

    def __init__(self, status: Status, monotonic: Callable[[], float]) -> None:
        self._status = status
        self._monotonic = monotonic
        self._began = float("-inf")
        self._logged = ""
        self._of_files = ""  # since the plan began that looks at all of them
        self._looks_at_all = self._succeeded = False

    def show(self, problem: str) -> None:
        """This is the problem, "" if there is none. Logged once, when it lasts."""
        now = self._monotonic()
        if problem != self._status.problem:
            self._began = now
        if not problem:
            self._logged = ""
        elif problem != self._logged and now - self._began >= SETTLING_SECONDS:
            log.error("the journal cannot be read, will try again: %s", problem)
            self._logged = problem
        self._status.problem = problem

    def show_of_file(self, problem: str) -> None:
        """This is wrong with a file."""
        self._of_files = problem
        self.show(problem)

    def begin_plan(self, *, of_all: bool, done: bool) -> None:
        """Some files are going to be read, or all; `done`: nothing has to be counted for it."""
        self._looks_at_all, self._succeeded = of_all, done

    def note_counted(self) -> None:
        """A batch was counted."""
        self._succeeded = True

    def end_plan(self) -> None:
        """All files were looked at, or enough: what is wrong with any of them is shown, or that nothing is."""
        if self._looks_at_all and self._succeeded:
            self.show(self._of_files)
            self._of_files = ""
            self._looks_at_all = False


class Waiting:
    """How much waits, and for how long. `clock` gives Unix seconds."""

    def __init__(self, status: Status, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._status = status
        self._clock = clock
        self._monotonic = monotonic
        self._since: dict[str, float] = {}  # file → when the oldest of what waits in it was written
        self._tails: dict[str, int] = {}  # file → up to where it was read, the beginning of a line included

    def show_scanned(self, waiting: Iterable[Entry], backlog: int) -> None:
        """These files wait, with so many bytes: how old the oldest event is, as far as that is known.

        A half-written line does not wait for us.
        """
        self._status.backlog = backlog
        known, tails = self._since, self._tails
        self._tails = {one.name: tails[one.name] for one in waiting if one.name in tails}
        self._since = {
            one.name: known.get(one.name, one.modified) for one in waiting if self._tails.get(one.name) != one.size
        }
        oldest = min(self._since.values(), default=None)
        if oldest is not None:
            self._status.lag = max(self._clock() - oldest, 0.0)
        elif self._monotonic() - self._status.counted > LAG_SHOWN_SECONDS:
            self._status.lag = 0.0

    def show_counted(self, batch: Batch, *, more: bool) -> None:
        """A batch was counted; `more`: others of the plan wait."""
        for piece in batch.pieces:
            name = piece.entry.name
            done = piece.hole + (len(piece.data) if piece.more else piece.data.rfind(b"\n") + 1)
            self._status.backlog = max((self._status.backlog or 0) - done, 0)
            if piece.more:
                written = batch.written.get(name, self._since.get(name, piece.entry.modified))
                self._since[name] = min(written, self._clock())
            else:
                self._since.pop(name, None)
                self._tails[name] = piece.reaches
        if batch.written:
            self._status.counted = self._monotonic()
            if not more:
                self._status.lag = max(self._clock() - max(batch.written.values()), 0.0)
