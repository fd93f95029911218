"""Alerts raised with `send_alert`, their delivery, and the notifications that came of all alerts."""

from vv_exporter.metrics import counter, gauge

ALERT_EVENTS = counter("vv_alert_events_total", "Calls of send_alert.", "component", "severity")
ALERT_SUPPRESSED = counter(
    "vv_alert_events_suppressed_total",
    "Calls of send_alert that repeated an alert which was still open.",
    "component",
    "severity",
)
ALERTS_DROPPED = counter(
    "vv_alerts_dropped_total",
    "Alerts that were never delivered and will not be: more waited than are kept, or no channel accepts them.",
    "severity",
)
RELAY_DELIVERIES = counter(
    "vv_relay_deliveries_total",
    "Requests that carried alerts: result is ok, failed (tried again), refused or dropped (given up); "
    "rejected counts alerts that Alertmanager refuses for their content.",
    "destination",
    "result",
)
RELAY_QUEUE = gauge("vv_relay_queue", "Alerts that wait for their first delivery.")
RELAY_OLDEST = gauge("vv_relay_oldest_timestamp_seconds", "Since when the oldest of them waits; 0 when none does.")
NOTIFICATIONS_LOGGED = counter(
    "vv_notifications_logged_total",
    "Alerts in notifications that Alertmanager sent here.",
    "status",
    "severity",
)
