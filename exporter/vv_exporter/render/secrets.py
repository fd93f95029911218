"""The files that hold secrets: one value each, for the `*_file` keys of alertmanager.yml and prometheus.yml."""

from __future__ import annotations

from collections.abc import Container, Mapping

from vv_exporter.channels import all_channels
from vv_exporter.render import agent, prometheus
from vv_exporter.settings import Secret, Settings


def of_channels(settings: Settings, wanted: Container[str] | None = None) -> dict[str, str]:
    """What each secret file of the configured channels holds, by its name; empty ones are left out.

    Only those of `wanted` names are asked for: the exporter's token is made when it is.
    """
    return _filled_secrets(
        {
            name: source(settings)
            for channel in all_channels()
            if channel.is_configured(settings)
            for name, source in channel.secrets.items()
            if wanted is None or name in wanted
        }
    )


def of_prometheus(settings: Settings) -> dict[str, str]:
    """What those hold that Prometheus shows the exporter, and the agent the centre of a fleet."""
    store = {prometheus.PASSWORD: settings.remote_write_password, prometheus.TOKEN: settings.remote_write_token}
    exporter = {prometheus.EXPORTER_PASSWORD: settings.exporter_password}
    fleet = {agent.TOKEN: settings.fleet_token} if settings.fleet_url else {}
    return _filled_secrets(exporter | fleet | (store if settings.remote_write_url else {}))


def _filled_secrets(values: Mapping[str, Secret]) -> dict[str, str]:
    return {name: secret.value for name, secret in values.items() if secret}
