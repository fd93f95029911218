"""Counts what is missing, second by second once, when it is too late for it to be there; notes what is missing or not
signed of late, which rules ask for, and records each hole when it is over; forgets what is too old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from vv_exporter.common.clock import isoformat
from vv_exporter.footage import ledger, states
from vv_exporter.footage.causes import CAUSES, Part
from vv_exporter.footage.intervals import Spans, total
from vv_exporter.footage.ledger import DAY, MAX_CAMERAS, milliseconds
from vv_exporter.footage.recent import (
    LOOK_BACK,
    Recent,
    holes_that_ended,
    open_hole,
    recent_by_cause,
    there_ratio,
    unsigned,
)
from vv_exporter.footage.report import Account, View, account, due, longest, names
from vv_exporter.footage.words import describe_part, join_lines, length
from vv_exporter.language.sentences import nsentence, sentence
from vv_exporter.metrics import Labels, Metric
from vv_exporter.metrics.footage import (
    FOOTAGE_DAY_RATIO,
    FOOTAGE_HOLE_END,
    FOOTAGE_HOLE_START,
    FOOTAGE_MISSING,
    FOOTAGE_OPEN,
    FOOTAGE_RECENT,
    FOOTAGE_UNSIGNED,
    FOOTAGE_UNSIGNED_END,
    FOOTAGE_UNSIGNED_START,
)
from vv_exporter.settings import FootageSettings
from vv_exporter.state.store import Kind, Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

INTERVAL = 60.0
FORGET_EVERY = 60  # rounds
MOST_AT_ONCE = 31 * DAY
MOST_PARTS_SHOWN = 10
"""Parts of a hole that the timeline shows one by one: the longest."""
COUNTED = tuple(cause for cause in CAUSES if cause != "not_expected")


class Accounted(msgspec.Struct, frozen=True, array_like=True):
    """A camera is watched since then, and what is missing is counted until then (milliseconds)."""

    since: int
    until: int


class AllAccounted(msgspec.Struct, frozen=True):
    """By camera."""

    cameras: dict[str, Accounted]


ACCOUNTED: Kind[AllAccounted] = Kind("footage_accounted", AllAccounted)


class Limits(NamedTuple):
    """Seconds: a hole that is longer is recorded when it is over; a recording is signed within the other (0: never)."""

    missing: float = 60.0
    signed_within: float = 0.0


def signed_within(plan: FootageSettings | None, default: float | None) -> float:
    """Seconds after which a camera's recording should be signed; 0 if nobody says so."""
    return (plan.signed_within if plan is not None else None) or default or 0.0


def watched_since(store: Store) -> dict[str, int]:
    """By camera: since when it is watched, whether there was footage of it or not."""
    known = store.document(ACCOUNTED, "")
    return {dvr: one.since for dvr, one in known.cameras.items()} if known is not None else {}


class FootageAccounts:
    """Of one store; `plans` is `footage` of vv.yml, `limits` what holds for all cameras."""

    def __init__(
        self,
        store: Store,
        plans: Mapping[str, FootageSettings],
        clock: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        self._store = store
        self._plans = plans
        self._limits = limits if limits is not None else Limits()
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
                accounts = count_missing(tx, self._plans, self._limits)
                note_recent(tx, self._store, accounts, self._plans, self._limits)


def count_missing(tx: Transaction, plans: Mapping[str, FootageSettings], limits: Limits) -> dict[str, Account]:
    """Count, for each camera, what is missing since it was counted last; record the holes that ended meanwhile.

    Gives by camera what there is of the last day, up to when it is too late.
    """
    view, now = View(tx), milliseconds(tx.now)
    known = tx.get(ACCOUNTED, "") or AllAccounted({})
    found: dict[str, Accounted] = {}
    accounts: dict[str, Account] = {}
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
        one = account(view, dvr, plan, min(start, until - LOOK_BACK), until, now, before.since)
        for cause, lost in _by_cause(one.missing, start, until).items():
            tx.inc(FOOTAGE_MISSING, (dvr, cause), lost / 1000)
        for hole in holes_that_ended(one.missing, start, until):
            record_hole(tx, dvr, hole, limits)
        accounts[dvr] = one
    if found != known.cameras:
        tx.put(ACCOUNTED, "", AllAccounted(found))
    return accounts


def note_recent(
    tx: Transaction,
    store: Store,
    accounts: Mapping[str, Account],
    plans: Mapping[str, FootageSettings],
    limits: Limits,
) -> None:
    """Note what is missing and not signed of late of these cameras. What is noted of others goes."""
    view, now = View(tx), milliseconds(tx.now)
    recent: dict[Labels, Recent] = {}
    late: dict[Labels, Spans] = {}
    lasting: dict[Labels, float] = {}
    shares: dict[Labels, float] = {}
    for dvr, one in accounts.items():
        plan, until = plans.get(dvr), one.end
        found = recent_by_cause(one.missing, until)
        if plan is None:  # nobody says that it is to be recorded, and its agent was ended on purpose
            found.pop("agent_stopped", None)
        recent |= {(dvr, cause): missing for cause, missing in found.items()}
        hole = open_hole(one.missing, until)
        if hole:
            lasting[dvr, hole[-1].cause] = hole[0].start / 1000
        share = there_ratio(one.missing, one.expected, until)
        if share is not None:
            shares[dvr,] = share
        within = signed_within(plan, limits.signed_within)
        spans = unsigned(view, dvr, due(view.cameras().get(dvr), plan, now) - round(within * 1000)) if within else ()
        if spans:
            late[dvr,] = spans
    for metric, values in (
        (FOOTAGE_RECENT, {labels: one.missing / 1000 for labels, one in recent.items()}),
        (FOOTAGE_HOLE_START, {labels: one.start / 1000 for labels, one in recent.items()}),
        (FOOTAGE_HOLE_END, {labels: one.end / 1000 for labels, one in recent.items()}),
        (FOOTAGE_OPEN, lasting),
        (FOOTAGE_DAY_RATIO, shares),
        (FOOTAGE_UNSIGNED, {labels: total(spans) / 1000 for labels, spans in late.items()}),
        (FOOTAGE_UNSIGNED_START, {labels: spans[0][0] / 1000 for labels, spans in late.items()}),
        (FOOTAGE_UNSIGNED_END, {labels: spans[-1][1] / 1000 for labels, spans in late.items()}),
    ):
        _show(tx, store, metric, values)


def _by_cause(parts: Iterable[Part], start: int, until: int) -> dict[str, int]:
    """How much is missing between two times, in milliseconds."""
    found: dict[str, int] = {}
    for part in parts:
        lost = min(part.end, until) - max(part.start, start)
        if lost > 0:
            found[part.cause] = found.get(part.cause, 0) + lost
    return found


def _show(tx: Transaction, store: Store, metric: Metric, values: Mapping[Labels, float]) -> None:
    """Let a gauge have these series and no others; what is as it was is not written again."""
    shown = {labels: one.value for labels, one in store.series(metric)}
    for labels, value in values.items():
        if shown.get(labels) != value:
            tx.set(metric, labels, value)
    for labels in shown.keys() - values.keys():
        tx.remove(metric, labels)


def record_hole(tx: Transaction, dvr: str, hole: tuple[Part, ...], limits: Limits) -> None:
    """Put a hole that is over on the timeline: how long it was, from when to when, why."""
    lost = total(part[:2] for part in hole) / 1000
    if lost <= limits.missing:
        return
    shown = longest(hole, MOST_PARTS_SHOWN)
    lines = [
        describe_part(isoformat(start / 1000), isoformat(end / 1000), (end - start) / 1000, cause, detail)
        for start, end, cause, detail in shown
    ]
    if len(hole) > len(shown):
        lines.append(nsentence("and {count} shorter part", "and {count} shorter parts", count=len(hole) - len(shown)))
    details = join_lines(lines)
    title = sentence("{length} of {dvr} are missing", length=length(lost), dvr=dvr)
    add_to_timeline(tx, hole[-1].end / 1000, Entry("footage.missing", title, "info", dvr, details))
