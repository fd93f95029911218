"""The connection to the Engine: made, pinged, and whether the Engine answers at all, and each kind of request.

A change of that is logged once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from vv_exporter.containers.engine import Engine, EngineError
from vv_exporter.containers.unanswered import Unanswered

log = logging.getLogger(__name__)

PING_INTERVAL_SECONDS = 3.0
ANSWER_VALID_SECONDS = 8.0  # more than PING_INTERVAL_SECONDS and the Engine's time to answer
LIST_REQUEST, EVENTS_REQUEST = "list", "events"
_PROXY_INTERVAL_SECONDS = 30.0
_INITIAL_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0


class EngineConnection:
    """To the Engine at `host`, which `connect` connects to. One thread uses it; any may ask whether it answers."""

    def __init__(self, host: str, connect: Callable[[], Engine], monotonic: Callable[[], float]) -> None:
        self._host = host
        self._connect = connect
        self._monotonic = monotonic
        self._answered_at: float | None = None
        self._failing = False
        self._ping_at = self._ask_proxy_at = 0.0
        self.engine: Engine | None = None
        """None while there is no connection."""
        self.requests = Unanswered(monotonic, _INITIAL_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        """Kinds of requests that are not answered though others are."""
        self.refused_by_proxy: Mapping[str, int] = {}
        """Connections that the proxy in between refused, by socket; empty without one."""

    @property
    def up(self) -> bool:
        """Whether the Engine answers."""
        return self._answered_at is not None and self._monotonic() - self._answered_at < ANSWER_VALID_SECONDS

    def open(self) -> Engine:
        """Connect where that is lacking, and ping when it is time. Raises `EngineError`."""
        engine = self.engine
        if engine is None:
            engine = self.engine = self._connect()
            self._ping_at = 0.0
        if self._monotonic() >= self._ping_at:
            engine.ping()
            self.record_answer()
            self._ping_at = self._monotonic() + PING_INTERVAL_SECONDS
        if self._monotonic() >= self._ask_proxy_at:
            self._ask_proxy_at = self._monotonic() + _PROXY_INTERVAL_SECONDS
            self.refused_by_proxy = _ask_proxy(engine)
        return engine

    def interrupt(self) -> None:
        """End what waits for an answer, from any thread."""
        if (engine := self.engine) is not None:
            engine.close()

    def close(self) -> None:
        """End it; `open` makes another."""
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.close()

    def record_answer(self) -> None:
        """The Engine answered, whatever it was asked."""
        self._answered_at = self._monotonic()
        if self._failing:
            log.info("the Docker Engine at %s answers again", self._host)
        self._failing = False

    def record_failure(self, error: EngineError) -> None:
        """The connection failed; the last answer counts for a while."""
        if not self._failing:
            log.warning("the Docker Engine at %s: %s; trying again until it answers", self._host, error)
        self._failing = True

    def record_request_answer(self, request: str) -> None:
        """The Engine answered this kind of request."""
        if self.requests.answered(request):
            log.info("the Docker Engine answers for %s again", request)

    def record_request_failure(self, request: str, problem: str) -> None:
        """The Engine answers, but not this kind of request."""
        if self.requests.failed(request, problem):
            log.warning("the Docker Engine answers, but not for %s, retrying: %s", request, problem)


def _ask_proxy(engine: Engine) -> Mapping[str, int]:
    try:
        return engine.refused_by_proxy()
    except EngineError:
        return {}
