"""`GET /api/v1/fleet/targets`: where the agent finds everything, while it is to send everything; else nowhere.

In the form of https://prometheus.io/docs/prometheus/3.5/http_sd/, which vmagent asks for every few seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from werkzeug import Request, Response

from vv_exporter.fleet import sending
from vv_exporter.render.agent import TARGETS_PATH
from vv_exporter.web.routes import Route, Site


def build(site: Site) -> Iterable[Route]:
    """The route."""
    settings, clock = site.context.settings, site.context.clock

    def answer_targets(_: Request) -> Response:
        target = {"targets": [urlsplit(settings.prometheus).netloc], "labels": {"device": settings.device_id}}
        found = [target] if sending.until(settings, clock()) else []
        return Response(json.dumps(found), content_type="application/json")

    yield Route(TARGETS_PATH, answer_targets, at_once=2)
