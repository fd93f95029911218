"""PagerDuty, Events API v2 (https://developer.pagerduty.com/docs/send-alert-event)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vv_exporter.channels import Answer, Channel, Entry
from vv_exporter.channels._http import post
from vv_exporter.language import gettext as _
from vv_exporter.messages.message import MAX_ACTIONS, MAX_TITLE, Message, line
from vv_exporter.settings import Settings
from vv_exporter.state.timeline import shortened


@dataclass(frozen=True)
class PagerDuty:
    """Sends events to the service whose integration key is the secret `key`."""

    url: str
    key: str = field(repr=False)
    name = "pagerduty"
    title = "PagerDuty"

    def send(self, message: Message) -> Answer:
        """Trigger an incident, or resolve it."""
        return post(self.url, document(message, self.key), secrets=(self.key,))

    def test(self, message: Message) -> Answer:
        """Trigger an incident of the lowest severity and resolve it at once."""
        answer = self.send(message)
        post(self.url, _build_event(message, self.key, "resolve"), secrets=(self.key,))
        return answer


def document(message: Message, key: str) -> dict[str, Any]:
    """What is posted."""
    if message.resolved:
        return _build_event(message, key, "resolve")
    details = {
        "details": shortened(message.details, 8000),
        "note": line(message.note, 300),
        "suggested_actions": shortened(message.suggested_actions, MAX_ACTIONS),
        "device": message.device,
        "component": line(message.component, 100),
        "alert_id": message.alert_id,
        "timestamp": message.since,
        "video": line(message.video, 500),
        "video_sha256": line(message.video_sha256, 64),
    }
    title = line(message.title, MAX_TITLE)
    return _build_event(message, key, "trigger") | {
        "client": "vv-exporter",
        "client_url": message.status_url,
        "links": [{"text": name, "href": url} for name, url in message.links()],
        "payload": {
            "summary": _("{title} on {device}").format(title=f"{message.status}: {title}", device=message.device),
            "source": message.device,
            "severity": message.severity,
            "component": line(message.component, 100),
            "class": message.alertname,
            "custom_details": {name: value for name, value in details.items() if value},
        },
    }


def _build_event(message: Message, key: str, action: str) -> dict[str, Any]:
    return {"routing_key": key, "event_action": action, "dedup_key": message.key[:255]}


def _adapt_entry(entry: Entry, settings: Settings) -> Entry:
    return entry | {"url": settings.pagerduty_url}


CHANNEL = Channel(
    name=PagerDuty.name,
    title=PagerDuty.title,
    kind="pager",
    needs=("pagerduty_routing_key",),
    build=lambda settings: PagerDuty(settings.pagerduty_url, settings.pagerduty_routing_key.value),
    addressed_by=("pagerduty_url", "pagerduty_routing_key"),
    secrets={"pagerduty-routing-key": lambda settings: settings.pagerduty_routing_key},
    adapt=_adapt_entry,
)
