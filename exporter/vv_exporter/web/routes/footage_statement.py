"""`GET /api/v1/footage/statement`: the statement of a day, signed where the exporter has a key. Takes `day`
(`2026-01-31`, `today`, `yesterday`, in the time zone of the digest; without it yesterday)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from werkzeug import Request, Response

from vv_exporter.footage.statements import statement_of
from vv_exporter.web.routes import Route, Site


def build(site: Site) -> Iterable[Route]:
    """The one page."""
    store, clock, settings = site.context.store, site.context.clock, site.context.settings

    def answer_statement(request: Request) -> Response:
        day = str(request.args.get("day", "")).strip()[:50]
        try:
            _, document = statement_of(store, settings, day, clock())
        except ValueError as error:
            return Response(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
        return Response(msgspec.json.encode(document), content_type="application/json")

    yield Route("/api/v1/footage/statement", answer_statement, at_once=1)
