"""A webhook that gets every alert in Alertmanager's own JSON."""

from vv_exporter.render.channels import Channel

CHANNEL = Channel(
    title="webhook (Alertmanager's JSON)",
    needs="ALERTMANAGER_WEBHOOK_URL",
    secrets={"alertmanager-webhook-url": lambda settings: settings.alertmanager_webhook_url},
    configured=lambda settings: bool(settings.alertmanager_webhook_url),
)
