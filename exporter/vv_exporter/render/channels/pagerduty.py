"""PagerDuty, Events API v2."""

from vv_exporter.render.channels import Channel, Entry
from vv_exporter.settings import Settings


def _adapt(entry: Entry, settings: Settings) -> Entry:
    return entry | {"url": settings.pagerduty_url}


CHANNEL = Channel(
    title="PagerDuty",
    needs="PAGERDUTY_ROUTING_KEY",
    urgent=True,
    secrets={"pagerduty-routing-key": lambda settings: settings.pagerduty_routing_key},
    configured=lambda settings: bool(settings.pagerduty_routing_key),
    adapt=_adapt,
)
