"""`POST /api/v1/alertmanager`: Alertmanager's webhook, with a bearer token (RFC 6750).

Below it, `/events` takes what its event recorder reports.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterable

import msgspec
from werkzeug import Request, Response
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import ServiceUnavailable, Unauthorized

from vv_exporter.alert_path.beats import Beats
from vv_exporter.alert_path.questions import RULE, beat_of
from vv_exporter.alertmanager.token import read_token
from vv_exporter.delivery import notificationevents
from vv_exporter.delivery.notifications import Notification, log_line, parse
from vv_exporter.delivery.received import receive as receive_notification
from vv_exporter.settings import Settings
from vv_exporter.state.database import StoreError
from vv_exporter.web.auth import credentials_of
from vv_exporter.web.routes import Route, Site

log = logging.getLogger("alerts")


def build(site: Site) -> Iterable[Route]:
    """Both. What is not answered with 2xx is sent again, so a notification is logged only once it is kept."""
    store, settings = site.context.store, site.context.settings
    token = _Token(settings)
    token.prepare()

    def receive(request: Request) -> Response:
        _authorize_bearer(request, token)
        try:
            notification = parse(request.get_data())
        except ValueError as error:
            return _plain_response(400, str(error))
        notification = without_beats(notification, site.context.beats)
        if not notification.alerts:
            return _plain_response(200, "ok")
        try:
            with store.transaction() as tx:
                notification = receive_notification(tx, notification, settings)
        except StoreError as error:
            return _plain_response(503, str(error))
        for line in map(log_line, notification.alerts):
            log.log(line.level, "%s", line.text)
        return _plain_response(200, "ok")

    def receive_event(request: Request) -> Response:
        _authorize_bearer(request, token)
        try:
            event = notificationevents.parse(request.get_data())
        except ValueError as error:
            return _plain_response(400, str(error))
        try:
            if notificationevents.concerns(event):
                with store.transaction() as tx:
                    notificationevents.record(tx, event)
        except StoreError as error:
            return _plain_response(503, str(error))
        return _plain_response(200, "ok")

    yield Route("/api/v1/alertmanager", receive, methods=("POST",), at_once=2, own_auth=True)
    yield Route("/api/v1/alertmanager/events", receive_event, methods=("POST",), at_once=2, own_auth=True)


def without_beats(notification: Notification, beats: Beats) -> Notification:
    """What is to be recorded; the beats that the Watchdog brings back are only counted."""
    others = tuple(alert for alert in notification.alerts if alert.labels.get("alertname") != RULE)
    for alert in notification.alerts:
        beat = beat_of(alert.annotations) if alert.labels.get("alertname") == RULE else None
        if beat is not None:
            beats.arrived(beat)
    return msgspec.structs.replace(notification, alerts=others)


class _Token:
    """What Alertmanager shows; made once. On a disk that is full, when there is room."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._text = ""

    def prepare(self) -> None:
        """Make or read it, if that can be done now."""
        try:
            self._text = read_token(self._settings)
        except OSError as error:
            log.error("Alertmanager's notifications are refused, trying again: there is no token: %s", error)

    def bytes(self) -> bytes:
        """Raises `ServiceUnavailable` while there is none."""
        if not self._text:
            self.prepare()
        if not self._text:
            raise ServiceUnavailable(retry_after=1)
        return self._text.encode()


def _authorize_bearer(request: Request, token: _Token) -> None:
    given = credentials_of(request)
    if given is None or given.type != "bearer":
        raise Unauthorized(www_authenticate=WWWAuthenticate("bearer"))
    if not hmac.compare_digest((given.token or "").encode(), token.bytes()):
        raise Unauthorized(www_authenticate=WWWAuthenticate("bearer"))


def _plain_response(status: int, text: str) -> Response:
    return Response(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
