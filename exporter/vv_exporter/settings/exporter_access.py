"""What the servers need to know to get through to the exporter."""

from __future__ import annotations

from typing import Any

from vv_exporter.settings.catalogue import Settings
from vv_exporter.settings.loading import SettingsError


def trusting_exporter(settings: Settings) -> dict[str, Any]:
    """What a server's HTTP client needs to know the exporter's certificate.

    The certificates themselves, for the server may not be able to read a file of the exporter's: the key `ca` of
    https://prometheus.io/docs/prometheus/latest/configuration/configuration/#tls_config. Raises `SettingsError`.
    """
    path = settings.exporter_ca_file
    if path is None:
        return {}
    try:
        return {"tls_config": {"ca": path.read_text(encoding="ascii")}}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"VV_EXPORTER_CA_FILE: {path} cannot be read as PEM: {error}"]) from error
