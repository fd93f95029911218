"""What `vv fleet status` shows, and whether it is well: what is not known is said to be unknown."""

from __future__ import annotations

from typing import NamedTuple

from vv_exporter.common.clock import isoformat
from vv_exporter.fleet.status import Sending, refused, size
from vv_exporter.status import FleetConfig

LATE_SECONDS = 180.0
"""Nothing taken for longer than this is a link that is down: beats are sent every 20 seconds."""


class Report(NamedTuple):
    """Lines by their names, and whether all is well."""

    fields: dict[str, str]
    well: bool


def report(sending: Sending, taken: float | None, everything_until: float | None, now: float) -> Report:
    """`taken` is when the centre last took something, `everything_until` when the sending of everything ends."""
    limit = sending.limit_bytes_per_second * 86400
    refusals = ", ".join(f"{count} with {status}" for status, count in sorted(refused(sending).items()))
    lost = sending.lost_bytes or sending.lost_samples
    fields = {
        "last_taken": isoformat(taken) if taken else "unknown",
        "sent": f"{size(sending.sent_bytes)} since {isoformat(sending.started_at)}",
        "limit": f"{size(limit)} a day" if limit else "none",
        "waiting": size(sending.waiting_bytes),
        "lost": f"{size(sending.lost_bytes)}; samples: {sending.lost_samples:.0f}" if lost else "nothing",
        "refused": refusals or "nothing",
        "sends": f"everything, until {isoformat(everything_until)}" if everything_until else "what is kept",
    }
    if taken is not None:
        return Report(fields, now - taken <= LATE_SECONDS)
    return Report(fields, "2XX" in sending.answered and not sending.waiting_bytes)


def config_report(config: FleetConfig | None) -> Report:
    """What the exporter says of the fleet's configuration; it is well unless something was refused."""
    if config is None:
        return Report({"configuration": "unknown: restart the exporter, which does not pull one"}, False)
    fields = {
        "configuration_version": str(config.version) if config.version else "none",
        "configuration_pulled": isoformat(config.pulled) if config.pulled else "not since the exporter's start",
        "configuration_refused": f"{config.reason}: {config.details}" if config.reason else "no",
    }
    return Report(fields, not config.is_refused)
