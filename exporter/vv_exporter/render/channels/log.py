"""The exporter itself, which writes every notification to app.log. Always on."""

from vv_exporter.render import base
from vv_exporter.render.channels import Channel, Entry
from vv_exporter.render.token import read_token
from vv_exporter.settings import Secret, Settings


def _adapt(entry: Entry, settings: Settings) -> Entry:
    url = f"{settings.exporter_url}/api/v1/alertmanager"
    return entry | {"url": url, "http_config": entry["http_config"] | base.trusting(settings)}


CHANNEL = Channel(
    title="app.log",
    secrets={"exporter-token": lambda settings: Secret(read_token(settings))},
    configured=lambda _: True,
    adapt=_adapt,
)
