"""`GET /-/healthy`: the process lives. `GET /-/ready`: it can do its work; if not, 503 and a line that says why."""

from __future__ import annotations

from collections.abc import Iterable

from werkzeug import Request, Response

from vv_exporter.guard import gather
from vv_exporter.web.routes import Route, Site

_PATIENCE = 1.0


def build(site: Site) -> Iterable[Route]:
    """Both."""

    def healthy(_: Request) -> Response:
        return Response("healthy\n", content_type="text/plain; charset=utf-8")

    def ready(_: Request) -> Response:
        gather(site.checks, _PATIENCE)
        problems = [f"{check.name}: {check.error}\n" for check in site.checks if check.error is not None]
        text = f"not ready: {''.join(problems)}" if problems else "ready\n"
        return Response(text, status=503 if problems else 200, content_type="text/plain; charset=utf-8")

    yield Route("/-/healthy", healthy)
    yield Route("/-/ready", ready)
