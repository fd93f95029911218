"""`GET /api/v1/status`: the device's state as JSON."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from werkzeug import Request, Response

from vv_exporter.guard import gather
from vv_exporter.relay.alertmanager import Alertmanager, DeliveryError
from vv_exporter.status import status
from vv_exporter.web.routes import Route, Site


def build(site: Site) -> Iterable[Route]:
    """The route. It asks Alertmanager, and so waits a few seconds at the worst."""
    settings, clock = site.context.settings, site.context.clock
    alertmanager = Alertmanager(settings.alertmanager)

    def show(_: Request) -> Response:
        try:
            alerts = alertmanager.alerts()
        except DeliveryError:
            alerts = None
        document = status(gather(site.guarded), alerts, settings.device_id, clock())
        return Response(msgspec.json.encode(document), content_type="application/json")

    yield Route("/api/v1/status", show, at_once=2)
