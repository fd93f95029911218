"""In which language somebody reads: what they chose, else what their browser asks for, else `VV_LANGUAGE`.

A program that asks `/api/` for no language gets English, so that it gets the same on every device.
"""

from __future__ import annotations

from itertools import islice

from werkzeug import Request, Response

from vv_exporter.language import ENGLISH, nearest

PARAMETER = "lang"
"""`?lang=pt-BR` chooses a language."""
COOKIE = "vv_language"
"""Keeps that choice, without a login."""
COOKIE_SECONDS = 365 * 24 * 3600
MAX_ACCEPTED = 20
"""How many languages of a browser are looked for; browsers name fewer than ten."""


def language_of(request: Request, default: str) -> str:
    """The reader's language (BCP 47) of those that there are; `default` for a page whose reader wants none of them.

    A language in another region is near enough: `pt-PT` is served by `pt-BR`, for more is understood of it than of
    English. Of `Accept-Language` the most wanted one counts that there is, and none with `q=0` (RFC 9110, 12.5.4).
    """
    accepted = (name for name, quality in request.accept_languages if quality > 0)
    wanted = (request.args.get(PARAMETER, ""), request.cookies.get(COOKIE, ""), *islice(accepted, MAX_ACCEPTED))
    found = next(filter(None, map(nearest, wanted)), "")
    return found or (ENGLISH if request.path.startswith("/api/") else default)


def answer_in(language: str, request: Request, response: Response) -> Response:
    """The response, with what caches and the next request must know: what it depends on, and what was chosen."""
    response.vary.update(("Accept-Language", "Cookie"))
    if nearest(request.args.get(PARAMETER, "")):
        response.set_cookie(COOKIE, language, max_age=COOKIE_SECONDS, httponly=True, samesite="Lax")
    return response
