"""The files that hold secrets: one value each, for the `*_file` keys of alertmanager.yml and prometheus.yml."""

from __future__ import annotations

from vv_exporter.render import channels, prometheus
from vv_exporter.settings import Settings


def contents(settings: Settings) -> dict[str, str]:
    """What each secret file of the configured channels and store holds, by its name; empty ones are left out."""
    values = {
        name: source(settings)
        for channel in channels.all_channels()
        if channel.configured(settings)
        for name, source in channel.secrets.items()
    }
    if settings.remote_write_url:
        values |= {prometheus.PASSWORD: settings.remote_write_password, prometheus.TOKEN: settings.remote_write_token}
    return {name: secret.value for name, secret in values.items() if secret}
