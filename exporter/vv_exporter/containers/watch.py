"""The worker that follows the Engine and keeps the ledger. Nothing else waits for the Engine.

It follows the event stream, folds what comes into the records and counters (one transaction with the time of the last
event), and compares with the list of containers every `RECONCILE_INTERVAL` seconds, and at once and completely after
each connection. When anything fails, the Engine or the database, it drops what it has not stored, begins the stream
anew after the last stored event, and so loses nothing that the Engine still has.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from vv_exporter import threads
from vv_exporter.containers.engine import REPLAY_LIMIT, Engine, EngineError, Follower, NotUnderstoodError
from vv_exporter.containers.expectation import forgettable, ignored
from vv_exporter.containers.ledger import (
    CLAIMS,
    CONTAINERS,
    GONE,
    Change,
    ContainerRecord,
    all_series,
    engine_restarted,
    engine_settled,
    fold_event,
    fold_inspection,
    fold_missing,
    settle,
)
from vv_exporter.containers.observed import SECOND, Event, Inspection, Listed, is_one_off
from vv_exporter.containers.resources import Running
from vv_exporter.containers.told import told
from vv_exporter.database import StoreError
from vv_exporter.settings import ContainersSettings
from vv_exporter.store import Kind, Store, Transaction
from vv_exporter.timeline import tell

log = logging.getLogger(__name__)

DEFAULT_HOST = "unix:///var/run/docker.sock"
RECONCILE_INTERVAL = 30.0
INSPECT_AFTER = 300.0  # seconds after which a container that seems unchanged is inspected again
INSPECT_HEALTH_AFTER = 60.0  # …and one with a health check: the failing streak grows without an event
PING_INTERVAL = 3.0
UP_FOR = 8.0  # seconds that an answer counts; more than PING_INTERVAL and the Engine's time to answer
_WAIT = 1.0  # seconds that the worker waits for an event
_QUIET = 0.3  # seconds without an event after which the Engine is taken to have replayed all
_CONNECT_TIMEOUT = 10.0
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
        self._thread = threading.Thread(target=self._run, name="docker", daemon=True)
        self._engine: Engine | None = None
        self._follower: Follower | None = None
        self._followed_at = 0.0
        self._synced = False
        self._reachable = True
        self._retry = _RETRY
        self._answered: float | None = None
        self._ping_at = 0.0
        self._reconcile_at = 0.0
        self._inspected: dict[str, float] = {}
        self._seen: dict[str, Inspection] = {}
        self._not_understood: set[str] = set()
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
        return self.up and follower is not None and follower.connected.is_set() and not follower.ended.is_set()

    @property
    def current(self) -> bool:
        """Whether the records show the present: every event is seen, and those missed before were made up for."""
        return self.following and self._synced

    @property
    def running(self) -> list[Running]:
        """The containers that run, with what was last seen of each."""
        seen, records = self._seen, self._store.docs(CONTAINERS).values()
        return [_running(record, seen.get(record.id)) for record in records if record.running]

    def connect(self) -> Engine:
        """A connection of its own to the Engine. Raises `EngineError`."""
        return Engine(self._host)

    def start(self) -> None:
        """Begin."""
        threads.start(self._thread)

    def stop(self) -> None:
        """End; does not wait for an Engine that hangs."""
        self._stopping.set()
        for part in (self._follower, self._engine):
            if part is not None:
                part.close()
        self._thread.join(timeout=2 * _WAIT)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self.follow_once():
                self._stopping.wait(self._retry)
                self._retry = min(2 * self._retry, _RETRY_MAX)
        self._drop()

    def follow_once(self) -> bool:
        """Take one step; False if that failed, and the next one begins anew. Raises nothing."""
        try:
            try:
                if self._worth_a_try():
                    self._step()
                    return True
                self.settled = True
            except EngineError as error:
                self._failed(error)
        except StoreError as error:
            log.error("containers cannot be counted now, will be counted later: %s", error)
        except Exception:
            if not self._stopping.is_set():
                log.exception("following the Docker Engine failed; beginning anew")
        self._drop()
        return False

    def _worth_a_try(self) -> bool:
        return self.present or Path(self._host.removeprefix("unix://")).exists()

    def _step(self) -> None:
        engine = self._engine
        if engine is None:
            engine = self._engine = Engine(self._host)
            self._ping_at = 0.0
        if self._monotonic() >= self._ping_at:
            engine.ping()
            self._answer()
            self._ping_at = self._monotonic() + PING_INTERVAL
        follower = self._followed(engine)
        if follower.ended.is_set():
            raise EngineError(f"the event stream ended ({follower.error or 'closed'})")
        if self._synced:
            self._count(engine, follower.take(_WAIT))
            self._decide()
            if self._monotonic() >= self._reconcile_at:
                self._reconcile(engine, follower, complete=False)
        elif follower.connected.wait(_WAIT):
            self._synchronise(engine, follower)
        elif self._monotonic() - self._followed_at > _CONNECT_TIMEOUT:
            raise EngineError("the event stream could not be opened")

    def _answer(self) -> None:
        self._answered = self._monotonic()
        if not self._reachable:
            log.info("the Docker Engine at %s answers again", self._host)
        self._reachable = True

    def _failed(self, error: EngineError) -> None:
        self.settled = True
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
            self._count(engine, follower.take(_WAIT))
            if _answers(engine):
                break
        self._count(engine, follower.take(0))

    def _drop(self) -> None:
        """Forget the connection, and all events that were not stored."""
        followed = self._synced
        if followed and self._monotonic() - self._followed_at > _STABLE:
            self._retry = _RETRY
        follower, self._follower, self._synced = self._follower, None, False
        engine, self._engine = self._engine, None
        for part in (follower, engine):
            if part is not None:
                part.close()
        if followed:
            with contextlib.suppress(StoreError), self._store.transaction() as tx:
                self._put_engine(tx, lost=int(self._clock() * 1e9))

    def _followed(self, engine: Engine) -> Follower:
        if self._follower is None:
            record = self._store.document(ENGINE, _KEY)
            if record is None:
                record = EngineRecord(cursor=engine.time())
                with self._store.transaction() as tx:
                    tx.put(ENGINE, _KEY, record)
            self._follower = engine.follow(record.cursor)
            self._followed_at = self._monotonic()
        return self._follower

    def _synchronise(self, engine: Engine, follower: Follower) -> None:
        """After a connection: is it another Engine, what did it replay, and what is the state now?"""
        record = self._store.document(ENGINE, _KEY)
        met, bridge = engine.time(), engine.bridge_created()
        another = record is not None and record.met > 0 and _is_another(engine, record, bridge)
        with self._store.transaction() as tx:
            if record is not None and another:
                log.info("the Docker Engine was restarted")
                _apply(tx, engine_restarted(tx.docs(CONTAINERS).values(), record.lost or None))
            self._put_engine(tx, met=met, bridge=bridge, lost=0)
        while not self._stopping.is_set():
            events = follower.take(_QUIET)
            if not events:
                break
            self._count(engine, events)
        self._reconcile(engine, follower, complete=True)
        self._synced = True

    def _count(self, engine: Engine, events: list[Event]) -> None:
        """Fold events, and remember how far they were counted."""
        cursor = self._cursor()
        relevant = [event for event in events if event.time != cursor and not self._ignored(event)]
        if not relevant:
            return
        inspections = self._inspections(engine, relevant)
        with self._store.transaction() as tx:
            records = tx.docs(CONTAINERS)
            for event in relevant:
                with _costs_itself_only(event.name):
                    change = fold_event(records, event, inspections.get(event.id), self._clock())
                    _apply(tx, change, records)
            self._put_engine(tx, cursor=relevant[-1].time)

    def _inspections(self, engine: Engine, events: Iterable[Event]) -> dict[str, Inspection]:
        """Where the Engine does not answer any more, its events have to be enough."""
        found: dict[str, Inspection] = {}
        with contextlib.suppress(EngineError):
            for container in dict.fromkeys(event.id for event in events if _needs_inspection(event)):
                inspection = self._inspect(engine, container)
                if inspection is not None:
                    found[container] = inspection
        return found

    def _inspect(self, engine: Engine, container: str) -> Inspection | None:
        if self._stopping.is_set():
            raise EngineError("stopping")
        try:
            inspection = engine.inspect(container)
        except NotUnderstoodError as error:
            inspection = None
            self._complain(container, str(error))
        self._answer()
        self._inspected[container] = self._monotonic()
        if inspection is not None:
            self._seen[container] = inspection
        return inspection

    def _reconcile(self, engine: Engine, follower: Follower, *, complete: bool) -> None:
        """Compare with the Engine's list; inspect what differs or was not looked at for long, or everything."""
        before = self._store.docs(CONTAINERS)
        listing = engine.containers()
        listed = [one for one in listing.containers if not ignored(one.name, one.one_off, self._settings)]
        self._answer()
        wanted = [one.id for one in listed if complete or self._differs(one, before)]
        inspections = [inspection for one in wanted if (inspection := self._inspect(engine, one)) is not None]
        # What happened before the inspections has an event, which tells more.
        self._count(engine, follower.take(0))
        here = {one.id for one in listed}
        with self._store.transaction() as tx:
            records = tx.docs(CONTAINERS)
            cursor = self._cursor()
            for inspection in inspections:
                with _costs_itself_only(inspection.name):
                    _apply(tx, fold_inspection(records, inspection, cursor, self._clock()), records)
            for record in before.values() if listing.complete else ():
                known = records.get(record.name)
                if known and known.id == record.id and known.state != GONE and known.id not in here:
                    _apply(tx, fold_missing(known, self._clock()), records)
            if complete:
                _apply(tx, engine_settled(records.values()), records)
            self._forget(tx, records)
        self._inspected = {one: at for one, at in self._inspected.items() if one in here}
        self._seen = {one: seen for one, seen in self._seen.items() if one in here}
        self._not_understood &= here
        self._reconcile_at = self._monotonic() + RECONCILE_INTERVAL
        self.settled = True

    def _complain(self, container: str, problem: str) -> None:
        """Once for each container that cannot be understood; what is known of it stays as it is."""
        if container not in self._not_understood:
            self._not_understood.add(container)
            log.error("what the Docker Engine says of container %.12s is not understood: %s", container, problem)

    def _differs(self, one: Listed, records: Mapping[str, ContainerRecord]) -> bool:
        record = records.get(one.name)
        if record is None or record.id != one.id or record.state != one.state:
            return True
        if record.running and record.health != one.health:
            return True
        after = INSPECT_HEALTH_AFTER if record.running and record.health else INSPECT_AFTER
        return self._monotonic() - self._inspected.get(one.id, 0.0) >= after

    def _decide(self) -> None:
        """Give the starts through the API their causes, when it is time."""
        records = self._store.docs(CONTAINERS).values()
        if not any(record.held for record in records) and not self._store.docs(CLAIMS):
            return
        with self._store.transaction() as tx:
            change, used = settle(tx.docs(CONTAINERS).values(), tx.docs(CLAIMS), self._clock())
            _apply(tx, change)
            for key in used:
                tx.delete(CLAIMS, key)

    def _forget(self, tx: Transaction, records: dict[str, ContainerRecord]) -> None:
        names = {name for name in records if ignored(name, one_off=False, settings=self._settings)}
        names.update(forgettable(records.values(), self._settings, self._clock()))
        _apply(tx, Change(dict.fromkeys(names)), records)

    def _ignored(self, event: Event) -> bool:
        return ignored(event.name, is_one_off(event.attributes), self._settings)

    def _cursor(self) -> int:
        record = self._store.document(ENGINE, _KEY)
        return 0 if record is None else record.cursor

    def _put_engine(self, tx: Transaction, **changes: int | str) -> None:
        record = tx.get(ENGINE, _KEY)
        if record is not None:
            tx.put(ENGINE, _KEY, msgspec.structs.replace(record, **changes))


def _answers(engine: Engine) -> bool:
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


def _running(record: ContainerRecord, seen: Inspection | None) -> Running:
    if seen is None:  # it may have the device's network
        return Running(record.id, record.name, network=False)
    return Running(record.id, record.name, seen.pid, seen.own_network, seen.cpu_limit, seen.memory_limit)


def _is_another(engine: Engine, record: EngineRecord, bridge: str) -> bool:
    """Whether the Engine was restarted since it was last connected to, or sent an event.

    It keeps events in memory: with one from before, it is the same. It makes its default bridge at each start. Where it
    has none, and what it keeps does not fill its memory, it has not forgotten events but never had them.
    """
    if engine.kept_events(max(record.met, record.cursor)):
        return False
    if bridge and record.bridge:
        return bridge != record.bridge
    # Up to a time that is yet to come: what happens while it is asked pushes out as much of what it kept.
    return engine.kept_events(engine.time() + SECOND // 5) < REPLAY_LIMIT


def _needs_inspection(event: Event) -> bool:
    killed = event.action == "die" and event.attributes.get("exitCode") == "137"
    return killed or event.action in ("start", "health_status", "update")


def _apply(tx: Transaction, change: Change, records: dict[str, ContainerRecord] | None = None) -> None:
    """Store a change, and tell of it; `records` follows it."""
    before = {name: tx.get(CONTAINERS, name) for name in change.records}
    for name, record in change.records.items():
        known = tx.get(CONTAINERS, name)
        if record is None:
            tx.delete(CONTAINERS, name)
            for metric, labels in all_series(name):
                tx.remove(metric, labels)
        elif record != known:
            tx.put(CONTAINERS, name, record)
            if known is None:
                for metric, labels in all_series(name):
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
