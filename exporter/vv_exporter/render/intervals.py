"""How often Prometheus and Alertmanager send an alert again, so that a beat comes round in time."""

from __future__ import annotations


def delivery_interval(after: float) -> float:
    """How often Alertmanager delivers the Watchdog to the exporter, in seconds; rendered into its configuration."""
    return min(max(after / 6, 1.0), 30.0)


def resend_delay(after: float) -> float:
    """How often Prometheus sends a firing alert again, in seconds; what `vv up` runs it with.

    Below Prometheus' own minute, or an interval of a minute would send each second time only. Not much below it: an
    alert ends at Alertmanager when it was not sent for four times as long.
    """
    return min(after / 4, 45.0)
