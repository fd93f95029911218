"""`GET /timeline`: what happened, newest first. `GET /api/v1/timeline`: the same as JSON.

Both take `since`, `until` (`1h`, RFC 3339 or Unix seconds), `around` (a moment, and a quarter of an hour before and
after it), `severity`, `component`, `video` (a name or the beginning of a hash) and, for what is older, `before`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from werkzeug import Request, Response

from vv_exporter._clock import isoformat
from vv_exporter.openalerts import SEVERITIES
from vv_exporter.store import Store
from vv_exporter.timeline import AROUND, Filter, Moment, Page, moment_of, page_of, read
from vv_exporter.web.pages import anchor, page
from vv_exporter.web.routes import Route, Site

REFRESH = 15  # seconds
DEFAULT = "24h"
SPANS = (
    ("1h", "the last hour"),
    ("6h", "the last 6 hours"),
    ("24h", "the last 24 hours"),
    ("7d", "the last 7 days"),
    ("30d", "the last 30 days"),
    ("", "the beginning"),
)
SHOWN = 50
ROOM = 50_000  # characters of entries on one page
LONG = 400  # characters, or lines, beyond which details are folded
LONG_LINES = 6
MAX_LIMIT = 1000


class Asked(NamedTuple):
    """What a request asks for, as it was given, and what that means."""

    since: str
    severity: str
    component: str
    video: str
    filter: Filter
    around: float
    before: tuple[float, int] | None
    limit: int


class _Document(msgspec.Struct, frozen=True):
    time: float
    moments: list[Moment]
    older: str


def build(site: Site) -> Iterable[Route]:
    """Both."""
    store, clock = site.context.store, site.context.clock

    def show(request: Request) -> Response:
        try:
            asked, problem = parse(request.args, clock()), ""
        except ValueError as error:
            asked, problem = parse({}, clock()), str(error)
        values = _values(store, asked, problem)
        answer = page(request, "timeline.html", here="timeline", device=site.context.settings.device_id, **values)
        answer.status_code = 400 if problem else 200
        return answer

    def tell(request: Request) -> Response:
        now = clock()
        try:
            asked = parse(request.args, now)
        except ValueError as error:
            return Response(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
        found = read(store, asked.filter, asked.limit, asked.before)
        older = _place(found.older) if found.older else ""
        return Response(msgspec.json.encode(_Document(now, found.moments, older)), content_type="application/json")

    yield Route("/timeline", show, at_once=2)
    yield Route("/api/v1/timeline", tell, at_once=2)


def parse(arguments: Any, now: float) -> Asked:
    """What the query string's arguments ask for. Raises `ValueError`, which says what is wrong."""
    get: Callable[[str], str] = lambda name: str(arguments.get(name, "")).strip()[:300]  # noqa: E731
    severity = get("severity")
    if severity and severity not in SEVERITIES:
        raise ValueError(f"{severity[:50]!r} is no severity; give one of {', '.join(SEVERITIES)}")
    around = moment_of(get("around"), now) if get("around") else 0.0
    since = "" if around else str(arguments.get("since", DEFAULT)).strip()[:50]
    begin = around - AROUND if around else moment_of(since, now) if since else 0.0
    end = around + AROUND if around else moment_of(get("until"), now) if get("until") else 0.0
    limit = get("limit") or "100"
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= MAX_LIMIT:
        raise ValueError(f"limit: give a number from 1 to {MAX_LIMIT}")
    wanted = Filter(begin, end, get("component"), severity, get("video"))
    return Asked(since, severity, wanted.component, wanted.video, wanted, around, _before(get("before")), int(limit))


def _before(text: str) -> tuple[float, int] | None:
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)_(\d{1,18})", text)
    if not found:
        raise ValueError("before: give the place that a page or an answer names as older")
    return float(found[1]), int(found[2])


def _place(older: tuple[float, int]) -> str:
    return f"{older[0]!r}_{older[1]}"


def _values(store: Store, asked: Asked, problem: str) -> dict[str, Any]:
    found = _fitting(read(store, asked.filter, SHOWN, asked.before))
    moments = [_shown(one) for one in found.moments]
    marked = min(moments, key=lambda one: abs(one["time"] - asked.around), default=None) if asked.around else None
    older = ""
    if found.older:
        kept = {"since": asked.since, "severity": asked.severity, "component": asked.component, "video": asked.video}
        place = {"around": asked.around} if asked.around else {}
        older = urlencode({**kept, **place, "before": _place(found.older)})
    spans = list(SPANS)
    if asked.since not in dict(SPANS):
        spans.insert(0, (asked.since, asked.since))
    return {
        "refresh": 0 if asked.before or asked.around or problem else REFRESH,
        "asked": asked,
        "spans": spans,
        "problem": problem,
        "around": asked.around,
        "days": [(day, list(group)) for day, group in groupby(moments, key=lambda one: isoformat(one["time"])[:10])],
        "marked": marked,
        "filtered": bool(asked.severity or asked.component or asked.video or asked.since),
        "older": older,
    }


def _fitting(found: Page) -> Page:
    """As many moments as a page has room for."""
    room = ROOM
    for count, one in enumerate(found.moments):
        room -= len(one.details) + len(one.title) + len(one.video) + 200
        if room < 0:
            return page_of(found.moments, max(count, 1))
    return found


def _shown(one: Moment) -> dict[str, Any]:
    long = len(one.details) > LONG or one.details.count("\n") >= LONG_LINES
    return msgspec.structs.asdict(one) | {"long": long, "anchor": anchor(one.time, one.id, one.kind, one.component)}
