"""The application: finds the route, checks who asks, and turns whatever goes wrong into one plain line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Semaphore
from typing import TYPE_CHECKING, Any

from prometheus_client.core import Metric as Family
from werkzeug import Request, Response
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, HTTPException, ServiceUnavailable, Unauthorized
from werkzeug.routing import Map, Rule

from vv_exporter.context import Context
from vv_exporter.language import ENGLISH, speaking
from vv_exporter.state.scrapes import Scrapes
from vv_exporter.status import Past
from vv_exporter.web.auth import BasicAuth
from vv_exporter.web.config import WebConfig
from vv_exporter.web.guard import Guarded
from vv_exporter.web.reader import language_of
from vv_exporter.web.routes import Route, Site, discover

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

MAX_BODY = 1 << 20
"""Bytes that the body of a request may have."""

_HEADERS = {"X-Content-Type-Options": "nosniff"}
_PASSED_ON = ("Allow", "Retry-After", "WWW-Authenticate")


class _Request(Request):
    max_content_length = MAX_BODY


def _require_text(request: Request) -> None:
    """Raises `BadRequest` for parameters that are no UTF-8; what cannot be read is no page's concern."""
    try:
        _ = request.args
    except UnicodeDecodeError as error:
        raise BadRequest from error


class _Check:
    """Something that must work for the exporter to be ready, as the guard wants it."""

    def __init__(self, name: str, check: Callable[[], object]) -> None:
        self.name = name
        self._check = check

    def collect(self) -> Iterable[Family]:
        """Nothing; raises when it does not work."""
        self._check()
        return ()


class App:
    """A WSGI application of these routes. Everything but routes with `own_auth` is behind basic authentication."""

    def __init__(self, routes: Iterable[Route], web_config: WebConfig, language: str = ENGLISH) -> None:
        self._language = language
        routes = list(routes)
        rules = [Rule(route.path, endpoint=route, methods=route.methods) for route in routes]
        # merge_slashes would answer with redirects, for which a client's Host header would have to be trusted.
        self._urls = Map(rules, merge_slashes=False, strict_slashes=False).bind("localhost")
        self._places = {route: Semaphore(route.at_once) for route in routes if route.at_once}
        self.secure(web_config)

    def secure(self, web_config: WebConfig) -> None:
        """Have these users and headers from the next request on; passwords that were right before are forgotten."""
        self._auth = BasicAuth(web_config.basic_auth_users) if web_config.basic_auth_users else None
        self._headers = _HEADERS | {name: text for name, text in web_config.http_server_config.headers.items() if text}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = _Request(environ)
        try:
            _require_text(request)
            with speaking(language_of(request, self._language)):
                response = self._respond_to(request)
        except HTTPException as error:
            response = _plain_error(error.code or 500, error.name, error.get_headers(environ))
        except BaseException:  # SystemExit too: cheroot would take it for an order to stop
            log.exception("%s %.200r failed", request.method, request.path)
            response = _plain_error(500, "Internal Server Error", ())
        response.headers.update(self._headers)
        return response(environ, start_response)

    def _respond_to(self, request: Request) -> Response:
        try:
            found: tuple[Route, Mapping[str, Any]] = self._urls.match(request.path, request.method)
        except HTTPException:
            self._authenticate_request(request)  # what there is and what not is shown to users only
            raise
        route, values = found
        if not route.own_auth:
            self._authenticate_request(request)
        places = self._places.get(route)
        if places is None:
            return route.handler(request, **values)
        if not places.acquire(blocking=False):
            raise ServiceUnavailable(retry_after=1)
        try:
            return route.handler(request, **values)
        finally:
            places.release()

    def _authenticate_request(self, request: Request) -> None:
        auth = self._auth
        if auth is not None and not auth.allows(request):
            raise Unauthorized(www_authenticate=WWWAuthenticate("basic", {"realm": "vv-exporter"}))


def create_app(
    context: Context,
    guarded: Sequence[Guarded],
    web_config: WebConfig | None = None,
    checks: Mapping[str, Callable[[], object]] | None = None,
    past: Past | None = None,
    scrapes: Scrapes | None = None,
) -> App:
    """The exporter's application: all routes of `routes/`.

    `checks` are named functions that raise while the exporter cannot do its work; `/-/ready` calls them, each guarded
    like a collector, after that of the store. `past` shows the status what is recent, `scrapes` what Prometheus saw.
    Raises `ValueError` when two collectors have one name.
    """
    names = [one.name for one in guarded]
    if len(names) != len(set(names)):
        raise ValueError(f"two collectors have one name: {', '.join(sorted(names))}")
    checks = {"store": lambda: context.store.history("", limit=1), **(checks or {})}
    guarded_checks = [Guarded(_Check(name, check)) for name, check in checks.items()]
    site = Site(context, guarded, guarded_checks, past or Past(), scrapes)
    return App(discover(site), web_config or WebConfig(), context.settings.language)


def _plain_error(code: int, name: str, headers: Iterable[tuple[str, str]]) -> Response:
    kept = [(key, value) for key, value in headers if key in _PASSED_ON]
    return Response(f"{code} {name}\n", status=code, headers=kept, content_type="text/plain; charset=utf-8")
