"""Containers of the Docker Engine."""

from vv_exporter.metrics import Metric, gauge

CONTAINER_LIMIT = 1000

DOCKER_UP = gauge("vv_docker_up", "Whether the Docker Engine answers; absent where there never was one.")
EVENT_STREAM = gauge("vv_docker_event_stream_connected", "Whether the Engine's event stream is followed.")
INFO = gauge(
    "vv_container_info",
    "What the container is; always 1.",
    "name",
    "service",
    "project",
    "image",
    "essential",
)
EXPECTED = gauge("vv_container_expected", "Whether the container should be running.", "name")
RUNNING = gauge("vv_container_running", "Whether the container runs; 0 also when it is gone.", "name")
STATE = gauge("vv_container_state", "1 for the state that the container is in.", "name", "state")
HEALTH = gauge("vv_container_health", "1 for the health status of a running container.", "name", "status")
HEALTH_STREAK = gauge("vv_container_health_failing_streak", "Health checks failed in a row.", "name")
RESTARTS = Metric(
    "vv_container_restarts_total",
    "counter",
    "Starts after the first, by cause: policy, self_monitor, manual, daemon.",
    ("name", "cause"),
    limit=4 * CONTAINER_LIMIT,
)
EXITS = Metric(
    "vv_container_exits_total",
    "counter",
    "Exits by reason: ok, error, signal, oom.",
    ("name", "reason"),
    limit=4 * CONTAINER_LIMIT,
)
LAST_EXIT_CODE = gauge("vv_container_last_exit_code", "Exit code of the last exit.", "name")
OOM_KILLS = Metric(
    "vv_container_oom_kills_total", "counter", "Deaths for want of memory.", ("name",), limit=CONTAINER_LIMIT
)
START_TIME = gauge("vv_container_start_time_seconds", "When the container last started.", "name")
