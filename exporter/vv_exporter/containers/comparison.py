"""A comparison of the ledger with what the Engine shows at one time: its list, and inspections of some. No I/O.

Where events can be expected they say more than the list, and what an inspection shows first is expected of them, too.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from typing import NamedTuple

from vv_exporter.containers.inspections import fold_inspection, fold_listed, fold_missing
from vv_exporter.containers.ledger import engine_settled, supersede
from vv_exporter.containers.observed import Inspection, Listed
from vv_exporter.containers.open_ledger import OpenLedger, costs_itself_only
from vv_exporter.containers.records import GONE, ContainerRecord, by_id


class Comparison(NamedTuple):
    """What is compared. Containers are named by their ids."""

    inspections: Collection[Inspection]
    inspected_before: Container[str]
    """Those that had been inspected on this connection before: what happened since then has an event."""
    blind: Collection[Listed]
    """Those that are listed, and could not be inspected now."""
    reported: Container[str]
    """Those of which an event came after the list was asked for."""
    missing: Collection[ContainerRecord]
    """Those that were known before the list was asked for, and are not in it."""
    complete: bool
    """Whether all that are listed were to be inspected, as after a connection."""
    following: bool
    """Whether all events are seen."""


def fold_comparison(ledger: OpenLedger, seen: Comparison, cursor: int, now: float) -> list[str]:
    """Those that have changed though no event reported it; `cursor` is the time of the last counted event."""
    unreported = _fold_inspections(ledger, seen, cursor, now) + _fold_blind(ledger, seen, now)
    for record in seen.missing:
        known = ledger.records.get(record.name)
        if known and known.id == record.id and known.state != GONE:
            ledger.apply(fold_missing(known, now))
    if seen.complete:
        unknown = {one.id for one in seen.blind}
        ledger.apply(engine_settled(one for one in ledger.records.values() if one.id not in unknown))
    ledger.apply(supersede(ledger.records.values()))
    return unreported


def _fold_inspections(ledger: OpenLedger, seen: Comparison, cursor: int, now: float) -> list[str]:
    unreported: list[str] = []
    for inspection in seen.inspections:
        record = by_id(ledger.records.values(), inspection.id)
        may_expect_event = seen.following and inspection.id in seen.inspected_before
        if may_expect_event and record is not None and _is_news(record, inspection):
            unreported.append(inspection.id)
        with costs_itself_only(inspection.name):
            ledger.apply(fold_inspection(ledger.records, inspection, cursor, now))
    return unreported


def _is_news(record: ContainerRecord, inspection: Inspection) -> bool:
    changed = inspection.started > record.started or record.running != inspection.running
    return changed and not record.listed_only


def _fold_blind(ledger: OpenLedger, seen: Comparison, now: float) -> list[str]:
    unreported: list[str] = []
    for one in seen.blind:
        if one.id in seen.reported:
            continue
        record = by_id(ledger.records.values(), one.id)
        if record is None or seen.complete or not seen.following:
            with costs_itself_only(one.name):
                ledger.apply(fold_listed(ledger.records, one, now))
        elif record.running != one.running:
            unreported.append(one.id)
    return unreported
