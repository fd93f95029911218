"""The statement of a day: what there is of each camera's footage, what is missing and why, how much of it is signed.

One JSON object, signed with the device's key where there is one, so that whoever has it later can prove what this
device said on that day: docs/footage.md describes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from vv_core.chain import kept_heads
from vv_exporter.common.clock import utc
from vv_exporter.footage.corrupt import corrupt_between
from vv_exporter.footage.document import MOST_MISSING, Missing, accounts
from vv_exporter.footage.intervals import common, total
from vv_exporter.footage.ledger import milliseconds
from vv_exporter.footage.report import Account, longest
from vv_exporter.language import gettext as _
from vv_exporter.settings import FootageSettings
from vv_exporter.state.store import Store

VERSION = 1
MAX_CHAINS = 20


class CorruptFile(msgspec.Struct, frozen=True):
    """A recording that is there and cannot be played: its name, its time (Unix seconds), what is wrong."""

    file: str
    start: float
    end: float
    problem: str


class CameraStatement(msgspec.Struct, frozen=True):
    """A camera on that day. `basis` is the step without which footage is missing; durations are seconds.

    `there_ratio` is the share of what was expected that is there, `signed_ratio` of what was recorded that is signed;
    None where there was nothing. `final` is false while footage of the day may still come. What is not shown singly is
    in `left_out` (a count) and `closed_seconds`.
    """

    dvr: str
    basis: str
    final: bool
    expected_seconds: float
    seconds: dict[str, float]
    there_ratio: float | None
    signed_ratio: float | None
    missing_seconds: float
    missing_by_cause: dict[str, float]
    missing: tuple[Missing, ...]
    left_out: int
    closed_seconds: float
    corrupt: tuple[CorruptFile, ...]


class StatedHead(msgspec.Struct, frozen=True):
    """The last line of a chain of signed lines as the statement was made."""

    chain: str
    number: int
    mac: str
    key_id: str
    time: float


class Statement(msgspec.Struct, frozen=True):
    """Of a device and a day, as its clock shows in `timezone`: from `since` until `until`, made at `time` (Unix
    seconds).

    `heads_known` is false where the heads of chains could not be read.
    """

    statement: int
    device: str
    day: str
    timezone: str
    since: float
    until: float
    time: float
    cameras: tuple[CameraStatement, ...]
    chains: tuple[StatedHead, ...]
    heads_known: bool


def day_between(day: str, timezone: str, now: float) -> tuple[str, float, float]:
    """A day by its name, and when it begins and ends there: 23 to 25 hours. Without one, yesterday.

    Raises `ValueError` for what is no day, or has not begun.
    """
    zone = ZoneInfo(timezone)
    today = utc(now).astimezone(zone).date()
    try:
        asked = {"": today - timedelta(days=1), "today": today, "yesterday": today - timedelta(days=1)}.get(day)
        asked = asked if asked is not None else date.fromisoformat(day)
    except ValueError:
        asked = None
    if asked is None or asked.year < 2000:
        raise ValueError(
            _("day: {text} is no day; give e.g. 2026-01-31, today or yesterday").format(text=repr(day[:50]))
        )
    if asked > today:
        raise ValueError(_("day: {day} has not begun in {timezone}").format(day=asked, timezone=timezone))
    start, end = (datetime(one.year, one.month, one.day, tzinfo=zone) for one in (asked, asked + timedelta(days=1)))
    return asked.isoformat(), start.timestamp(), end.timestamp()


def statement(
    store: Store,
    plans: Mapping[str, FootageSettings],
    device: str,
    day: str,
    timezone: str,
    state_dir: Path,
    now: float,
) -> Statement:
    """The statement of a day (see `day_between`). Raises `ValueError` for what is no day."""
    name, since, until = day_between(day, timezone, now)
    end = min(until, now)
    cameras = tuple(
        _camera(store, one, until)
        for one in accounts(
            store, plans, milliseconds(since), max(milliseconds(end), milliseconds(since) + 1), milliseconds(now)
        )
    )
    try:
        heads, known = kept_heads(str(state_dir / "chains"))[:MAX_CHAINS], True
    except OSError:
        heads, known = [], False
    chains = tuple(StatedHead(one.chain, one.number, one.mac, one.key_id, one.time) for one in heads)
    return Statement(VERSION, device, name, timezone, since, until, now, cameras, chains, known)


def _camera(store: Store, one: Account, until: float) -> CameraStatement:
    expected, lost = total(one.expected), total(part[:2] for part in one.missing)
    recorded, signed = one.steps.get("recorded", ()), one.steps.get("signed", ())
    shown = longest(one.missing, MOST_MISSING)
    corrupt = corrupt_between(store, one.dvr, one.start, one.end)
    return CameraStatement(
        dvr=one.dvr,
        basis=one.basis,
        final=one.due >= milliseconds(until),
        expected_seconds=expected / 1000,
        seconds={step: total(spans) / 1000 for step, spans in one.steps.items()},
        there_ratio=round(1 - lost / expected, 6) if expected else None,
        signed_ratio=round(total(common(recorded, signed)) / total(recorded), 6) if recorded else None,
        missing_seconds=lost / 1000,
        missing_by_cause={cause: found / 1000 for cause, found in one.missing_by_cause.items()},
        missing=tuple(Missing(a / 1000, b / 1000, cause, detail) for a, b, cause, detail in shown),
        left_out=len(one.missing) - len(shown),
        closed_seconds=one.closed / 1000,
        corrupt=tuple(
            CorruptFile(path, found.start / 1000, found.end / 1000, found.problem)
            for path, found in sorted(corrupt.items(), key=lambda item: (item[1].start, item[0]))
        ),
    )
