"""Forms that change something: proof that it was our own page that sent one (CSRF).

Users are known by basic authentication, which a browser sends along whatever page asks it to. So a form holds a token
that only our own pages can know (https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html,
"HMAC-based token"), and a browser that says that another site asks is refused. Where there are no users, that site
could have its own name resolve to this machine (DNS rebinding) and read the token: so the Host must be an address, or a
name that the settings say is ours. That holds for whoever says to be a user, too: such a site can say so.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from werkzeug import Request
from werkzeug.exceptions import Forbidden

from vv_exporter.language import gettext as _
from vv_exporter.settings import Settings
from vv_exporter.web.auth import credentials_of

VALID_SECONDS = 12 * 3600.0


class Forms:
    """Gives forms a token, and checks those that come back. A restart of the exporter makes all forms too old."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock
        addresses = (settings.public_url, settings.exporter_url, settings.exporter_on_host)
        names = [urlsplit(address).hostname or "" for address in addresses]
        self._names = {name.lower() for name in (*names, "localhost", socket.gethostname())}

    def token(self, request: Request) -> str:
        """What the form must bring back."""
        expires = f"{self._clock() + VALID_SECONDS:.0f}"
        return f"{expires}.{self._form_signature(user_of(request), expires)}"

    def check(self, request: Request) -> None:
        """Raises `Forbidden`, whose description is the cure, unless our own page sent this form."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Forbidden(_("another site sent this form; open this page itself"))
        host = _host_of(request)
        if host not in self._names and not _is_address(host):
            raise Forbidden(
                _("the exporter is not known as {host}; tell its address in VV_PUBLIC_URL").format(
                    host=repr(host[:100])
                )
            )
        expires, _dot, signature = request.form.get("token", "").partition(".")
        expected = self._form_signature(user_of(request), expires)
        if not hmac.compare_digest(signature.encode(), expected.encode()) or self._clock() > float(expires):
            raise Forbidden(_("this form is too old; go back, load the page again, and send it again"))

    def _form_signature(self, user: str, expires: str) -> str:
        return hmac.new(self._key, f"{expires} {user}".encode(), hashlib.sha256).hexdigest()


def user_of(request: Request) -> str:
    """The name that the request gives, by basic authentication; where the exporter has users, it was checked."""
    given = credentials_of(request)
    return given.username or "" if given is not None and given.type == "basic" else ""


def _host_of(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
