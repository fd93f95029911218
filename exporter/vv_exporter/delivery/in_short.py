"""A message that a channel does not take as it is, in words of our own: that there is an alert, and where to read it.

It separates two faults that providers answer alike (400): a channel that takes this one is well, and it was the text;
one that takes neither, as with a chat that was moved or a key that is not valid, takes nothing, and everything waits.
"""

from __future__ import annotations

import logging
import re

import msgspec

from vv_exporter.channels import Answer, Provider, ProviderError, defect
from vv_exporter.language import gettext as _
from vv_exporter.messages.message import Message

log = logging.getLogger(__name__)

_PLAIN = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def send_whole(provider: Provider, message: Message) -> Answer:
    """Send it as it is. Raises `ProviderError`, whatever goes wrong: the others must not wait behind this message."""
    try:
        return provider.send(message)
    except ProviderError:
        raise
    except Exception as error:
        raise defect(error) from None


def send_in_short(provider: Provider, message: Message) -> Answer:
    """Send that there is an alert. Raises `ProviderError`: then it is the channel that takes nothing."""
    return send_whole(provider, in_short(message))


def send_somehow(provider: Provider, message: Message) -> Answer:
    """Send it, or what it comes to where the provider does not take it as it is. Raises `ProviderError`."""
    try:
        return send_whole(provider, message)
    except ProviderError as error:
        if not error.refused:
            raise
        answer = send_in_short(provider, message)
        log.error("%s rejects this message (%s), sent in short: %s", provider.name, error, message.title)
        return answer


def in_short(message: Message) -> Message:
    """Nothing is left of what others wrote."""
    id_ = _plain_or(message.alert_id, "")
    read = f"vv timeline --alert {id_}" if id_ else "vv timeline"
    return msgspec.structs.replace(
        message,
        title=_("An alert that this channel does not take as it is ({alert})").format(
            alert=_plain_or(message.alertname, "alert")
        ),
        component=_plain_or(message.component, "unknown"),
        alert_id=id_ or "unknown",
        details="",
        suggested_actions=_("1. Read it on the device: {command}").format(command=f"`{read}`"),
        note="",
        video="",
        video_sha256="",
        runbook_url="",
        silence_url="",
        status_url="",
    )


def _plain_or(text: str, other: str) -> str:
    return text if _PLAIN.fullmatch(text) else other
