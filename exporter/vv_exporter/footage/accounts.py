"""Counts what is missing, second by second once, when it is too late for it to be there; forgets what is too old."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from vv_exporter.footage import ledger, states
from vv_exporter.footage.causes import CAUSES
from vv_exporter.footage.ledger import DAY, MAX_CAMERAS, milliseconds
from vv_exporter.footage.report import View, account, due, names
from vv_exporter.metrics.footage import FOOTAGE_MISSING
from vv_exporter.settings import FootageSettings
from vv_exporter.state.store import Kind, Store, Transaction

INTERVAL = 60.0
FORGET_EVERY = 60  # rounds
MOST_AT_ONCE = 31 * DAY
COUNTED = tuple(cause for cause in CAUSES if cause != "not_expected")


class Accounted(msgspec.Struct, frozen=True, array_like=True):
    """A camera is watched since then, and what is missing is counted until then (milliseconds)."""

    since: int
    until: int


class AllAccounted(msgspec.Struct, frozen=True):
    """By camera."""

    cameras: dict[str, Accounted]


ACCOUNTED: Kind[AllAccounted] = Kind("footage_accounted", AllAccounted)


def watched_since(store: Store) -> dict[str, int]:
    """By camera: since when it is watched, whether there was footage of it or not."""
    known = store.document(ACCOUNTED, "")
    return {dvr: one.since for dvr, one in known.cameras.items()} if known is not None else {}


class FootageAccounts:
    """Of one store; `plans` is `footage` of vv.yml."""

    def __init__(self, store: Store, plans: Mapping[str, FootageSettings], clock: Callable[[], float]) -> None:
        self._store = store
        self._plans = plans
        self._clock = clock
        self._rounds = 0

    def round(self) -> None:
        """Count what is missing by now. Raises `StoreError`."""
        if self._rounds % FORGET_EVERY == 0:
            with self._store.transaction() as tx:
                ledger.forget_old(tx, tx.now)
                states.forget_old(tx, tx.now)
        self._rounds += 1
        if names(View(self._store), self._plans):
            with self._store.transaction() as tx:
                count_missing(tx, self._plans)


def count_missing(tx: Transaction, plans: Mapping[str, FootageSettings]) -> None:
    """Count, for each camera, what is missing since it was counted last."""
    view, now = View(tx), milliseconds(tx.now)
    known = tx.get(ACCOUNTED, "") or AllAccounted({})
    found: dict[str, Accounted] = {}
    for dvr in names(view, plans)[:MAX_CAMERAS]:
        plan, camera = plans.get(dvr), view.cameras().get(dvr)
        until = due(camera, plan, now)
        before = known.cameras.get(dvr)
        if before is None or before.until > now:  # new, or the clock was set back
            found[dvr] = Accounted(min(before.since, now) if before is not None else now, max(until, 0))
            tx.ensure(FOOTAGE_MISSING, *((dvr, cause) for cause in COUNTED))
            continue
        until = max(until, before.until)
        start = max(before.until, until - MOST_AT_ONCE)
        found[dvr] = Accounted(before.since, until)
        for cause, length in account(view, dvr, plan, start, until, now, before.since).missing_by_cause.items():
            tx.inc(FOOTAGE_MISSING, (dvr, cause), length / 1000)
    if found != known.cameras:
        tx.put(ACCOUNTED, "", AllAccounted(found))
