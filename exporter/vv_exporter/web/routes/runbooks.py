"""`GET /runbooks/`: what to do when which alert fires. `GET /runbooks/NAME`: one, with this device's commands.

Both in the reader's language (`web/reader.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup
from werkzeug import Request, Response
from werkzeug.exceptions import NotFound

from vv_exporter.language import languages
from vv_exporter.settings import Settings
from vv_exporter.web import runbooks
from vv_exporter.web.pages import page
from vv_exporter.web.reader import answer_in, language_of
from vv_exporter.web.routes import Route, Site


def build(site: Site) -> Iterable[Route]:
    """Both."""
    settings = site.context.settings

    def list_all(request: Request) -> Response:
        language = language_of(request, settings)
        return _page(request, "runbooks.html", settings, language, runbooks=runbooks.index(language))

    def show(request: Request, name: str) -> Response:
        language = language_of(request, settings)
        try:
            body = runbooks.body(name, settings, language)
        except LookupError:
            raise NotFound from None
        html = Markup(body.html)  # noqa: S704 - rendered from our own file, without raw HTML
        return _page(request, "runbook.html", settings, language, name=name, body=html, body_language=body.language)

    yield Route("/runbooks/", list_all, at_once=2)
    yield Route("/runbooks/<name>", show, at_once=2)


def _page(request: Request, template: str, settings: Settings, language: str, **values: object) -> Response:
    common = {"device": settings.device_id, "here": "runbooks", "refresh": 0, "languages": languages()}
    return answer_in(language, request, page(request, template, **common, **values))
