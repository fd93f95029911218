"""`GET /api/v1/digest`: what happened since `since` (`24h`, RFC 3339 or Unix seconds), as one document."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from werkzeug import Request, Response

from vv_exporter.digest import digest, history
from vv_exporter.digest.chains import chain_heads
from vv_exporter.digest.footage import footage_days
from vv_exporter.footage.statements import kept_statements
from vv_exporter.state.timeline import moment_of
from vv_exporter.web.routes import Route, Site

DEFAULT = "24h"


def build(site: Site) -> Iterable[Route]:
    """The route."""
    context = site.context

    def answer_digest(request: Request) -> Response:
        now = context.clock()
        try:
            since = min(moment_of(request.args.get("since", DEFAULT), now), now)
        except ValueError as error:
            return Response(f"since: {error}\n", status=400, content_type="text/plain; charset=utf-8")
        settings = context.settings
        footage = footage_days(stated for _, _, stated in kept_statements(settings, since, now))
        past, chains = history.read(context.store, since, now), chain_heads(settings.state_dir)
        found = digest(past, settings.device_id, since, now, chains, footage)
        return Response(msgspec.json.encode(found), content_type="application/json")

    yield Route("/api/v1/digest", answer_digest, at_once=1)
