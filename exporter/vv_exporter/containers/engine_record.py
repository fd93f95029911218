"""Which Engine the counts belong to, and how far its events were counted: kept for the next connection to compare."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from vv_exporter.containers.engine import REPLAY_LIMIT, Engine, EngineError
from vv_exporter.containers.ledger import engine_restarted
from vv_exporter.containers.observed import SECOND
from vv_exporter.containers.open_ledger import OpenLedger
from vv_exporter.state.store import Kind, Store, Transaction

log = logging.getLogger(__name__)


class EngineRecord(msgspec.Struct, frozen=True):
    """How far the Engine's events were counted (its clock, nanoseconds), and what sets it apart from the next one."""

    cursor: int
    met: int = 0
    """When the present Engine was first or last connected to."""
    bridge: str = ""
    lost: int = 0
    """When the stream ended (nanoseconds), 0 while it is followed."""


ENGINE: Kind[EngineRecord] = Kind("docker_engine", EngineRecord)
_KEY = "engine"


def find_engine_record(store: Store) -> EngineRecord | None:
    """None before the first Engine was connected to."""
    return store.document(ENGINE, _KEY)


def find_cursor(store: Store) -> int:
    """The time of the last event that was counted (the Engine's clock, nanoseconds); 0 before the first connection."""
    record = find_engine_record(store)
    return 0 if record is None else record.cursor


def update_engine_record(tx: Transaction, **changes: int | str) -> None:
    """Change fields of the record, if there is one."""
    record = tx.get(ENGINE, _KEY)
    if record is not None:
        tx.put(ENGINE, _KEY, msgspec.structs.replace(record, **changes))


def ensure_engine_record(store: Store, engine: Engine, clock: Callable[[], float]) -> EngineRecord:
    """The record; at the first connection it begins now: what happened before is not counted. Raises `EngineError`."""
    record = find_engine_record(store)
    if record is None:
        record = EngineRecord(cursor=ask_engine_time(engine, clock))
        with store.transaction() as tx:
            tx.put(ENGINE, _KEY, record)
    return record


def meet_engine(store: Store, engine: Engine, clock: Callable[[], float], *, may_be_another: bool) -> None:
    """Record a connection; where the Engine is another than before, all containers wait for their first inspection.

    Raises `EngineError`.
    """
    record = find_engine_record(store)
    met, bridge = ask_engine_time(engine, clock), engine.bridge_created()
    another = record is not None and may_be_another and is_another_engine(engine, record, bridge, clock)
    with store.transaction() as tx:
        if another and record is not None:
            log.info("the Docker Engine was restarted")
            ledger = OpenLedger(tx)
            ledger.apply(engine_restarted(ledger.records.values(), record.lost or None))
        update_engine_record(tx, met=met, bridge=bridge, lost=0)


def ask_engine_time(engine: Engine, clock: Callable[[], float]) -> int:
    """The Engine's clock, or ours while it does not say (nanoseconds). Raises `EngineError` if it answers nothing."""
    try:
        return engine.time()
    except EngineError:
        engine.ping()
        return int(clock() * SECOND)


def is_another_engine(engine: Engine, record: EngineRecord, bridge: str, clock: Callable[[], float]) -> bool:
    """Whether the Engine was restarted since it was last connected to, or sent an event; no, if it does not say.

    It keeps events in memory: with one from before, it is the same. It makes its default bridge at each start.
    Where it has none, and what it keeps does not fill its memory, it has not forgotten events but never had them.
    """
    try:
        if not record.met or engine.kept_events(max(record.met, record.cursor)):
            return False
        if bridge and record.bridge:
            return bridge != record.bridge
        # Up to a time that is yet to come: what happens while it is asked pushes out as much of what it kept.
        return engine.kept_events(ask_engine_time(engine, clock) + SECOND // 5) < REPLAY_LIMIT
    except EngineError:
        engine.ping()
        return False
