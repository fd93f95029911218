"""What the self-monitor reports of itself and of the containers that it watches over."""

from vv_exporter.metrics import counter, gauge

LAST_CHECK = gauge(
    "vv_self_monitor_last_check_timestamp_seconds",
    "When the self-monitor last looked at its containers; absent where there never was one.",
)
EXPECTED = gauge(
    "vv_self_monitor_expected",
    "Whether there should be a self-monitor: vv.yml or a container's label asks for it, and none was retired.",
)
SUPERVISED_RESTARTS = counter(
    "vv_self_monitor_restarts_total", "Restarts by the self-monitor, by result: ok, failed.", "name", "result"
)
IN_WINDOW = gauge(
    "vv_self_monitor_restarts_in_window", "Restarts within SELF_MONITOR_WINDOW, those by Docker's policy too.", "name"
)
MAX_RESTARTS = gauge("vv_self_monitor_max_restarts", "Restarts after which the self-monitor gives up.", "name")
GAVE_UP = gauge("vv_self_monitor_gave_up", "Whether the self-monitor has given up on the container.", "name")
