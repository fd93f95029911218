"""Telegram, by a bot."""

import re
from collections.abc import Iterator

from vv_exporter.render import base
from vv_exporter.render.channels import Channel, Entry
from vv_exporter.settings import Settings

THROUGH_EXPORTER = "/api/v1/telegram"
"""Where the exporter takes what is for Telegram (`web/routes/telegram.py`)."""


def _adapt(entry: Entry, settings: Settings) -> Entry:
    if settings.telegram_through_exporter == "true":
        trusting = base.trusting(settings)
        through = {"api_url": f"{settings.exporter_url}{THROUGH_EXPORTER}"}
        return entry | through | ({"http_config": trusting} if trusting else {})
    return entry | {"api_url": settings.telegram_api_url}


def _problems(settings: Settings) -> Iterator[str]:
    # Alertmanager reads the file as a whole number when it notifies, and not before.
    if settings.telegram_chat_id and not re.fullmatch(r"-?\d{1,18}", settings.telegram_chat_id.value):
        yield "TELEGRAM_CHAT_ID: is not a number; take the chat's id (groups have negative ones), not its name"


CHANNEL = Channel(
    title="Telegram",
    needs="TELEGRAM_BOT_TOKEN, TELEGRAM_CHAT_ID",
    urgent=True,
    secrets={
        "telegram-bot-token": lambda settings: settings.telegram_bot_token,
        "telegram-chat-id": lambda settings: settings.telegram_chat_id,
    },
    configured=lambda settings: bool(settings.telegram_bot_token and settings.telegram_chat_id),
    adapt=_adapt,
    problems=_problems,
)
