"""Slack, by an incoming webhook."""

from vv_exporter.render.channels import Channel

CHANNEL = Channel(
    title="Slack",
    needs="SLACK_WEBHOOK_URL",
    urgent=True,
    secrets={"slack-webhook-url": lambda settings: settings.slack_webhook_url},
    configured=lambda settings: bool(settings.slack_webhook_url),
)
