"""Telegram, by a bot: sendMessage with HTML of at most 4,096 characters (https://core.telegram.org/bots/api)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from html import escape as html_escape
from typing import Any

from vv_exporter.channels import Answer, Channel, Entry, ProviderError
from vv_exporter.channels._http import post
from vv_exporter.language import gettext as _
from vv_exporter.messages.message import (
    ALERT_ID,
    COMPONENT,
    DEVICE,
    SEVERITY,
    SINCE,
    VIDEO,
    WHAT_TO_DO,
    Message,
    fitted,
)
from vv_exporter.settings import Settings
from vv_exporter.settings.exporter_access import trusting_exporter
from vv_exporter.state.timeline import shortened

log = logging.getLogger(__name__)

SIGNS = {"critical": "🔴", "error": "🟠", "warning": "🟡", "info": "🔵"}
THROUGH_EXPORTER = "/api/v1/telegram"
"""Where the exporter takes what is for Telegram (`web/routes/telegram.py`)."""
CRASHES_ALERTMANAGER = (
    "its answer names no chat: Alertmanager crashes on such; mend the proxy at TELEGRAM_API_URL, or set "
    "TELEGRAM_THROUGH_EXPORTER=true"
)


class Telegram:
    """Writes to `chat` as the bot whose secret `token` is part of the address. A chat that was moved is followed."""

    name = "telegram"
    title = "Telegram"

    def __init__(self, api_url: str, token: str, chat: str) -> None:
        self._url = f"{api_url}/bot{token}"
        self._token = token
        self._chat = self._configured = chat
        self._is_odd = False
        self._to_do = ""

    def send(self, message: Message) -> Answer:
        """Send."""
        answer = self.post({"text": html(message), "parse_mode": "HTML", "link_preview_options": {"is_disabled": True}})
        if not names_chat(answer) and not self._is_odd:
            self._is_odd = True
            log.error("Telegram: %s", CRASHES_ALERTMANAGER)
        return answer

    def test(self, message: Message) -> Answer:
        """Send, and say what Alertmanager would not get over."""
        answer = self.send(message)
        return answer if names_chat(answer) else answer._replace(text=f"{answer.text}; {CRASHES_ALERTMANAGER}")

    def post(self, document: Mapping[str, Any]) -> Answer:
        """Have sendMessage take a document without its chat. Raises `ProviderError`."""
        try:
            return self._post_message(document, self._chat)._replace(to_do=self._to_do)
        except ProviderError as error:
            if not error.moved_to:
                raise
            answer, moved_to = self._post_message(document, error.moved_to), error.moved_to
        self._chat = moved_to
        said = f"the chat is a supergroup now: set TELEGRAM_CHAT_ID to {moved_to} (Alertmanager does not follow it)"
        self._to_do = said
        log.error("Telegram: %s", said)
        return answer._replace(text=said, to_do=said)

    def refusal(self) -> ProviderError | None:
        """Why the chat that is configured takes nothing, if the provider says that. People see "typing" at most.

        Alertmanager takes it for trouble of the network: https://core.telegram.org/bots/api#sendchataction.
        """
        try:
            document = {"chat_id": self._configured, "action": "typing"}
            post(f"{self._url}/sendChatAction", document, secrets=(self._token, self._configured))
        except ProviderError as error:
            return error if error.refused or error.status in (401, 403, 404) else None
        return None

    def _post_message(self, document: Mapping[str, Any], chat: str) -> Answer:
        return post(f"{self._url}/sendMessage", {**document, "chat_id": chat}, secrets=(self._token, chat))


def names_chat(answer: Answer) -> bool:
    """Whether an answer to sendMessage has what Alertmanager (0.33, 0.34) reads of it without looking whether it is
    there: notify/telegram/telegram.go there, `message.Chat.ID`."""
    try:
        return answer.document["result"]["chat"] is not None
    except (KeyError, TypeError, IndexError):
        return False


def html(message: Message) -> str:
    """The message's text. The budgets together stay below the limit, which counts UTF-16 units after parsing."""
    sign = "✅" if message.resolved else SIGNS.get(message.severity, "🟠")
    lines = [
        f"{sign} <b>{message.status}: {_fitted_line(message.title, 250)}</b>",
        f"<b>{_(SEVERITY)}</b> {message.severity.upper()}",
        f"<b>{_(DEVICE)}</b> {_fitted_line(message.device, 80)}",
        f"<b>{_(COMPONENT)}</b> {_fitted_line(message.component, 120)}",
    ]
    lines += [_fitted_text(message.details, 1200)] if message.details else []
    lines += [_fitted_line(message.note, 300)] if message.note else []
    lines += [f"<b>{_(VIDEO)}</b> {_fitted_line(message.video, 120)}"] if message.video else []
    lines += [f"<b>SHA-256</b> {_fitted_line(message.video_sha256, 64)}"] if message.video_sha256 else []
    lines += [f"<b>{_(SINCE)}</b> {message.since}", f"<b>{_(ALERT_ID)}</b> {_fitted_line(message.alert_id, 64)}"]
    if message.suggested_actions and not message.resolved:
        lines += ["", f"<b>{_(WHAT_TO_DO)}</b>", _fitted_text(message.suggested_actions, 750)]
    links = " · ".join(f'<a href="{html_escape(url)}">{name}</a>' for name, url in message.links())
    return "\n".join([*lines, "", links] if links else lines)


def _fitted_line(text: str, most: int) -> str:
    return _fitted_text(" ".join(text.split()), most)


def _fitted_text(text: str, most: int) -> str:
    return fitted(shortened(text, most), most, _escape_html, _count_utf16_units)


def _escape_html(text: str) -> str:
    return html_escape(text, quote=False)


def _count_utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", errors="replace")) // 2


def build(settings: Settings) -> Telegram:
    """What sends by the channel, which is configured."""
    return Telegram(settings.telegram_api_url, settings.telegram_bot_token.value, settings.telegram_chat_id.value)


def _adapt_entry(entry: Entry, settings: Settings) -> Entry:
    if settings.telegram_through_exporter == "true":
        trusting = trusting_exporter(settings)
        through = {"api_url": f"{settings.exporter_url}{THROUGH_EXPORTER}"}
        return entry | through | ({"http_config": trusting} if trusting else {})
    return entry | {"api_url": settings.telegram_api_url}


def _find_problems(settings: Settings) -> Iterator[str]:
    # Alertmanager reads the file as a whole number when it notifies, and not before.
    if settings.telegram_chat_id and not re.fullmatch(r"-?\d{1,18}", settings.telegram_chat_id.value):
        yield "TELEGRAM_CHAT_ID: is not a number; take the chat's id (groups have negative ones), not its name"


CHANNEL = Channel(
    name=Telegram.name,
    title=Telegram.title,
    kind="chat",
    needs=("telegram_bot_token", "telegram_chat_id"),
    build=build,
    addressed_by=("telegram_api_url", "telegram_bot_token", "telegram_chat_id"),
    secrets={
        "telegram-bot-token": lambda settings: settings.telegram_bot_token,
        "telegram-chat-id": lambda settings: settings.telegram_chat_id,
    },
    adapt=_adapt_entry,
    problems=_find_problems,
)
