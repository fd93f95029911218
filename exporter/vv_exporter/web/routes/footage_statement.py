"""`GET /api/v1/footage/statement`: the statement of a day, signed where the exporter has a key. Takes `day`
(`2026-01-31`, `today`, `yesterday`, in the time zone of the digest; without it yesterday)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from werkzeug import Request, Response

from vv_core.common import environment
from vv_core.signing import SigningError, sign_payload
from vv_exporter.footage.statement import statement
from vv_exporter.web.routes import Route, Site

COMPONENT = "vv-exporter"


def build(site: Site) -> Iterable[Route]:
    """The one page."""
    store, clock, settings = site.context.store, site.context.clock, site.context.settings

    def tell(request: Request) -> Response:
        day = str(request.args.get("day", "")).strip()[:50]
        zone = settings.digest_timezone
        try:
            found = statement(store, settings.footage, settings.device_id, day, zone, settings.state_dir, clock())
        except ValueError as error:
            return Response(f"{error}\n", status=400, content_type="text/plain; charset=utf-8")
        return Response(msgspec.json.encode(_signed(msgspec.to_builtins(found))), content_type="application/json")

    yield Route("/api/v1/footage/statement", tell, at_once=1)


def _signed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its signature; as it is where the exporter has no key, or cannot sign, which it logs."""
    if not environment.path("VV_HMAC_KEY_FILE"):
        return document
    try:
        return sign_payload(document, component=COMPONENT)
    except SigningError:
        return document
