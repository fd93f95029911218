"""The generic webhook. Alerts get there by its own outbox (`delivery/webhook.py`); here it is tested."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from vv_exporter.channels import Answer, Channel
from vv_exporter.channels._http import post
from vv_exporter.messages.message import Message, line
from vv_exporter.messages.webhook_event import NO_VIDEO, Event


class Webhook:
    """Posts to `url`, which is the secret."""

    name = "webhook"
    title = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url
        self._secrets = (url, urlsplit(url).path)

    def send(self, message: Message) -> Answer:
        """Send."""
        headers = {"VV-Alert-Status": "firing", "Idempotency-Key": message.alert_id}
        return post(self._url, msgspec.to_builtins(event(message)), secrets=self._secrets, headers=headers)

    test = send


def event(message: Message) -> Event:
    """What is posted."""
    return Event(
        timestamp=message.since,
        severity=message.severity.upper(),
        source_component=message.component,
        hostname=message.device,
        title=line(message.title, 300),
        message_details=message.details,
        suggested_actions=message.suggested_actions,
        video_file_context=message.video or NO_VIDEO,
        alert_id=message.alert_id,
    )


CHANNEL = Channel(
    name=Webhook.name,
    title=Webhook.title,
    kind="webhook",
    needs=("webhook_url",),
    build=lambda settings: Webhook(settings.webhook_url.value),
    addressed_by=("webhook_url",),
)
