"""The files that hold secrets: one value each, for the `*_file` keys of alertmanager.yml."""

from __future__ import annotations

from vv_exporter.render import channels
from vv_exporter.settings import Settings


def contents(settings: Settings) -> dict[str, str]:
    """What each secret file of the configured channels holds, by the file's name; empty ones are left out."""
    values = {
        name: source(settings)
        for channel in channels.all_channels()
        if channel.configured(settings)
        for name, source in channel.secrets.items()
    }
    return {name: secret.value for name, secret in values.items() if secret}
