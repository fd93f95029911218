"""`GET /api/v1/drills`: the last drills, the newest first; `?id=` gives one."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from werkzeug import Request, Response

from vv_exporter.drills.report import Drills, report
from vv_exporter.drills.state import DRILLS
from vv_exporter.web.routes import Route, Site


def build(site: Site) -> Iterable[Route]:
    """The route."""
    store = site.context.store

    def answer_drills(request: Request) -> Response:
        wanted = request.args.get("id", "")
        known = sorted(store.docs(DRILLS).values(), key=lambda drill: drill.counted, reverse=True)
        found = Drills(tuple(report(drill) for drill in known if wanted in ("", drill.id)))
        return Response(msgspec.json.encode(found), content_type="application/json")

    yield Route("/api/v1/drills", answer_drills, at_once=2)
