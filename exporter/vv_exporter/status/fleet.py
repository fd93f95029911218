"""The fleet's configuration, where the device pulls one."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from vv_exporter.language import gettext as _
from vv_exporter.metrics.fleet import FLEET_CONFIG_PULLED, FLEET_CONFIG_REFUSED, FLEET_CONFIG_VERSION, UNREACHABLE
from vv_exporter.metrics.pipeline import LAST_FAILURE_INFO
from vv_exporter.state.timeline import shortened
from vv_exporter.status.series import Series
from vv_exporter.status.table import QUOTED, Cell, Table, when

FAILURE_KIND = "fleet_config"
"""Of the failure that tells more of a refusal: `fleet_config:REASON`."""


class FleetConfig(msgspec.Struct, frozen=True):
    """Its `version` that is in use (0: none), why the last pull brought nothing ("": it was good), and when one was."""

    version: int
    reason: str
    details: str
    pulled: float | None

    @property
    def is_refused(self) -> bool:
        """Whether there is something that this device does not take."""
        return self.reason not in ("", UNREACHABLE)


def read(series: Series) -> FleetConfig | None:
    """Its state; None where none is pulled."""
    version = series.one(FLEET_CONFIG_VERSION)
    if version is None:
        return None
    reason = next((labels["reason"] for labels, value in series.all(FLEET_CONFIG_REFUSED) if value), "")
    details = series.text(LAST_FAILURE_INFO, "error", kind=f"{FAILURE_KIND}:{reason}") if reason else ""
    return FleetConfig(int(version), reason, details, series.one(FLEET_CONFIG_PULLED) or None)


def troubles(config: FleetConfig | None) -> Iterator[str]:
    """What is wrong."""
    if config is not None and config.is_refused:
        yield _("the fleet's configuration is refused ({reason}): {details}").format(
            reason=config.reason, details=shortened(config.details, QUOTED)
        )


def table(config: FleetConfig, now: float) -> Table:
    """For people."""
    last = Cell(_("good"))
    if config.is_refused:
        last = Cell(_("refused ({reason})").format(reason=config.reason), "bad", note=config.details)
    elif config.reason:
        last = Cell(_("the centre is not reached"), "warning", note=config.details)
    elif config.pulled is None:
        last = Cell(_("none yet"), "muted")
    rows = [
        (Cell(_("version")), Cell(str(config.version) if config.version else "–")),
        (Cell(_("last pull")), last),
        (Cell(_("last good pull")), when(config.pulled, now)),
    ]
    return Table("fleet", _("The fleet's configuration"), (_("Configuration"), _("Now")), rows)
