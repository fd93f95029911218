"""The fleet's configuration on this device, as it was last pulled.

::

    vv_fleet_config_version 8.0
    vv_fleet_config_refused{reason="signature"} 0.0
    vv_fleet_config_pulled_timestamp_seconds 1.7e+09
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.fleet.config_pull import ConfigPuller
from vv_exporter.metrics import gauges
from vv_exporter.metrics.fleet import FLEET_CONFIG_PULLED, FLEET_CONFIG_REFUSED, FLEET_CONFIG_VERSION, REFUSALS
from vv_exporter.services import Services
from vv_exporter.settings import Settings


class FleetCollector:
    """Shows what the last pull brought."""

    name = "fleet"

    def __init__(self, settings: Settings, puller: ConfigPuller | None) -> None:
        self._settings = settings
        self._puller = puller

    def collect(self) -> Iterable[Family]:
        """All families; none where nothing is pulled."""
        if self._puller is None:
            return
        reason = self._puller.state.reason
        yield gauges(FLEET_CONFIG_VERSION, [((), self._settings.fleet_config_version)])
        yield gauges(FLEET_CONFIG_REFUSED, [((one,), one == reason) for one in REFUSALS])
        yield gauges(FLEET_CONFIG_PULLED, [((), self._puller.good_at)])


def build(services: Services) -> FleetCollector:
    """Make the collector."""
    return FleetCollector(services.settings, services.fleet_config)
