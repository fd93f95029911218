"""Opsgenie. Its API ends in April 2027."""

from vv_exporter.render.channels import Channel, Entry
from vv_exporter.settings import Settings


def _adapt(entry: Entry, settings: Settings) -> Entry:
    return entry | {"api_url": f"{settings.opsgenie_api_url}/"}


CHANNEL = Channel(
    title="Opsgenie",
    needs="OPSGENIE_API_KEY",
    urgent=True,
    secrets={"opsgenie-api-key": lambda settings: settings.opsgenie_api_key},
    configured=lambda settings: bool(settings.opsgenie_api_key),
    adapt=_adapt,
)
