"""Slack, by an incoming webhook (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

from __future__ import annotations

from typing import Any

from vv_exporter.channels import Channel
from vv_exporter.channels._hook import Hook
from vv_exporter.language import gettext as _
from vv_exporter.messages.message import (
    ALERT_ID,
    COMPONENT,
    DEVICE,
    MAX_ACTIONS,
    MAX_DETAILS,
    MAX_TITLE,
    SEVERITY,
    SINCE,
    VIDEO,
    WHAT_TO_DO,
    Message,
    line,
)
from vv_exporter.settings import Settings
from vv_exporter.state.timeline import shortened

COLORS = {"critical": "#b00020", "error": "danger", "warning": "warning", "info": "#439fe0"}


def document(message: Message) -> dict[str, Any]:
    """What is posted: one attachment."""
    title = f"{message.status}: {escaped(line(message.title, MAX_TITLE))}"
    device = escaped(line(message.device, 63))
    attachment = {
        "fallback": _("{title} on {device}").format(title=title, device=device),
        "color": "good" if message.resolved else COLORS.get(message.severity, "danger"),
        "title": title,
        "text": "\n".join(_message_lines(message, device)),
        "footer": f"vv-exporter · {line(message.alertname, 100)}",
        "mrkdwn_in": ["text"],
    }
    if message.runbook_url:
        attachment["title_link"] = message.runbook_url
    return {"attachments": [attachment]}


def _message_lines(message: Message, device: str) -> list[str]:
    component = escaped(line(message.component, 100))
    lines = [f"*{_(SEVERITY)}* {message.severity.upper()} · *{_(DEVICE)}* {device} · *{_(COMPONENT)}* {component}"]
    lines += [escaped(shortened(message.details, MAX_DETAILS))] if message.details else []
    lines += [escaped(line(message.note, 300))] if message.note else []
    lines += [f"*{_(VIDEO)}* {escaped(line(message.video, 200))}"] if message.video else []
    lines += [f"*SHA-256* {escaped(line(message.video_sha256, 64))}"] if message.video_sha256 else []
    lines += [f"*{_(SINCE)}* {message.since} · *{_(ALERT_ID)}* {escaped(line(message.alert_id, 64))}"]
    if message.suggested_actions and not message.resolved:
        lines += [f"*{_(WHAT_TO_DO)}*", escaped(shortened(message.suggested_actions, MAX_ACTIONS))]
    return [*lines, " · ".join(f"<{url}|{name}>" for name, url in message.links())]


def escaped(text: str) -> str:
    """Text in which neither links nor <!channel> can be made, nor a code block."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("```", "'''")


def _build_channel(settings: Settings) -> Hook:
    return Hook(CHANNEL, settings.slack_webhook_url.value, document)


CHANNEL = Channel(
    name="slack",
    title="Slack",
    kind="chat",
    needs=("slack_webhook_url",),
    build=_build_channel,
    addressed_by=("slack_webhook_url",),
    secrets={"slack-webhook-url": lambda settings: settings.slack_webhook_url},
)
