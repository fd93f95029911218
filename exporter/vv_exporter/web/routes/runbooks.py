"""`GET /runbooks/`: what to do when which alert fires. `GET /runbooks/NAME`: one, with this device's commands.

Both in the reader's language (`web/reader.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup
from werkzeug import Request, Response
from werkzeug.exceptions import NotFound

from vv_exporter.language import current
from vv_exporter.web import runbooks
from vv_exporter.web.pages import page
from vv_exporter.web.routes import Route, Site


def build(site: Site) -> Iterable[Route]:
    """Both."""
    settings = site.context.settings

    def list_all(request: Request) -> Response:
        return page(request, "runbooks.html", **_common_values(settings.device_id), runbooks=runbooks.index(current()))

    def show(request: Request, name: str) -> Response:
        try:
            body = runbooks.body(name, settings, current())
        except LookupError:
            raise NotFound from None
        html = Markup(body.html)  # noqa: S704 - rendered from our own file, without raw HTML
        common = _common_values(settings.device_id)
        return page(request, "runbook.html", **common, name=name, body=html, body_language=body.language)

    yield Route("/runbooks/", list_all, at_once=2)
    yield Route("/runbooks/<name>", show, at_once=2)


def _common_values(device: str) -> dict[str, object]:
    return {"device": device, "here": "runbooks", "refresh": 0}
