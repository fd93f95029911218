"""Asks the Engine what containers use whose files cannot be read: no access to them, or an Engine elsewhere.

An answer takes the Engine one or two seconds, so that this happens in the background, by at most `ASKERS` threads, for
each container at most every `INTERVAL` seconds, and for none as long as nobody wants to know.
One that does not answer is asked for with growing pauses, and keeps nobody from the others.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from vv_exporter.containers.engine import EngineError, NoAnswerError, NotUnderstoodError
from vv_exporter.containers.resources import Running, Usage
from vv_exporter.containers.unanswered import Unanswered
from vv_exporter.runtime import threads

log = logging.getLogger(__name__)

ASKERS = 4
INTERVAL = 15.0
_REST = 1.0
FRESH = 120.0  # seconds that an answer is shown: with many containers, a turn takes long


class Engine(Protocol):
    """Who is asked; see `engine.Engine`."""

    def usage(self, container: Running) -> Usage | None: ...
    def close(self) -> None: ...


class Asker:
    """See the module. `connect` raises `EngineError`."""

    def __init__(self, connect: Callable[[], Engine], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._connect = connect
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._wanted: dict[str, Running] = {}
        self._asked: dict[str, float] = {}
        self._answers: dict[str, tuple[Usage, float]] = {}
        self._unanswered = Unanswered(monotonic)
        self._failing = False
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def asked(self) -> bool:
        """Whether it is asked for anything."""
        return bool(self._wanted)

    @property
    def unanswered(self) -> bool:
        """Whether there is a container of which the Engine does not report what it uses."""
        return bool(self._unanswered)

    def start(self) -> None:
        """Nobody is asked before somebody wants to know: `sample` begins that."""

    def stop(self) -> None:
        """Ask no more; does not wait for an answer that is on its way."""
        self._stopping.set()

    def sample(self, containers: Iterable[Running]) -> Mapping[str, Usage]:
        """What was answered of these, by id; from now on they are asked for. Never waits."""
        with self._lock:
            self._wanted = {one.id: one for one in containers}
            now = self._monotonic()
            self._unanswered.keep(self._wanted)
            self._asked = {key: at for key, at in self._asked.items() if key in self._wanted}
            self._answers = {
                key: answer for key, answer in self._answers.items() if key in self._wanted and now < answer[1]
            }
            with contextlib.suppress(RuntimeError):  # fewer ask, or none; the next sample tries again
                while len(self._threads) < min(ASKERS, len(self._wanted)):
                    # No loop: a pool, whose size is that of the demand.
                    thread = threading.Thread(target=self._ask_until_stopped, name="container-stats", daemon=True)
                    threads.start(thread, patience=0)
                    self._threads.append(thread)
            return {key: usage for key, (usage, _) in self._answers.items()}

    def _ask_until_stopped(self) -> None:
        engine: Engine | None = None
        while not self._stopping.is_set():
            container = self._next_container()
            if container is None:
                self._stopping.wait(_REST)
                continue
            try:
                engine = engine or self._connect()
                usage = engine.usage(container)
            except NotUnderstoodError as error:  # of this one; others are asked for on the same connection
                self._now_unanswered(container, error)
                continue
            except EngineError as error:
                if engine is not None and isinstance(error, NoAnswerError):
                    self._now_unanswered(container, error)
                self._warn_once(str(error))
                if engine is not None:
                    engine.close()
                engine = None
                self._stopping.wait(_REST)
                continue
            except Exception:  # the thread must outlive its own defects
                log.exception("what container %.100s uses could not be asked for", container.name)
                continue
            self._warn_once("")
            with self._lock:
                self._unanswered.answered(container.id)
                if usage is not None:
                    self._answers[container.id] = usage, self._monotonic() + FRESH
        if engine is not None:
            engine.close()

    def _now_unanswered(self, container: Running, error: EngineError) -> None:
        with self._lock:
            if container.id in self._wanted:
                self._unanswered.failed(container.id, str(error))

    def _warn_once(self, problem: str) -> None:
        """Say when it begins to fail, not each time."""
        with self._lock:
            before, self._failing = self._failing, bool(problem)
        if problem and not before:
            log.warning("the Docker Engine does not tell what containers use, retrying: %s", problem)

    def _next_container(self) -> Running | None:
        """Whose turn it is: who was asked for longest ago, if that is long enough."""
        with self._lock:
            never = float("-inf")
            due = [one for one in self._wanted.values() if self._unanswered.is_due(one.id)]
            one = min(due, key=lambda one: self._asked.get(one.id, never), default=None)
            now = self._monotonic()
            if one is None or now - self._asked.get(one.id, never) < INTERVAL:
                return None
            self._asked[one.id] = now
            return one
