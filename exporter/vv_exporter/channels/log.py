"""The exporter itself, which writes every notification to app.log. Always on."""

from __future__ import annotations

from vv_exporter.alertmanager.token import read_token
from vv_exporter.channels import Channel, Entry
from vv_exporter.settings import Secret, Settings
from vv_exporter.settings.exporter_access import trusting_exporter


def _adapt_entry(entry: Entry, settings: Settings) -> Entry:
    url = f"{settings.exporter_url}/api/v1/alertmanager"
    return entry | {"url": url, "http_config": entry["http_config"] | trusting_exporter(settings)}


CHANNEL = Channel(
    name="log",
    title="app.log",
    kind="record",
    needs=(),
    build=None,
    secrets={"exporter-token": lambda settings: Secret(read_token(settings))},
    adapt=_adapt_entry,
)
