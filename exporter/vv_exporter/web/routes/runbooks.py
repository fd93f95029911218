"""`GET /runbooks/`: what to do when which alert fires. `GET /runbooks/NAME`: one, with this device's commands.

Both in the reader's language: what `?lang=pt-BR` asks for, else what the browser asks for (`Accept-Language`), else
English.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup
from werkzeug import Request, Response
from werkzeug.exceptions import NotFound

from vv_exporter.settings import Settings
from vv_exporter.web import runbooks
from vv_exporter.web.pages import page
from vv_exporter.web.routes import Route, Site


def build(site: Site) -> Iterable[Route]:
    """Both."""
    settings = site.context.settings

    def list_all(request: Request) -> Response:
        listed = runbooks.index(_language_of(request))
        return _page(request, "runbooks.html", settings, runbooks=listed)

    def show(request: Request, name: str) -> Response:
        try:
            body = runbooks.body(name, settings, _language_of(request))
        except LookupError:
            raise NotFound from None
        html = Markup(body.html)  # noqa: S704 - rendered from our own file, without raw HTML
        return _page(request, "runbook.html", settings, name=name, body=html, language=body.language)

    yield Route("/runbooks/", list_all, at_once=2)
    yield Route("/runbooks/<name>", show, at_once=2)


def _page(request: Request, template: str, settings: Settings, **values: object) -> Response:
    common = {"device": settings.device_id, "here": "runbooks", "refresh": 0, "languages": runbooks.languages()}
    response = page(request, template, **common, **values)
    response.vary.add("Accept-Language")
    return response


def _language_of(request: Request) -> str:
    accepted = [language for language, quality in request.accept_languages if quality > 0]
    return runbooks.preferred([request.args.get("lang", ""), *accepted])
