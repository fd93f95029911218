"""`GET /footage`: a strip for each camera over a day and over 30 days, and what is missing. `GET /api/v1/footage`: the
day as JSON. Both take `day` (`2026-01-31`, `today`, `yesterday`, UTC); without it, the last 24 hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from werkzeug import Request, Response

from vv_exporter.common.clock import isoformat
from vv_exporter.footage.causes import Part
from vv_exporter.footage.document import accounts, between, footage, losses
from vv_exporter.footage.intervals import Spans, clipped, total
from vv_exporter.footage.ledger import DAY, milliseconds
from vv_exporter.footage.report import Account, Lost, longest
from vv_exporter.footage.words import length, words
from vv_exporter.language import gettext as _
from vv_exporter.web.pages import page
from vv_exporter.web.routes import Route, Site

DAYS = 30
LINKS = 64
"""Missing pieces of all cameras that are shown singly, each as a link; shared by the cameras."""
MOST_CAMERAS = 32
"""Where there are more, those of which most is missing are shown."""
LEAST_LINKS = 3
MOST_LINKS = 50
_WIDTH = 1440  # of a day's strip: a minute each
_HEIGHT = 24


def build(site: Site) -> Iterable[Route]:
    """Both."""
    store, clock, plans = site.context.store, site.context.clock, site.context.settings.footage

    def show(request: Request) -> Response:
        now, day, problem = clock(), str(request.args.get("day", "")).strip()[:50], ""
        try:
            start, end = between(day, now)
        except ValueError as error:
            day, problem = "", str(error)
            start, end = between(day, now)
        here = accounts(store, plans, start, end, milliseconds(now))
        month = losses(store, plans, (milliseconds(now) // DAY - DAYS + 1) * DAY, milliseconds(now), milliseconds(now))
        shown = sorted(zip(here, month, strict=True), key=lambda both: -total(both[1].missing))[:MOST_CAMERAS]
        shown.sort(key=lambda both: both[0].dvr)
        most = min(max(LINKS // max(len(here), 1), LEAST_LINKS), MOST_LINKS)
        answer = page(
            request,
            "footage.html",
            here="footage",
            device=site.context.settings.device_id,
            refresh=0 if day or problem else 60,
            day=day,
            problem=problem,
            since=start / 1000,
            until=end / 1000,
            cameras=[_camera_values(one, days, most) for one, days in shown],
            more=len(here) - len(shown),
        )
        answer.status_code = 400 if problem else 200
        return answer

    def answer_footage(request: Request) -> Response:
        now = clock()
        try:
            start, end = between(str(request.args.get("day", "")).strip()[:50], now)
        except ValueError as error:
            return Response(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
        document = footage(store, plans, start, end, milliseconds(now))
        return Response(msgspec.json.encode(document), content_type="application/json")

    yield Route("/footage", show, at_once=2)
    yield Route("/api/v1/footage", answer_footage, at_once=2)


def _camera_values(one: Account, month: Lost, most: int) -> dict[str, Any]:
    start, end = one.start, max(one.end, one.start + 1)
    shown = longest(one.missing, most)
    there = one.steps.get(one.basis, ())
    days = _days_of_month(month)
    length_of = {step: length(total(spans) / 1000) for step, spans in one.steps.items()}
    return {
        "dvr": one.dvr,
        "basis": one.basis,
        "missing_seconds": total(part[:2] for part in one.missing) / 1000,
        "missing": length(total(part[:2] for part in one.missing) / 1000),
        "expected": length(total(one.expected) / 1000),
        "steps": length_of,
        "there": _strip_path(there, start, end),
        "gone": _strip_path(tuple(part[:2] for part in one.missing if part not in shown), start, end),
        "holes": [_hole_values(part, start, end) for part in shown],
        "left_out": len(one.missing) - len(shown),
        "days": [one for one in days if one["gone"]],
        "month": _bar_paths(days),
        "closed": length(one.closed / 1000) if one.closed else "",
    }


def _hole_values(part: Part, start: int, end: int) -> dict[str, Any]:
    scale = _WIDTH / (end - start)
    return {
        "x": f"{(part.start - start) * scale:.1f}",
        "width": f"{max((part.end - part.start) * scale, 3.0):.1f}",
        "start": part.start / 1000,
        "since": isoformat(part.start / 1000)[:-1].replace("T", " "),
        "until": isoformat(part.end / 1000)[11:-1],
        "length": length((part.end - part.start) / 1000),
        "words": words(part.cause, part.detail),
    }


def _strip_path(spans: Spans, start: int, end: int) -> str:
    """Bars of the strip's height."""
    scale = _WIDTH / (end - start)
    bars = ((round((a - start) * scale), round((b - start) * scale)) for a, b in spans)
    return "".join(f"M{a} 0h{max(b - a, 1)}v{_HEIGHT}H{a}z" for a, b in bars)


def _days_of_month(month: Lost) -> list[dict[str, Any]]:
    """The 30 days: how much of what was expected is there, and how much is missing, as heights."""
    found, missing = [], _missing_by_day(month)
    for place, begin in enumerate(range(month.start, month.end, DAY)):
        wanted, gone = total(clipped(month.expected, begin, begin + DAY)), missing.get(place, 0)
        share = gone / wanted if wanted else 0.0
        found.append(
            {
                "place": place,
                "name": isoformat(begin / 1000)[:10],
                "words": _("{length} missing").format(length=length(gone / 1000)),
                "there": _HEIGHT * (1 - share) if wanted else 0.0,
                "gone": max(_HEIGHT * share, 2.0) if gone else 0.0,
            }
        )
    return found


def _missing_by_day(month: Lost) -> dict[int, int]:
    """Milliseconds by the day's place, in one pass: a camera may have thousands of holes."""
    found: dict[int, int] = {}
    for start, end in month.missing:
        while start < end:
            place = (start - month.start) // DAY
            until = min(end, month.start + (place + 1) * DAY)
            found[place] = found.get(place, 0) + until - start
            start = until
    return found


def _bar_paths(days: list[dict[str, Any]]) -> dict[str, str]:
    """The paths of a month's bars: what is there stands at the bottom, what is missing hangs from the top."""
    return {
        "all": "".join(f"M{20 * one['place']} 0h18v{_HEIGHT}h-18z" for one in days),
        "there": "".join(
            f"M{20 * one['place']} {_HEIGHT}v-{one['there']:.1f}h18V{_HEIGHT}z" for one in days if one["there"]
        ),
        "gone": "".join(f"M{20 * one['place']} 0v{one['gone']:.1f}h18V0z" for one in days if one["gone"]),
    }
