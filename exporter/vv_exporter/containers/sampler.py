"""Reads the kernel's files on what containers use, so that one that hangs holds up no scrape and no other container.

They are read in rounds, each in a thread. A scrape asks for a round, waits `WAIT` seconds for it at most, and shows
what is known by then. A round that is stuck on one container is left behind with its thread; the next ones pass that
container over until the thread comes back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from vv_exporter.containers.cgroups import Place
from vv_exporter.containers.resources import Running, Usage
from vv_exporter.runtime import threads

log = logging.getLogger(__name__)

WAIT = 0.5  # seconds that a scrape waits for a round
LEAST_GAP = 1.0  # seconds between rounds, however many ask for them
STUCK = 2.0  # seconds on one container after which a round is left behind
MAX_STUCK = 8  # rounds left behind at a time; then nothing is read until one comes back
FRESH = 30.0  # seconds that what was read is shown
SEARCH_INTERVAL = 60.0  # seconds between searches for groups that are not where they are expected


class Files(Protocol):
    """Where it is read; see `cgroups.Cgroups`. Every method may hang."""

    def locate(self, container: Running) -> Place | None: ...
    def search(self) -> dict[str, str]: ...
    def place(self, container: Running, path: str) -> Place | None: ...
    def read(self, place: Place) -> Usage | None: ...


class Sampler:
    """See the module. Any thread may call `sample`."""

    def __init__(self, files: Files, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._files = files
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Usage, float]] = {}
        self._unreadable: set[str] = set()
        self._stuck: set[str] = set()
        self._round: _Round | None = None
        self._next_round = self._next_search = float("-inf")
        self._found: dict[str, str] = {}

    def sample(self, containers: Iterable[Running]) -> tuple[Mapping[str, Usage], frozenset[str]]:
        """What each of these uses, by id, as far as it is known now; and those whose files cannot be read."""
        wanted = {one.id: one for one in containers}
        current = self._current_round(wanted)
        if current is not None:
            current.done.wait(WAIT)
        with self._lock:
            now = self._monotonic()
            self._known = {key: known for key, known in self._known.items() if key in wanted and now < known[1]}
            self._unreadable &= wanted.keys()
            return {key: usage for key, (usage, _) in self._known.items()}, frozenset(self._unreadable)

    def _current_round(self, wanted: Mapping[str, Running]) -> _Round | None:
        """The round in progress, or a new one if it is time."""
        with self._lock:
            now = self._monotonic()
            if self._round is not None and self._round.reading and now - self._round.since > STUCK:
                self._leave_stuck_round(self._round, self._round.reading)
            if self._round is None and now >= self._next_round and len(self._stuck) < MAX_STUCK:
                todo = [one for key, one in wanted.items() if key not in self._stuck]
                begun = _Round(todo, self._read_one, self._ended)
                begun.start(now)  # raises where there can be no further thread; then there is no round
                self._round = begun
            return self._round

    def _leave_stuck_round(self, stuck: _Round, on: Running) -> None:
        log.warning("reading what container %s uses hangs; its series are left out until that ends", on.name)
        self._stuck.add(on.id)
        self._known.pop(on.id, None)
        stuck.left_on = on
        self._round = None

    def _ended(self, round_: _Round) -> None:
        with self._lock:
            if self._round is round_:
                self._round, self._next_round = None, self._monotonic() + LEAST_GAP
            elif round_.left_on:
                self._stuck.discard(round_.left_on.id)

    def _read_one(self, container: Running) -> float:
        """Read one, and keep it; returns the time."""
        place = self._files.locate(container) or self._search_place(container)
        usage = self._files.read(place) if place else None
        with self._lock:
            if usage is None:
                self._unreadable.add(container.id)
            elif container.id not in self._stuck:
                self._unreadable.discard(container.id)
                self._known[container.id] = usage, self._monotonic() + FRESH
            return self._monotonic()

    def _search_place(self, container: Running) -> Place | None:
        if container.id not in self._found and self._monotonic() >= self._next_search:
            self._next_search = self._monotonic() + SEARCH_INTERVAL
            self._found = self._files.search()
        path = self._found.get(container.id)
        return self._files.place(container, path) if path else None


class _Round:
    """One reading of some containers."""

    def __init__(
        self, todo: Sequence[Running], read: Callable[[Running], float], ended: Callable[[_Round], None]
    ) -> None:
        self._todo = todo
        self._read = read
        self._ended = ended
        self.done = threading.Event()
        self.reading: Running | None = None
        self.left_on: Running | None = None
        """What it was reading when it was left behind."""
        self.since = 0.0

    def start(self, now: float) -> None:
        """Begin; `now` is the time on the sampler's clock. Raises `RuntimeError` where there can be no thread."""
        self.since = now
        # No loop: one round, which is left behind where it hangs.
        threads.start(threading.Thread(target=self._read_all, name="container-resources", daemon=True), patience=0)

    def _read_all(self) -> None:
        try:
            for one in self._todo:
                self.reading = one
                self.since = self._read(one)
                if self.left_on is not None:
                    return
        except Exception:  # a defect costs this round; the next one begins anew
            log.exception("reading what containers use failed")
        finally:
            self._ended(self)
            self.done.set()
