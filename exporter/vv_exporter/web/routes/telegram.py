"""`POST /api/v1/telegram/bot<token>/sendMessage`: what Alertmanager has for Telegram, by way of the exporter.

For a proxy before Telegram whose answers Alertmanager does not survive: what it gets from here is a whole answer as of
https://core.telegram.org/bots/api#sendmessage. Only who knows the bot's token gets through, and only to the chat of the
settings.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterable
from typing import Any

import msgspec
from werkzeug import Request, Response

from vv_exporter.channels import Answer, ProviderError
from vv_exporter.channels.telegram import CHANNEL, THROUGH_EXPORTER
from vv_exporter.channels.telegram import build as build_telegram
from vv_exporter.web.routes import Route, Site

log = logging.getLogger(__name__)


def build(site: Site) -> Iterable[Route]:
    """The route, where Telegram is configured."""
    settings, clock = site.context.settings, site.context.clock
    if not CHANNEL.is_configured(settings):
        return
    telegram = build_telegram(settings)

    def pass_on(request: Request, token: str) -> Response:
        if not hmac.compare_digest(token.encode(), settings.telegram_bot_token.value.encode()):
            return _refusal_response(ProviderError("Unauthorized", 401))
        try:
            message = msgspec.json.decode(request.get_data(), type=dict[str, Any])
        except (ValueError, RecursionError):
            return _refusal_response(ProviderError("Bad Request: no JSON object", 400))
        try:
            answer = telegram.post(message)
        except ProviderError as error:
            return _refusal_response(error)
        except Exception as error:  # its text, and that of what would log it, may hold the address with the token
            log.error("a message for Telegram could not be passed on: %s", type(error).__name__)
            return _refusal_response(ProviderError("Internal Server Error", 500))
        return _whole_answer(answer, settings.telegram_chat_id.value, clock())

    yield Route(f"{THROUGH_EXPORTER}/bot<token>/sendMessage", pass_on, methods=("POST",), at_once=2, own_auth=True)


def _whole_answer(answer: Answer, chat: str, now: float) -> Response:
    """As Telegram answers."""
    said = answer.document.get("result") if isinstance(answer.document, dict) else None
    number = said.get("message_id") if isinstance(said, dict) else None
    message = {
        "message_id": number if type(number) is int else 0,
        "date": int(now),
        "chat": {"id": int(chat), "type": "private" if int(chat) > 0 else "group"},
    }
    return _json_response(200, {"ok": True, "result": message})


def _refusal_response(error: ProviderError) -> Response:
    """As Telegram refuses: https://core.telegram.org/bots/api#making-requests."""
    status = error.status if error.status >= 400 else 502
    said = {"ok": False, "error_code": status, "description": str(error)}
    return _json_response(
        status, said | ({"parameters": {"retry_after": int(error.retry_after)}} if error.retry_after else {})
    )


def _json_response(status: int, document: Any) -> Response:
    return Response(msgspec.json.encode(document), status=status, content_type="application/json")
