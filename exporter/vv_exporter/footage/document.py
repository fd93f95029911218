"""What is known of footage: the document that `GET /api/v1/footage` answers, and of which the page is made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec

from vv_exporter.common.clock import utc
from vv_exporter.footage.accounts import watched_since
from vv_exporter.footage.intervals import Spans, total
from vv_exporter.footage.ledger import DAY, latest_of, milliseconds
from vv_exporter.footage.report import Account, Lost, View, account, longest, lost, names
from vv_exporter.language import gettext as _
from vv_exporter.settings import FootageSettings
from vv_exporter.state.store import Store

MOST_MISSING = 500
"""Parts that are shown of a camera; where there are more, the shortest are left out."""
LONGEST = 31 * DAY


class Missing(msgspec.Struct, frozen=True):
    """A piece that is missing (Unix seconds), why (`docs/footage.md`), and more of that."""

    start: float
    end: float
    cause: str
    detail: str


class CameraFootage(msgspec.Struct, frozen=True):
    """Of a camera between two times. `basis` is the step without which footage is missing.

    Durations are in seconds. `left_out` parts that are missing are not listed, nor are `closed_seconds`, for which
    the ledger had no room. `due` is until when it is too late for what is not there (Unix seconds).
    """

    dvr: str
    basis: str
    due: float
    expected_seconds: float
    seconds: dict[str, float]
    missing_seconds: float
    missing_by_cause: dict[str, float]
    closed_seconds: float
    latest: dict[str, float]
    missing: tuple[Missing, ...]
    left_out: int = 0


class Footage(msgspec.Struct, frozen=True):
    """Of all cameras, from `since` until `until` (Unix seconds), as of `time`."""

    time: float
    since: float
    until: float
    cameras: tuple[CameraFootage, ...]


def footage(store: Store, plans: Mapping[str, FootageSettings], start: int, end: int, now: int) -> Footage:
    """The document, of two times in milliseconds."""
    cameras = tuple(_camera_document(store, one) for one in accounts(store, plans, start, end, now))
    return Footage(now / 1000, start / 1000, end / 1000, cameras)


def accounts(store: Store, plans: Mapping[str, FootageSettings], start: int, end: int, now: int) -> tuple[Account, ...]:
    """What there is of each camera, and what is missing."""
    view, since = View(store), watched_since(store)
    return tuple(account(view, dvr, plans.get(dvr), start, end, now, since.get(dvr)) for dvr in names(view, plans))


def losses(store: Store, plans: Mapping[str, FootageSettings], start: int, end: int, now: int) -> tuple[Lost, ...]:
    """How much of each camera is missing, in the same order."""
    view, since = View(store), watched_since(store)
    return tuple(lost(view, dvr, plans.get(dvr), start, end, now, since.get(dvr)) for dvr in names(view, plans))


def between(day: str, now: float) -> tuple[int, int]:
    """A day (UTC) as two times, up to now; without one the last 24 hours. Raises `ValueError` for what is no day."""
    if not day:
        return milliseconds(now) - DAY, milliseconds(now)
    try:
        asked = {"today": utc(now).date(), "yesterday": utc(now).date() - timedelta(days=1)}.get(day)
        asked = asked if asked is not None else date.fromisoformat(day)
    except ValueError:
        asked = None
    if asked is None or not 2000 <= asked.year < 2100:
        raise ValueError(
            _("day: {text} is no day; give e.g. 2026-01-31, today or yesterday").format(text=repr(day[:50]))
        )
    start = (asked - date(1970, 1, 1)).days * DAY
    return start, min(start + DAY, max(milliseconds(now), start))


def _camera_document(store: Store, one: Account) -> CameraFootage:
    view = View(store)
    camera = view.cameras().get(one.dvr)
    ends = {step: latest_of(view.day, camera, step) for step in (camera.latest if camera is not None else ())}
    shown = longest(one.missing, MOST_MISSING)
    return CameraFootage(
        dvr=one.dvr,
        basis=one.basis,
        due=one.due / 1000,
        expected_seconds=total(one.expected) / 1000,
        seconds={step: total(spans) / 1000 for step, spans in one.steps.items()},
        missing_seconds=_seconds_of(tuple(part[:2] for part in one.missing)),
        missing_by_cause={cause: found / 1000 for cause, found in one.missing_by_cause.items()},
        closed_seconds=one.closed / 1000,
        latest={step: end / 1000 for step, end in ends.items() if end is not None},
        missing=tuple(Missing(a / 1000, b / 1000, cause, detail) for a, b, cause, detail in shown),
        left_out=len(one.missing) - len(shown),
    )


def _seconds_of(spans: Spans) -> float:
    return total(spans) / 1000
