"""The webhook that gets Alertmanager's own JSON (version 4). It is tested here, and gets alerts from Alertmanager."""

from __future__ import annotations

from typing import Any

from vv_exporter.channels import Channel
from vv_exporter.channels._hook import Hook
from vv_exporter.language import translatable
from vv_exporter.messages.message import Message
from vv_exporter.settings import Settings


def document(message: Message) -> dict[str, Any]:
    """What is posted: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config."""
    labels = {
        "alertname": message.alertname,
        "severity": message.severity,
        "component": message.component,
        "device": message.device,
    }
    annotations = {
        "summary": message.title,
        "description": message.details,
        "suggested_actions": message.suggested_actions,
        "alert_id": message.alert_id,
        "runbook_url": message.runbook_url,
    }
    status = "resolved" if message.resolved else "firing"
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": message.since,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": message.status_url,
        "fingerprint": "",
    }
    return {
        "version": "4",
        "groupKey": message.key,
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "webhook",
        "groupLabels": {"alertname": message.alertname},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [alert],
    }


def _build_channel(settings: Settings) -> Hook:
    return Hook(CHANNEL, settings.alertmanager_webhook_url.value, document)


CHANNEL = Channel(
    name="alertmanager-webhook",
    title=translatable("webhook (Alertmanager's JSON)"),
    kind="webhook",
    needs=("alertmanager_webhook_url",),
    build=_build_channel,
    addressed_by=("alertmanager_webhook_url",),
    secrets={"alertmanager-webhook-url": lambda settings: settings.alertmanager_webhook_url},
    receiver="webhook",
)
