"""The worker that follows the Engine and keeps the ledger. Nothing else waits for the Engine.

One step, again and again (`ContainerWatch.follow_once`):

1. Connect, and ping every few seconds (`engine_connection.py`).
2. Open the event stream after the last event that was counted (`event_stream.py`).
3. After a connection: is it another Engine (`engine_record.py`)? Count what it replays.
4. Take events, inspect what they do not say alone (`inspector.py`), and fold both into records and counters, in one
   transaction with the time of the last event (`ledger_writer.py`).
5. Give held starts their causes.
6. Check that the stream reports what inspections have shown.
7. Every `RECONCILE_INTERVAL_SECONDS`, and at once and completely after each connection: compare with the list of
   containers, and inspect what differs (`reconciler.py`).

When anything fails, the Engine or the database, it drops what it has not stored, begins the stream anew after the last
stored event, and so loses nothing that the Engine still has.

An Engine may be half deaf, and answer `/_ping` and little else. What does not answer costs itself only:

- One container's inspection: the container is shown as events report it, or, where there are none, as the list has it,
  and asked for again with growing pauses.
- The list: events are followed, and it is asked for again with growing pauses.
- The event stream: it cannot be opened, or is silent about what an inspection shows. Then the list and the inspections
  are asked for every `POLL_INTERVAL_SECONDS`, until it can be followed again.
- `/info`: this machine's clock stands for the Engine's.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from vv_exporter.containers.engine import Engine, EngineError, NoAnswerError, is_podman
from vv_exporter.containers.engine_connection import LIST_REQUEST, EngineConnection
from vv_exporter.containers.engine_record import (
    ensure_engine_record,
    find_engine_record,
    meet_engine,
    update_engine_record,
)
from vv_exporter.containers.event_stream import EventStream
from vv_exporter.containers.inspector import Inspector
from vv_exporter.containers.ledger_writer import LedgerWriter
from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.reconciler import Reconciler
from vv_exporter.containers.records import CONTAINERS
from vv_exporter.containers.resources import Running
from vv_exporter.runtime.loop import Loop
from vv_exporter.settings import ContainersSettings
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store

log = logging.getLogger(__name__)

DEFAULT_HOST = "unix:///var/run/docker.sock"
RECONCILE_INTERVAL_SECONDS = 30.0
POLL_INTERVAL_SECONDS = 10.0  # …while events cannot be followed
_EVENT_WAIT_SECONDS = 1.0  # that a step waits for an event
_INITIAL_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 5.0


class ContainerWatch:
    """See the module. `host` is the Engine's address, "" for the default socket where it exists.

    `clock` gives Unix seconds, `monotonic` seconds.
    """

    def __init__(
        self,
        host: str,
        settings: ContainersSettings,
        store: Store,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._explicit = bool(host)
        self._host = host or DEFAULT_HOST
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._connection = EngineConnection(self._host, self.connect, monotonic)
        self._stream = EventStream(self._connection, monotonic, self._stopping)
        self._inspector = Inspector(self._connection, monotonic, self._stopping)
        self._ledger = LedgerWriter(store, settings, clock, self._inspector)
        self._reconciler = Reconciler(settings, self._stream, self._inspector, self._ledger)
        self._met = False
        """Whether it was found out on this connection which Engine it is."""
        self._synced = False
        """Whether the containers were compared with the list on this connection."""
        self._compared_at = self._reconcile_at = 0.0
        self._retry, self._pause = _INITIAL_RETRY_SECONDS, 0.0
        self._loop = Loop(
            "docker",
            "following the Docker Engine",
            self._follow_with_backoff,
            lambda: self._pause,
            stop_seconds=2 * _EVENT_WAIT_SECONDS,
        )
        self.settled = False
        """Whether the containers were listed once, or the Engine was found absent."""

    @property
    def present(self) -> bool:
        """Whether there is an Engine to speak of: it was named, or has been seen on this device."""
        return self._explicit or find_engine_record(self._store) is not None

    @property
    def up(self) -> bool:
        """Whether the Engine answers."""
        return self._connection.up

    @property
    def following(self) -> bool:
        """Whether all events are seen."""
        return self._stream.is_followed

    @property
    def current(self) -> bool:
        """Whether the records show the present: every event is seen, or all are inspected again and again."""
        polled = self.up and self._monotonic() - self._compared_at < 3 * POLL_INTERVAL_SECONDS
        return self._synced and (self.following or polled)

    @property
    def requests_answered(self) -> Mapping[str, bool]:
        """Kinds of requests, and whether the Engine answers them. Nothing of an Engine that does not answer at all."""
        if not self.up:
            return {}
        return {
            "events": self.following,
            "list": LIST_REQUEST not in self._connection.requests,
            "inspect": not self._inspector.unanswered,
        }

    def is_inspected(self, container: str) -> bool:
        """Whether the Engine answers about this container (full id), as far as it was asked."""
        return container not in self._inspector.unanswered

    @property
    def running(self) -> list[Running]:
        """The containers that run, with what was last seen of each."""
        return self._inspector.describe_running(self._store.docs(CONTAINERS).values())

    @property
    def refused_by_proxy(self) -> Mapping[str, int]:
        """Connections that the proxy in between refused, by socket; empty without one."""
        return self._connection.refused_by_proxy

    @property
    def is_podman(self) -> bool | None:
        """Whether it is Podman that answered last, which is not supported; None where nothing did."""
        return is_podman(self._host)

    def connect(self) -> Engine:
        """A connection of its own to the Engine. Raises `EngineError`."""
        return Engine(self._host)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """End; does not wait for an Engine that hangs."""
        self._stopping.set()
        self._stream.interrupt()
        self._connection.interrupt()
        self._loop.stop()
        if not self._loop.alive:
            self._drop_connection()

    def follow_once(self) -> bool:
        """Take one step; False if that failed, and the next one begins anew. Raises nothing."""
        try:
            try:
                if self._is_worth_a_try():
                    self._follow_engine_once()
                    return True
                self.settled = True
            except EngineError as error:
                self._handle_failure(error)
        except StoreError as error:
            log.error("containers cannot be counted now, will be counted later: %s", error)
        except Exception:
            if not self._stopping.is_set():
                log.exception("following the Docker Engine failed; starting over")
        self._drop_connection()
        return False

    def _follow_with_backoff(self) -> None:
        self._pause = 0.0
        if not self.follow_once():
            self._pause = self._retry
            self._retry = min(2 * self._retry, _LONGEST_RETRY_SECONDS)

    def _is_worth_a_try(self) -> bool:
        return self.present or Path(self._host.removeprefix("unix://")).exists()

    def _follow_engine_once(self) -> None:
        """The steps of the module's docstring."""
        engine = self._connection.open()
        is_open = self._stream.open(engine, lambda: self._find_cursor(engine), wait=not self._synced)
        if is_open and not self._met:
            self._meet_engine(engine)
        if not is_open and self._stream.is_begun and not self._synced:
            return  # it is being opened; what it replays comes before any comparison
        self._ledger.count_events(engine, self._stream.take_events(_EVENT_WAIT_SECONDS))
        if self._synced:  # before, the start that a claim announces may not be known yet
            self._ledger.settle_held_starts()
        self._stream.check_is_live()
        self._reconcile_when_due(engine)

    def _find_cursor(self, engine: Engine) -> int:
        return ensure_engine_record(self._store, engine, self._clock).cursor

    def _meet_engine(self, engine: Engine) -> None:
        meet_engine(self._store, engine, self._clock, may_be_another=not self._synced)
        self._met = True
        for events in self._stream.take_replay():
            self._ledger.count_events(engine, events)

    def _reconcile_when_due(self, engine: Engine) -> None:
        """Compare with the Engine's list when it is time."""
        if self._monotonic() < self._reconcile_at:
            return
        before = self._store.docs(CONTAINERS)
        try:
            listing = engine.containers()
        except EngineError as error:
            engine.ping()  # or it is the Engine that does not answer
            self._connection.record_request_failure(LIST_REQUEST, str(error))
            self._reconcile_at = self._connection.requests.due_at(LIST_REQUEST)
            return
        self._connection.record_request_answer(LIST_REQUEST)
        self._connection.record_answer()
        all_inspected = self._reconciler.compare_with_listing(engine, listing, before, complete=not self._synced)
        interval = RECONCILE_INTERVAL_SECONDS if self.following else POLL_INTERVAL_SECONDS
        self._compared_at = self._monotonic()
        self._reconcile_at = self._compared_at + (interval if all_inspected else 0)
        self._synced = self.settled = True

    def _handle_failure(self, error: EngineError) -> None:
        # One that is silent, or half deaf, may have containers.
        self.settled = self.settled or not (self.up or isinstance(error, NoAnswerError))
        if not self._stopping.is_set():
            self._connection.record_failure(error)
        if self._synced and (engine := self._connection.engine) is not None:
            for events in self._stream.take_last_events(engine, _EVENT_WAIT_SECONDS):
                self._ledger.count_events(engine, events)

    def _drop_connection(self) -> None:
        """Forget the connection, and all events that were not stored."""
        followed, self._synced, self._met = self._synced, False, False
        if followed and self._stream.is_stable:
            self._retry = _INITIAL_RETRY_SECONDS
        self._reconcile_at = 0.0
        self._inspector.forget_connection()
        self._stream.close()
        self._connection.close()
        if followed:
            with contextlib.suppress(StoreError), self._store.transaction() as tx:
                update_engine_record(tx, lost=int(self._clock() * SECOND))
