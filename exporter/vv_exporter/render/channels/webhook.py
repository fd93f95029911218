"""The generic webhook, to which the exporter itself delivers (`delivery/webhook.py`), without Alertmanager."""

from vv_exporter.render.channels import Channel

CHANNEL = Channel(
    title="webhook",
    needs="WEBHOOK_URL",
    secrets={},
    configured=lambda settings: bool(settings.webhook_url),
)
