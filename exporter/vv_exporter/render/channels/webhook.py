"""A webhook that gets every alert in Alertmanager's own JSON."""

from vv_exporter.render.channels import Channel

CHANNEL = Channel(
    title="webhook",
    needs="WEBHOOK_URL",
    secrets={"webhook-url": lambda settings: settings.webhook_url},
    configured=lambda settings: bool(settings.webhook_url),
)
