"""The loop that proves that alerting works: a beat that goes round by Prometheus and Alertmanager."""

from vv_exporter.metrics import gauge

BEAT = gauge(
    "vv_alert_path_beat_timestamp_seconds",
    "The beat: when it was given. The Watchdog quotes it, and Alertmanager brings it back.",
)
UP = gauge("vv_alert_path_up", "Whether beats come back, and so alerts get out; absent while that is not known.")
LATENCY = gauge("vv_alert_path_latency_seconds", "How old the newest beat that came back was when it arrived.")
LAST_BEAT = gauge("vv_alert_path_last_beat_timestamp_seconds", "When it arrived; 0: none since the exporter's start.")
