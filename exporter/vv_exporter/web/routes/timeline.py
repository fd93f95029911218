"""`GET /timeline`: what happened, newest first. `GET /api/v1/timeline`: the same as JSON.

Both take `since`, `until` (`1h`, RFC 3339 or Unix seconds), `around` (a moment, and a quarter of an hour before and
after it), `severity`, `component`, `video` (a name or the beginning of a hash), `alert` (an id) and, for what is older,
`before`.

`/timeline?at=TIME&component=NAME#entry` is the link to a moment that messages hold: all that happened around it, and
the component's moment marked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from werkzeug import Request, Response

from vv_exporter.common.clock import isoformat
from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.state.openalerts import SEVERITIES
from vv_exporter.state.store import Store
from vv_exporter.state.timeline import AROUND, Filter, Moment, Page, around, moment_of, page_of, read
from vv_exporter.web.pages import anchor, page
from vv_exporter.web.routes import Route, Site

REFRESH = 15  # seconds
DEFAULT = "24h"
SPANS = (
    ("1h", translatable("the last hour")),
    ("6h", translatable("the last 6 hours")),
    ("24h", translatable("the last 24 hours")),
    ("7d", translatable("the last 7 days")),
    ("30d", translatable("the last 30 days")),
    ("", translatable("the beginning")),
)
SHOWN = 50
ROOM = 50_000  # characters of entries on one page
LONG = 400  # characters, or lines, beyond which details are folded
LONG_LINES = 6
MAX_LIMIT = 1000


class Asked(NamedTuple):
    """What a request asks for, as it was given, and what that means.

    `moment` is the one around which is asked; if by `at`, `of` says whose it is, and nothing of others is left out.
    """

    since: str
    severity: str
    component: str
    video: str
    filter: Filter
    moment: float
    of: str
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
        values = _page_values(store, asked, problem)
        answer = page(request, "timeline.html", here="timeline", device=site.context.settings.device_id, **values)
        answer.status_code = 400 if problem else 200
        return answer

    def answer_timeline(request: Request) -> Response:
        now = clock()
        try:
            asked = parse(request.args, now)
        except ValueError as error:
            return Response(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
        found = read(store, asked.filter, asked.limit, asked.before)
        older = _place_text(found.older) if found.older else ""
        return Response(msgspec.json.encode(_Document(now, found.moments, older)), content_type="application/json")

    yield Route("/timeline", show, at_once=2)
    yield Route("/api/v1/timeline", answer_timeline, at_once=2)


def parse(arguments: Any, now: float) -> Asked:
    """What the query string's arguments ask for. Raises `ValueError`, which says what is wrong."""
    get: Callable[[str], str] = lambda name: str(arguments.get(name, "")).strip()[:300]  # noqa: E731
    severity = get("severity")
    if severity and severity not in SEVERITIES:
        raise ValueError(
            _("{text} is no severity; give one of {severities}").format(
                text=repr(severity[:50]), severities=", ".join(SEVERITIES)
            )
        )
    at, component = get("at"), get("component")
    of, component = (component, "") if at else ("", component)
    moment = _time_argument("at", at, now) or _time_argument("around", get("around"), now)
    since = "" if moment else str(arguments.get("since", DEFAULT)).strip()[:50]
    begin = moment - AROUND if moment else _time_argument("since", since, now)
    end = moment + AROUND if moment else _time_argument("until", get("until"), now)
    limit = get("limit") or "100"
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= MAX_LIMIT:
        raise ValueError(_("limit: give a number from 1 to {most}").format(most=MAX_LIMIT))
    wanted = Filter(begin, end, component, severity, get("video"), get("alert"))
    return Asked(
        since, severity, component, wanted.video, wanted, moment, of, _before_argument(get("before")), int(limit)
    )


def _time_argument(name: str, text: str, now: float) -> float:
    """The time that an argument gives, 0 for none. Raises `ValueError`, which names the argument."""
    try:
        return moment_of(text, now) if text else 0.0
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _before_argument(text: str) -> tuple[float, int] | None:
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,9})?)_(\d{1,18})", text)
    if not found:
        raise ValueError(_("before: give the place that a page or an answer names as older"))
    return float(found[1]), int(found[2])


def _place_text(older: tuple[float, int]) -> str:
    return f"{older[0]!r}_{older[1]}"


def _page_values(store: Store, asked: Asked, problem: str) -> dict[str, Any]:
    found = _fit_page(_find_moments(store, asked))
    moments = [_shown_moment(one) | {"place": place} for place, one in enumerate(found.moments)]
    kept = {"severity": asked.severity, "component": asked.component, "video": asked.video}
    if asked.filter.alert:
        kept["alert"] = asked.filter.alert
    place = {"around": asked.moment} if asked.moment else {"since": asked.since}
    spans = list(SPANS)
    if asked.since not in dict(SPANS):
        spans.insert(0, (asked.since, asked.since))
    return {
        "refresh": 0 if asked.before or asked.moment or problem else REFRESH,
        "asked": asked,
        "spans": spans,
        "problem": problem,
        "days": [(day, list(group)) for day, group in groupby(moments, key=lambda one: isoformat(one["time"])[:10])],
        "meant": found.moments.index(found.meant) if found.meant else None,
        "filtered": bool(
            asked.severity or asked.component or asked.video or asked.since or asked.moment or asked.filter.alert
        ),
        "older": urlencode({**place, **kept, "before": _place_text(found.older)}) if found.older else "",
        "newer": urlencode({"around": found.moments[0].time, **kept}) if found.newer else "",
        "only": urlencode({"around": asked.moment, **kept, "component": asked.of}) if asked.of else "",
    }


def _find_moments(store: Store, asked: Asked) -> Page:
    if asked.moment and not asked.before:
        return around(store, asked.moment, asked.of, asked.filter, SHOWN)
    return read(store, asked.filter, SHOWN, asked.before)


def _fit_page(found: Page) -> Page:
    """As many moments as a page has room for, to both sides of the one that is meant."""
    meant = found.moments.index(found.meant) if found.meant else 0
    newer = _count_fitting(found.moments[:meant][::-1], ROOM // 2)
    begin, end = meant - newer, meant + max(_count_fitting(found.moments[meant:], ROOM // 2 if meant else ROOM), 1)
    if end >= len(found.moments):
        return found._replace(moments=found.moments[begin:], newer=found.newer or begin > 0)
    shown = page_of(found.moments[begin:], end - begin)
    return shown._replace(meant=found.meant, newer=found.newer or begin > 0)


def _count_fitting(moments: list[Moment], room: int) -> int:
    """How many of these have room."""
    for count, one in enumerate(moments):
        room -= len(one.details) + len(one.title) + len(one.video) + 200
        if room < 0:
            return count
    return len(moments)


def _shown_moment(one: Moment) -> dict[str, Any]:
    long = len(one.details) > LONG or one.details.count("\n") >= LONG_LINES
    return msgspec.structs.asdict(one) | {
        "long": long,
        "anchor": anchor(one.time, one.id, one.kind, one.component),
    }
