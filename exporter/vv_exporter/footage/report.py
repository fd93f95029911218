"""What there is of a camera between two times, and what is missing, why: read from the ledger and the states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vv_exporter.footage.calendar import ALWAYS, expected
from vv_exporter.footage.causes import CONNECTED, Known, Part, explain
from vv_exporter.footage.intervals import Span, Spans, clipped, common, gaps
from vv_exporter.footage.ledger import CAMERAS, DAY, DAYS, STEPS, Camera, Day, closed_of, latest_of, spans_of
from vv_exporter.footage.segments import JOIN
from vv_exporter.footage.states import ENDED, LASTING, PROBED_UP, EndedThatDay, Now, known_of
from vv_exporter.settings import FootageSettings
from vv_exporter.state.store import Store, Transaction

DUE_AFTER = 120_000
"""Milliseconds after which footage that is not there is missing: agents report each second, faults are noticed within
a minute. Of recordings besides as long as one of them is."""
FORGOTTEN_AFTER = 7 * DAY
"""How long footage of a camera is expected that is not in `footage` of vv.yml, after there was any."""
_BEFORE = 3_600_000
"""How much of the time before is looked at, for holes that began in it."""


@dataclass(frozen=True, slots=True)
class View:
    """Where days, states and cameras are read: in the store, or in a transaction."""

    source: Store | Transaction

    def day(self, key: str) -> Day | None:
        """A day of the ledger."""
        return self.source.document(DAYS, key) if isinstance(self.source, Store) else self.source.get(DAYS, key)

    def lasting(self, key: str) -> Now | None:
        """The states that last."""
        return self.source.document(LASTING, key) if isinstance(self.source, Store) else self.source.get(LASTING, key)

    def ended(self, key: str) -> EndedThatDay | None:
        """The states that ended on a day."""
        return self.source.document(ENDED, key) if isinstance(self.source, Store) else self.source.get(ENDED, key)

    def cameras(self) -> dict[str, Camera]:
        """All cameras of which there is footage."""
        return self.source.docs(CAMERAS)


class Account(NamedTuple):
    """Of a camera between two times (milliseconds). `basis` is the step without which footage is missing.

    `due` is until when it is too late for footage that is not there; `missing` are parts of holes with their causes.
    """

    dvr: str
    basis: str
    start: int
    end: int
    due: int
    expected: Spans
    steps: Mapping[str, Spans]
    closed: int
    missing: tuple[Part, ...]

    @property
    def missing_by_cause(self) -> dict[str, int]:
        """Milliseconds, the most first."""
        found: dict[str, int] = {}
        for part in self.missing:
            found[part.cause] = found.get(part.cause, 0) + part.end - part.start
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


class Lost(NamedTuple):
    """How much is missing of a camera between two times (milliseconds), and not why: that is most of the work.

    `basis`, `due` and `expected` as in `Account`; `holes` are whole, they may reach beyond what is expected.
    """

    basis: str
    start: int
    end: int
    due: int
    expected: Spans
    holes: Spans

    @property
    def missing(self) -> Spans:
        """What was expected and is not there."""
        return common(self.holes, self.expected)


def names(view: View, plans: Mapping[str, FootageSettings]) -> list[str]:
    """All cameras, by name: those of vv.yml, and those of which there is footage."""
    return sorted({*plans, *view.cameras()})


def basis_of(camera: Camera | None, plan: FootageSettings | None) -> str:
    """The step without which footage is missing: `recorded`, where recordings are known at all."""
    is_recorded = (plan is not None and plan.files) or (camera is not None and "recorded" in camera.latest)
    return "recorded" if is_recorded else "received"


def due(camera: Camera | None, plan: FootageSettings | None, now: int) -> int:
    """Until when it is too late for footage that is not there."""
    if basis_of(camera, plan) == "received":
        return now - DUE_AFTER
    length = round(plan.length * 1000) if plan is not None and plan.files else 0
    return now - DUE_AFTER - max(length, camera.longest if camera is not None else 0)


def lost(
    view: View, dvr: str, plan: FootageSettings | None, start: int, end: int, now: int, since: int | None = None
) -> Lost:
    """How much of a camera is missing. It is watched since `since`, or since its first footage."""
    camera = view.cameras().get(dvr)
    basis, until = basis_of(camera, plan), due(camera, plan, now)
    wanted = _expected_spans(view, camera, plan, max(start, _begin_of(camera, since, end)), end, until, basis)
    return Lost(basis, start, end, min(until, end), wanted, _holes(view, dvr, basis, wanted, start, now))


def account(
    view: View, dvr: str, plan: FootageSettings | None, start: int, end: int, now: int, since: int | None = None
) -> Account:
    """What there is of a camera, and what is missing, with its causes. As `lost` has it."""
    found = lost(view, dvr, plan, start, end, now, since)
    steps = {step: spans_of(view.day, dvr, step, start, end) for step in STEPS}
    return Account(
        dvr,
        found.basis,
        start,
        end,
        found.due,
        found.expected,
        {step: spans for step, spans in steps.items() if spans},
        closed_of(view.day, dvr, found.basis, start, end),
        tuple(_missing_parts(view, dvr, found, now)),
    )


def _begin_of(camera: Camera | None, since: int | None, end: int) -> int:
    """Footage is expected since it is watched, or came. What is no hole between two files is none before the first."""
    first = camera.since if camera is not None else None
    begin = min((time for time in (since, first) if time is not None), default=end)
    return first if first is not None and first - begin <= JOIN else begin


def _expected_spans(
    view: View, camera: Camera | None, plan: FootageSettings | None, start: int, end: int, until: int, basis: str
) -> Spans:
    end = min(end, until)
    if plan is not None:
        return expected(plan.expected, plan.timezone, start, end)
    latest = latest_of(view.day, camera, basis) or 0
    return expected(ALWAYS, "UTC", start, min(end, latest + FORGOTTEN_AFTER))


def _holes(view: View, dvr: str, basis: str, wanted: Spans, start: int, now: int) -> Spans:
    """The holes of which a part is wanted, each as a whole, as far as it is known."""
    if not wanted:
        return ()
    begin = start - _BEFORE
    holes = gaps(spans_of(view.day, dvr, basis, begin, now), begin, now)
    return tuple(hole for hole in holes if hole[1] > start and hole[0] < wanted[-1][1])


def _missing_parts(view: View, dvr: str, found: Lost, now: int) -> Iterator[Part]:
    """The parts of holes that lie in what is wanted; each hole is explained as a whole."""
    begin, basis, wanted, holes = found.start - _BEFORE, found.basis, found.expected, found.holes
    if not found.missing:
        return
    known = [*known_of(view.lasting, view.ended, dvr, begin, now)]
    received = spans_of(view.day, dvr, "received", begin, now)
    if basis == "recorded":
        known = [one._replace(cause="recorder") if one.cause == PROBED_UP else one for one in known]
        known += (Known(a, b, "recorder") for a, b in received)
        # Of an agent that reports no frames nobody knows whether there were any.
        known = known if received else [one for one in known if one.cause != CONNECTED]
    for hole, here in _known_by_hole(holes, known):
        for part in explain(*hole, here):
            if wanted[0][0] <= part.start and part.end <= wanted[0][1]:  # nearly always: footage is always expected
                yield part
            else:
                yield from (part._replace(start=a, end=b) for a, b in clipped(wanted, part.start, part.end))


def _known_by_hole(holes: Iterable[Span], known: Iterable[Known]) -> Iterator[tuple[Span, list[Known]]]:
    """Each hole with what was known of its time; one sweep over both."""
    coming, holding = sorted(known, reverse=True), list[Known]()
    for hole in holes:
        while coming and coming[-1].start < hole[1]:
            holding.append(coming.pop())
        holding = [one for one in holding if one.end > hole[0]]
        yield hole, holding


def longest(parts: tuple[Part, ...], most: int) -> tuple[Part, ...]:
    """So many of them, the longest, in their order."""
    if len(parts) <= most:
        return parts
    kept = sorted(parts, key=lambda part: part.start - part.end)[:most]
    return tuple(sorted(kept))
