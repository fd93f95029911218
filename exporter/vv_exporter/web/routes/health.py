"""`GET /-/healthy`: the process lives. `GET /-/ready`: it can do its work; if not, 503 and a line that says why.

An alert path that is not known to work is reported first, and is no fault of the process: a restart would not mend it.
"""

from __future__ import annotations

from collections.abc import Iterable

from werkzeug import Request, Response

from vv_exporter.alert_path.state import PathState
from vv_exporter.web.guard import gather
from vv_exporter.web.routes import Route, Site

_PATIENCE = 1.0


def build(site: Site) -> Iterable[Route]:
    """Both."""

    def healthy(_: Request) -> Response:
        return Response(
            _about_the_path(site.context.beats.verdict) + "healthy\n", content_type="text/plain; charset=utf-8"
        )

    def ready(_: Request) -> Response:
        gather(site.checks, _PATIENCE)
        problems = [f"{check.name}: {check.error}\n" for check in site.checks if check.error is not None]
        text = f"not ready: {''.join(problems)}" if problems else "ready\n"
        return Response(text, status=503 if problems else 200, content_type="text/plain; charset=utf-8")

    yield Route("/-/healthy", healthy)
    yield Route("/-/ready", ready)


def _about_the_path(verdict: PathState | None) -> str:
    if verdict is None or verdict.up:
        return ""
    return f"alert path: {f'broken, {verdict.hop}' if verdict.is_broken else 'not known to work yet'}\n"
