"""What became of alerts on their way to people: what each channel took, what failed, who was never told."""

from vv_exporter.metrics import counter, gauge

NOTIFICATIONS = counter(
    "vv_notifications_total",
    "Notifications by channel: result is ok (the provider took it) or failed (it did not, for the time being).",
    "channel",
    "result",
)
CHANNEL_SUCCESS = gauge(
    "vv_channel_last_success_timestamp_seconds", "When a channel last took a notification; 0: never.", "channel"
)
CHANNEL_FAILURE = gauge(
    "vv_channel_last_failure_timestamp_seconds", "When a channel last did not take one; 0: never.", "channel"
)
CHANNEL_ERROR = gauge(
    "vv_channel_last_error_info", "What was said then; one series a channel, while it fails.", "channel", "error"
)
ALERTS_UNTOLD = gauge("vv_alerts_untold", "Alerts that fire or fired, and that no channel has taken yet.")
ALERTS_MISSED = counter(
    "vv_alerts_missed_total",
    "Alerts that ended before any channel accepted them; they are sent in a summary.",
    "severity",
)
DIRECT_QUEUE = gauge("vv_direct_queue", "Messages that wait to be sent directly.", "channel")
ALERTMANAGER_UP = gauge("vv_alertmanager_up", "Whether Alertmanager answers and takes alerts.")
ALERTMANAGER_DOWN_SECONDS = gauge(
    "vv_alertmanager_down_seconds", "For how long it has been seen not to, in seconds; 0 while it does."
)
