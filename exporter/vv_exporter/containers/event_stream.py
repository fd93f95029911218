"""The Engine's event stream: opened, followed, and begun anew when it is silent about what happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

from vv_exporter.containers.engine import Engine, EngineError, Follower
from vv_exporter.containers.engine_connection import EVENTS_REQUEST, EngineConnection
from vv_exporter.containers.observed import Event

_OPEN_TIMEOUT_SECONDS = 10.0
_REPLAY_QUIET_SECONDS = 0.3  # without an event, after which the Engine is taken to have replayed all
_EVENT_DELAY_SECONDS = 5.0  # by which an event may come later than an inspection that shows the same
_SHUTDOWN_SECONDS = 60.0  # that an Engine takes at most to stop its containers: 15, or the longest grace of one
_STABLE_AFTER_SECONDS = 10.0


class EventStream:
    """One subscription at a time; `stopping` ends what waits. `monotonic` gives seconds.

    One thread uses it; any may ask whether it is followed, and interrupt it.
    """

    def __init__(self, connection: EngineConnection, monotonic: Callable[[], float], stopping: threading.Event) -> None:
        self._connection = connection
        self._monotonic = monotonic
        self._stopping = stopping
        self._follower: Follower | None = None
        self._begun_at = 0.0
        self._awaited: dict[str, float] = {}
        """Containers of which an inspection showed what no event had reported, and when (monotonic)."""
        self._deaf = False
        """Whether the stream was silent about something, and has brought nothing since."""

    @property
    def is_begun(self) -> bool:
        """Whether it is open, or being opened."""
        return self._follower is not None

    @property
    def is_followed(self) -> bool:
        """Whether all events are seen, as far as that is known."""
        follower = self._follower
        is_open = follower is not None and follower.connected.is_set() and not follower.ended.is_set()
        return self._connection.up and is_open and not self._deaf

    @property
    def is_stable(self) -> bool:
        """Whether it has lasted long enough for the next one to be tried at once."""
        return self._monotonic() - self._begun_at > _STABLE_AFTER_SECONDS

    def open(self, engine: Engine, find_cursor: Callable[[], int], *, wait: bool) -> bool:
        """Begin it if it is due, after the last counted event; with `wait`, wait for that. Gives whether it is open.

        Raises `EngineError` if it has ended, or if the Engine answers nothing at all.
        """
        if self._follower is None and self._connection.requests.is_due(EVENTS_REQUEST):
            self._follower = engine.follow(find_cursor())
            self._begun_at = self._monotonic()
        follower = self._follower
        if follower is None:
            return False
        if follower.connected.wait(_OPEN_TIMEOUT_SECONDS / 2 if wait else 0):
            self._connection.record_request_answer(EVENTS_REQUEST)
            if follower.ended.is_set():
                raise EngineError(f"the event stream ended ({follower.error or 'closed'})")
            return True
        if follower.ended.is_set() or self._monotonic() - self._begun_at > _OPEN_TIMEOUT_SECONDS:
            self._follower = None
            follower.close()
            engine.ping()  # or it is the Engine that does not answer
            self._connection.record_request_failure(EVENTS_REQUEST, follower.error or "it cannot be opened")
        return False

    def take_events(self, timeout: float) -> list[Event]:
        """The next events; waits up to `timeout` seconds for the first one, if there may be any."""
        follower = self._follower
        if follower is None or not follower.connected.is_set():
            self._stopping.wait(timeout)
            return []
        events = follower.take(timeout)
        if events:
            self._deaf = False
        for event in events:
            self._awaited.pop(event.id, None)
        return events

    def take_replay(self) -> Iterator[list[Event]]:
        """What the Engine still has from before the connection, until it is quiet."""
        while not self._stopping.is_set():
            events = self.take_events(_REPLAY_QUIET_SECONDS)
            if not events:
                return
            yield events

    def take_last_events(self, engine: Engine, timeout: float) -> Iterator[list[Event]]:
        """What an Engine that goes down has yet to report: it forgets how its containers ended.

        Docker 28.5 takes no new connection from its first signal on, but the stream lasts until the last container has
        ended. When the Engine answers after all, the connection begins anew.
        """
        follower = self._follower
        if follower is None:
            return
        end = self._monotonic() + _SHUTDOWN_SECONDS
        while not (follower.ended.is_set() or self._stopping.is_set() or self._monotonic() > end):
            yield follower.take(timeout)
            if _is_answering(engine):
                break
        yield follower.take(0)

    def expect_events(self, containers: Iterable[str]) -> None:
        """An inspection or the list shows a change of these containers; an event has to report it, too."""
        for container in containers:
            self._awaited.setdefault(container, self._monotonic())

    def check_is_live(self) -> None:
        """Raises `EngineError`, once until events come again, when the stream does not report what happens."""
        late = [one for one, since in self._awaited.items() if self._monotonic() - since > _EVENT_DELAY_SECONDS]
        if late and not self._deaf and self._follower is not None:
            self._awaited.clear()
            self._deaf = True
            raise EngineError(f"the event stream did not report what happened to container {late[0][:12]}")

    def interrupt(self) -> None:
        """End what waits for it, from any thread."""
        if (follower := self._follower) is not None:
            follower.close()

    def close(self) -> None:
        """End it, and forget all events that were not taken."""
        follower, self._follower = self._follower, None
        self._awaited.clear()
        if follower is not None:
            follower.close()


def _is_answering(engine: Engine) -> bool:
    try:
        engine.ping()
    except EngineError:
        return False
    return True
