"""The worker that follows the Engine and keeps the ledger. Nothing else waits for the Engine.

It follows the event stream, folds what comes into the records and counters (one transaction with the time of the last
event), and compares with the list of containers every `RECONCILE_INTERVAL` seconds, and at once and completely after
each connection. When anything fails, the Engine or the database, it drops what it has not stored, begins the stream
anew after the last stored event, and so loses nothing that the Engine still has.

An Engine may be half deaf, and answer `/_ping` and little else. What does not answer costs itself only:

- One container's inspection: the container is shown as events tell, or, where there are none, as the list has it, and
  asked for again with growing pauses.
- The list: events are followed, and it is asked for again with growing pauses.
- The event stream: it cannot be opened, or is silent about what an inspection shows. Then the list and the inspections
  are asked for every `POLL_INTERVAL` seconds, until it can be followed again.
- `/info`: this machine's clock stands for the Engine's.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from vv_exporter.containers.engine import (
    REPLAY_LIMIT,
    TIMEOUT,
    Engine,
    EngineError,
    Follower,
    NoAnswerError,
    NotUnderstoodError,
    is_podman,
)
from vv_exporter.containers.expectation import gone_for_good, ignored, over_limit
from vv_exporter.containers.inspections import fold_inspection, fold_listed, fold_missing
from vv_exporter.containers.ledger import engine_restarted, engine_settled, fold_event, settle, supersede
from vv_exporter.containers.observed import SECOND, Event, Inspection, Listed, Listing, is_one_off
from vv_exporter.containers.records import (
    CLAIMS,
    CONTAINERS,
    GONE,
    Change,
    ContainerRecord,
    all_series,
    by_id,
    slot_series,
)
from vv_exporter.containers.resources import Running
from vv_exporter.containers.told import told
from vv_exporter.containers.unanswered import Unanswered
from vv_exporter.metrics.containers import EXPECTED
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.runtime.loop import Loop
from vv_exporter.settings import ContainersSettings
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Kind, Store, Transaction
from vv_exporter.state.timeline import tell

log = logging.getLogger(__name__)

DEFAULT_HOST = "unix:///var/run/docker.sock"
RECONCILE_INTERVAL = 30.0
POLL_INTERVAL = 10.0  # …while events cannot be followed
INSPECT_AFTER = 300.0  # seconds after which a container that seems unchanged is inspected again
INSPECT_HEALTH_AFTER = 60.0  # …and one with a health check: the failing streak grows without an event
PING_INTERVAL = 3.0
UP_FOR = 8.0  # seconds that an answer counts; more than PING_INTERVAL and the Engine's time to answer
_WAIT = 1.0  # seconds that the worker waits for an event
_QUIET = 0.3  # seconds without an event after which the Engine is taken to have replayed all
_CONNECT_TIMEOUT = 10.0
_SHORT_TIMEOUT = 1.0  # seconds for an inspection after another one was waited for in vain
_MAX_UNANSWERED = 3  # inspections that are waited for in vain, before events are taken again
_EVENT_DELAY = 5.0  # seconds by which an event may come later than an inspection that shows the same
_WAY_DOWN = 60.0  # seconds that an Engine takes at most to stop its containers: 15, or the longest grace of one
_RETRY = 1.0
_RETRY_MAX = 5.0
_STABLE = 10.0  # seconds that a stream has to last before the next one is tried at once


class EngineRecord(msgspec.Struct, frozen=True):
    """How far the Engine's events were counted (its clock, nanoseconds), and what tells it from the next one."""

    cursor: int
    met: int = 0
    """When the present Engine was first or last connected to."""
    bridge: str = ""
    lost: int = 0
    """When the stream ended (nanoseconds), 0 while it is followed."""


ENGINE: Kind[EngineRecord] = Kind("docker_engine", EngineRecord)
_KEY = "engine"
_LIST, _EVENTS = "list", "events"
_LONGEST_PAUSE_OF_REQUESTS = 60.0


class ContainerWatch:
    """See the module. `host` is the Engine's address, "" for the default socket where it exists."""

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
        self._settings = settings
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._pause = 0.0
        self._loop = Loop(
            "docker",
            "following the Docker Engine",
            self._follow_with_backoff,
            lambda: self._pause,
            stop_seconds=2 * _WAIT,
        )
        self._engine: Engine | None = None
        self._follower: Follower | None = None
        self._followed_at = 0.0
        self._met = False
        self._synced = False
        self._compared_at = 0.0
        self._untold: dict[str, float] = {}
        """Containers of which an inspection showed what no event had told, and when."""
        self._deaf = False
        """Whether the event stream was silent about something, and has not spoken since."""
        self._unanswered = Unanswered(monotonic)
        self._requests = Unanswered(monotonic, _RETRY, _LONGEST_PAUSE_OF_REQUESTS)
        self._reachable = True
        self._retry = _RETRY
        self._answered: float | None = None
        self._ping_at = 0.0
        self._reconcile_at = 0.0
        self._ask_proxy_at = 0.0
        self.refused_by_proxy: Mapping[str, int] = {}
        """Connections that the proxy in between refused, by socket; empty without one."""
        self._inspected: dict[str, float] = {}
        self._seen: dict[str, Inspection] = {}
        self.settled = False
        """Whether the containers were listed once, or the Engine was found absent."""

    @property
    def present(self) -> bool:
        """Whether there is an Engine to speak of: it was named, or has been seen on this device."""
        return self._explicit or self._store.document(ENGINE, _KEY) is not None

    @property
    def up(self) -> bool:
        """Whether the Engine answers."""
        return self._answered is not None and self._monotonic() - self._answered < UP_FOR

    @property
    def following(self) -> bool:
        """Whether all events are seen."""
        follower = self._follower
        open_ = follower is not None and follower.connected.is_set() and not follower.ended.is_set()
        return self.up and open_ and not self._deaf

    @property
    def current(self) -> bool:
        """Whether the records show the present: every event is seen, or all are inspected again and again."""
        polled = self.up and self._monotonic() - self._compared_at < 3 * POLL_INTERVAL
        return self._synced and (self.following or polled)

    @property
    def requests_answered(self) -> Mapping[str, bool]:
        """Kinds of requests, and whether the Engine answers them. Nothing of an Engine that does not answer at all."""
        if not self.up:
            return {}
        return {"events": self.following, "list": _LIST not in self._requests, "inspect": not self._unanswered}

    def is_inspected(self, container: str) -> bool:
        """Whether the Engine answers about this container (full id), as far as it was asked."""
        return container not in self._unanswered

    @property
    def running(self) -> list[Running]:
        """The containers that run, with what was last seen of each."""
        seen, records = self._seen, self._store.docs(CONTAINERS).values()
        return [_running_container(record, seen.get(record.id)) for record in records if record.running]

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
        for part in (self._follower, self._engine):
            if part is not None:
                part.close()
        self._loop.stop()
        if not self._loop.alive:
            self._drop_connection()

    def _follow_with_backoff(self) -> None:
        self._pause = 0.0
        if not self.follow_once():
            self._pause = self._retry
            self._retry = min(2 * self._retry, _RETRY_MAX)

    def follow_once(self) -> bool:
        """Take one step; False if that failed, and the next one begins anew. Raises nothing."""
        try:
            try:
                if self._worth_a_try():
                    self._follow_engine_once()
                    return True
                self.settled = True
            except EngineError as error:
                self._note_failure(error)
        except StoreError as error:
            log.error("containers cannot be counted now, will be counted later: %s", error)
        except Exception:
            if not self._stopping.is_set():
                log.exception("following the Docker Engine failed; starting over")
        self._drop_connection()
        return False

    def _worth_a_try(self) -> bool:
        return self.present or Path(self._host.removeprefix("unix://")).exists()

    def _follow_engine_once(self) -> None:
        engine = self._engine
        if engine is None:
            engine = self._engine = Engine(self._host)
            self._ping_at = 0.0
        if self._monotonic() >= self._ping_at:
            engine.ping()
            self._note_answer()
            self._ping_at = self._monotonic() + PING_INTERVAL
        self._ask_proxy(engine)
        follower = self._open_event_stream(engine)
        if follower is not None and follower.ended.is_set():
            raise EngineError(f"the event stream ended ({follower.error or 'closed'})")
        if follower is not None and not self._met:
            self._meet_engine(engine)
        if follower is None and self._follower is not None and not self._synced:
            return  # it is being opened
        self._count_events(engine, self._take_events(_WAIT))
        if self._synced:
            self._settle_held_starts()
        self._check_stream_is_live()
        self._reconcile_when_due(engine)

    def _ask_proxy(self, engine: Engine) -> None:
        """What a proxy in between has to say of itself, when it is time."""
        if self._monotonic() >= self._ask_proxy_at:
            self._ask_proxy_at = self._monotonic() + RECONCILE_INTERVAL
            try:
                self.refused_by_proxy = engine.refused_by_proxy()
            except EngineError:
                self.refused_by_proxy = {}

    def _note_answer(self) -> None:
        self._answered = self._monotonic()
        if not self._reachable:
            log.info("the Docker Engine at %s answers again", self._host)
        self._reachable = True

    def _note_failure(self, error: EngineError) -> None:
        # One that is silent, or half deaf, may have containers.
        self.settled = self.settled or not (self.up or isinstance(error, NoAnswerError))
        if self._reachable and not self._stopping.is_set():
            log.warning("the Docker Engine at %s: %s; trying again until it answers", self._host, error)
        self._reachable = False
        if self._synced and self._follower and self._engine:
            self._hear_out(self._engine, self._follower)

    def _hear_out(self, engine: Engine, follower: Follower) -> None:
        """Count what an Engine that goes down has yet to tell: it forgets how its containers ended.

        Docker 28.5 takes no new connection from its first signal on, but the stream lasts until the last container has
        ended. When the Engine answers after all, the connection begins anew.
        """
        end = self._monotonic() + _WAY_DOWN
        while not (follower.ended.is_set() or self._stopping.is_set() or self._monotonic() > end):
            self._count_events(engine, follower.take(_WAIT))
            if _engine_answers(engine):
                break
        self._count_events(engine, follower.take(0))

    def _drop_connection(self) -> None:
        """Forget the connection, and all events that were not stored."""
        followed = self._synced
        if followed and self._monotonic() - self._followed_at > _STABLE:
            self._retry = _RETRY
        follower, self._follower, self._synced, self._met = self._follower, None, False, False
        self._reconcile_at, self._inspected = 0.0, {}
        self._untold.clear()
        engine, self._engine = self._engine, None
        for part in (follower, engine):
            if part is not None:
                part.close()
        if followed:
            with contextlib.suppress(StoreError), self._store.transaction() as tx:
                self._put_engine(tx, lost=int(self._clock() * 1e9))

    def _open_event_stream(self, engine: Engine) -> Follower | None:
        """The event stream once it is open, None while it cannot be opened."""
        if self._follower is None and self._requests.is_due(_EVENTS):
            self._follower = engine.follow(self._met_engine(engine).cursor)
            self._followed_at = self._monotonic()
        follower = self._follower
        if follower is None:
            return None
        if follower.connected.wait(0 if self._synced else _CONNECT_TIMEOUT / 2):
            self._now_answered(_EVENTS)
            return follower
        if follower.ended.is_set() or self._monotonic() - self._followed_at > _CONNECT_TIMEOUT:
            self._follower = None
            follower.close()
            engine.ping()  # or it is the Engine that does not answer
            self._now_failed(_EVENTS, follower.error or "it cannot be opened")
        return None

    def _met_engine(self, engine: Engine) -> EngineRecord:
        record = self._store.document(ENGINE, _KEY)
        if record is None:
            record = EngineRecord(cursor=self._engine_time(engine))
            with self._store.transaction() as tx:
                tx.put(ENGINE, _KEY, record)
        return record

    def _engine_time(self, engine: Engine) -> int:
        """The Engine's clock, or ours while it does not tell. Raises `EngineError` if it does not answer at all."""
        try:
            return engine.time()
        except EngineError:
            engine.ping()
            return int(self._clock() * SECOND)

    def _meet_engine(self, engine: Engine) -> None:
        """After a connection: is it another Engine, and what did it replay?"""
        record = self._store.document(ENGINE, _KEY)
        met, bridge = self._engine_time(engine), engine.bridge_created()
        another = record is not None and not self._synced and self._is_another(engine, record, bridge)
        with self._store.transaction() as tx:
            if another and record is not None:
                log.info("the Docker Engine was restarted")
                _apply_change(tx, engine_restarted(tx.docs(CONTAINERS).values(), record.lost or None))
            self._put_engine(tx, met=met, bridge=bridge, lost=0)
        self._met = True
        while not self._stopping.is_set():
            events = self._take_events(_QUIET)
            if not events:
                break
            self._count_events(engine, events)

    def _is_another(self, engine: Engine, record: EngineRecord, bridge: str) -> bool:
        """Whether the Engine was restarted since it was last connected to, or sent an event; no, if it does not tell.

        It keeps events in memory: with one from before, it is the same. It makes its default bridge at each start.
        Where it has none, and what it keeps does not fill its memory, it has not forgotten events but never had them.
        """
        try:
            if not record.met or engine.kept_events(max(record.met, record.cursor)):
                return False
            if bridge and record.bridge:
                return bridge != record.bridge
            # Up to a time that is yet to come: what happens while it is asked pushes out as much of what it kept.
            return engine.kept_events(self._engine_time(engine) + SECOND // 5) < REPLAY_LIMIT
        except EngineError:
            engine.ping()
            return False

    def _take_events(self, timeout: float) -> list[Event]:
        """The next events; waits for the first one, if there may be any."""
        follower = self._follower
        if follower is None or not follower.connected.is_set():
            self._stopping.wait(timeout)
            return []
        events = follower.take(timeout)
        if events:
            self._deaf = False
        for event in events:
            self._untold.pop(event.id, None)
        return events

    def _check_stream_is_live(self) -> None:
        """Begin the event stream anew when it does not tell what happens. Raises `EngineError`."""
        late = [one for one, since in self._untold.items() if self._monotonic() - since > _EVENT_DELAY]
        if late and not self._deaf and self._follower is not None:
            self._untold.clear()
            self._deaf = True
            raise EngineError(f"the event stream did not tell what happened to container {late[0][:12]}")

    def _now_failed(self, request: str, problem: str) -> None:
        if self._requests.failed(request, problem):
            log.warning("the Docker Engine answers, but not for %s, retrying: %s", request, problem)

    def _now_answered(self, request: str) -> None:
        if self._requests.answered(request):
            log.info("the Docker Engine answers for %s again", request)

    def _count_events(self, engine: Engine, events: list[Event]) -> None:
        """Fold events, and remember how far they were counted."""
        cursor = self._stored_cursor()
        relevant = [event for event in events if event.time != cursor and not self._is_ignored_event(event)]
        if not relevant:
            return
        inspections = self._inspections_for(engine, relevant)
        with self._store.transaction() as tx:
            records = tx.docs(CONTAINERS)
            for event in relevant:
                with _costs_itself_only(event.name):
                    unanswered = event.id in self._unanswered
                    seen = inspections.get(event.id)
                    change = fold_event(records, event, seen, self._clock(), unanswered=unanswered)
                    _apply_change(tx, change, records)
            _apply_change(tx, supersede(records.values()), records)
            self._put_engine(tx, cursor=relevant[-1].time)

    def _inspections_for(self, engine: Engine, events: Iterable[Event]) -> dict[str, Inspection]:
        """Where the Engine does not answer any more, its events have to be enough."""
        with contextlib.suppress(EngineError):
            found, _ = self._inspect_due(engine, dict.fromkeys(one.id for one in events if _needs_inspection(one)))
            return found
        return {}

    def _inspect_due(self, engine: Engine, containers: Iterable[str]) -> tuple[dict[str, Inspection], set[str]]:
        """Inspections of those that are due, and who has to wait for the next time, since others took too long.

        Raises `EngineError` if it is the Engine that does not answer.
        """
        found: dict[str, Inspection] = {}
        waiting: set[str] = set()
        in_vain = 0
        for container in containers:
            if self._stopping.is_set():
                raise EngineError("stopping")
            if not self._unanswered.is_due(container):
                continue
            if in_vain >= _MAX_UNANSWERED:
                waiting.add(container)
                continue
            try:
                inspection = engine.inspect(container, _SHORT_TIMEOUT if in_vain else TIMEOUT)
            except NotUnderstoodError as error:
                self._log_unanswered_once(container, str(error))
            except EngineError as error:
                engine.ping()  # raises if it is not this container's
                self._log_unanswered_once(container, str(error))
                in_vain += 1
            else:
                self._unanswered.answered(container)
                self._inspected[container] = self._monotonic()
                if inspection is not None:
                    found[container] = self._seen[container] = inspection
            self._note_answer()
        return found, waiting

    def _reconcile_when_due(self, engine: Engine) -> None:
        """Compare with the Engine's list when it is time."""
        if self._monotonic() < self._reconcile_at:
            return
        before = self._store.docs(CONTAINERS)
        try:
            listing = engine.containers()
        except EngineError as error:
            engine.ping()  # or it is the Engine that does not answer
            self._now_failed(_LIST, str(error))
            self._reconcile_at = self._requests.due_at(_LIST)
            return
        self._now_answered(_LIST)
        self._note_answer()
        self._compare_with_listing(engine, listing, before)

    def _compare_with_listing(self, engine: Engine, listing: Listing, before: Mapping[str, ContainerRecord]) -> None:
        """Inspect what differs or was not looked at for long, or (after a connection) everything."""
        complete = not self._synced
        listed = [one for one in listing.containers if not ignored(one.name, one.one_off, self._settings)]
        inspected_before = set(self._inspected)
        inspections, waiting = self._inspect_due(
            engine, [one.id for one in listed if complete or self._differs_from_record(one, before)]
        )
        # What happened before the inspections has an event, which tells more.
        events = self._take_events(0)
        self._count_events(engine, events)
        told_by_event = {event.id for event in events}
        here = {one.id for one in listed}
        blind = [one for one in listed if one.id in waiting or one.id in self._unanswered]
        with self._store.transaction() as tx:
            records = tx.docs(CONTAINERS)
            cursor = self._stored_cursor()
            for inspection in inspections.values():
                if inspection.id in inspected_before:
                    self._expect_event(records, inspection)
                with _costs_itself_only(inspection.name):
                    _apply_change(tx, fold_inspection(records, inspection, cursor, self._clock()), records)
            for one in blind:
                if one.id not in told_by_event:
                    self._show_as_listed(tx, records, one, complete=complete)
            for record in before.values() if listing.complete else ():
                known = records.get(record.name)
                if known and known.id == record.id and known.state != GONE and known.id not in here:
                    _apply_change(tx, fold_missing(known, self._clock()), records)
            if complete:
                unknown = {one.id for one in blind}
                _apply_change(tx, engine_settled(one for one in records.values() if one.id not in unknown), records)
            _apply_change(tx, supersede(records.values()), records)
            self._forget_removed(tx, records)
        self._unanswered.keep(here)
        self._inspected = {one: at for one, at in self._inspected.items() if one in here}
        self._seen = {one: seen for one, seen in self._seen.items() if one in here}
        self._compared_at = self._monotonic()
        interval = RECONCILE_INTERVAL if self.following else POLL_INTERVAL
        self._reconcile_at = self._monotonic() + (0 if waiting else interval)
        self._synced = self.settled = True

    def _show_as_listed(
        self, tx: Transaction, records: dict[str, ContainerRecord], one: Listed, *, complete: bool
    ) -> None:
        """One that is not inspected. Of a known one events tell more than the list, where they can be expected."""
        record = by_id(records.values(), one.id)
        if record is None or complete or not self.following:
            with _costs_itself_only(one.name):
                _apply_change(tx, fold_listed(records, one, self._clock()), records)
        elif record.running != one.running:
            self._untold.setdefault(one.id, self._monotonic())

    def _expect_event(self, records: Mapping[str, ContainerRecord], inspection: Inspection) -> None:
        """Remember what an inspection shows first; an event has to tell of it, too."""
        record = by_id(records.values(), inspection.id)
        if record is None or record.listed_only or not self.following:
            return
        if inspection.started > record.started or record.running != inspection.running:
            self._untold.setdefault(inspection.id, self._monotonic())

    def _log_unanswered_once(self, container: str, problem: str) -> None:
        """Once for each container that is not answered, or cannot be understood."""
        if self._unanswered.failed(container, problem):
            log.error(
                "the Docker Engine does not answer for container %.12s, or not so that it is understood: %s",
                container,
                problem,
            )

    def _differs_from_record(self, one: Listed, records: Mapping[str, ContainerRecord]) -> bool:
        record = records.get(one.name)
        if record is None or record.id != one.id or record.state != one.state:
            return True
        if record.running and record.health != one.health:
            return True
        after = INSPECT_HEALTH_AFTER if record.running and record.health else INSPECT_AFTER
        return self._monotonic() - self._inspected.get(one.id, 0.0) >= after

    def _settle_held_starts(self) -> None:
        """Give the starts through the API their causes, when it is time."""
        records = self._store.docs(CONTAINERS).values()
        if not any(record.held for record in records) and not self._store.docs(CLAIMS):
            return
        with self._store.transaction() as tx:
            change, used = settle(tx.docs(CONTAINERS).values(), tx.docs(CLAIMS), self._clock())
            _apply_change(tx, change)
            for key in used:
                tx.delete(CLAIMS, key)

    def _forget_removed(self, tx: Transaction, records: dict[str, ContainerRecord]) -> None:
        names = {name for name in records if ignored(name, one_off=False, settings=self._settings)}
        names.update(gone_for_good(records.values(), self._settings, self._clock()))
        beyond = over_limit(records.values(), self._settings)
        if beyond:
            tx.inc(SERIES_LIMITED, (EXPECTED.name,), len(beyond))
        names.update(beyond)
        _apply_change(tx, Change(dict.fromkeys(names)), records)

    def _is_ignored_event(self, event: Event) -> bool:
        return ignored(event.name, is_one_off(event.attributes), self._settings)

    def _stored_cursor(self) -> int:
        record = self._store.document(ENGINE, _KEY)
        return 0 if record is None else record.cursor

    def _put_engine(self, tx: Transaction, **changes: int | str) -> None:
        record = tx.get(ENGINE, _KEY)
        if record is not None:
            tx.put(ENGINE, _KEY, msgspec.structs.replace(record, **changes))


def _engine_answers(engine: Engine) -> bool:
    try:
        engine.ping()
    except EngineError:
        return False
    return True


@contextlib.contextmanager
def _costs_itself_only(name: str) -> Iterator[None]:
    """One container that cannot be counted must not keep the others from being counted."""
    try:
        yield
    except StoreError:
        raise
    except Exception:
        log.exception("container %.100s could not be counted", name)


def _running_container(record: ContainerRecord, seen: Inspection | None) -> Running:
    if seen is None:  # it may have the device's network
        return Running(record.id, record.name, network=False)
    return Running(record.id, record.name, seen.pid, seen.own_network, seen.cpu_limit, seen.memory_limit)


def _needs_inspection(event: Event) -> bool:
    killed = event.action == "die" and event.attributes.get("exitCode") == "137"
    return killed or event.action in ("start", "health_status", "update")


def _end_series(tx: Transaction, name: str, known: ContainerRecord | None) -> None:
    """Those of a container, and those of its slot with the slot's last task."""
    place = known.place if known is not None else ""
    in_use = not place or any(one.place == place for one in tx.docs(CONTAINERS).values())
    for metric, labels in (*all_series(name), *(() if in_use else slot_series(place))):
        tx.remove(metric, labels)


def _apply_change(tx: Transaction, change: Change, records: dict[str, ContainerRecord] | None = None) -> None:
    """Store a change, and tell of it; `records` follows it."""
    before = {name: tx.get(CONTAINERS, name) for name in change.records}
    for name, record in change.records.items():
        known = tx.get(CONTAINERS, name)
        if record is None:
            tx.delete(CONTAINERS, name)
            _end_series(tx, name, known)
        elif record != known:
            tx.put(CONTAINERS, name, record)
            if known is None:
                for metric, labels in (*all_series(name), *slot_series(record.place)):
                    tx.inc(metric, labels, 0)
        if records is None:
            continue
        if record is None:
            records.pop(name, None)
        else:
            records[name] = record
    for count in change.counts:
        tx.inc(count.metric, count.labels, count.amount)
    for time, entry in told(before, change):
        tell(tx, time or tx.now, entry)
