"""Containers of the Docker Engine."""

from vv_exporter.metrics import Metric, counter, gauge

CONTAINER_LIMIT = 1000

DOCKER_UP = gauge("vv_docker_up", "Whether the Docker Engine answers; absent where there never was one.")
EVENT_STREAM = gauge("vv_docker_event_stream_connected", "Whether the Engine's event stream is followed.")
REQUESTS_ANSWERED = gauge(
    "vv_docker_request_success",
    "Whether an Engine that answers does so also for this: events, list, inspect (of every container), stats.",
    "request",
)
PROXY_REFUSED = counter(
    "vv_docker_proxy_refused_total",
    "Connections of users whom the Docker proxy does not serve, since it was started, by socket: read, act.",
    "socket",
)
INSPECTED = gauge(
    "vv_container_inspect_success",
    "Whether the Engine answers about the container; 0: it is shown as the list has it.",
    "name",
)
INFO = gauge(
    "vv_container_info",
    "What the container is; always 1.",
    "name",
    "service",
    "project",
    "image",
    "essential",
)
PODMAN = gauge(
    "vv_docker_podman",
    "1 where Podman answers in the place of the Docker Engine, which is not supported; absent where nothing answered.",
)
EXPECTED = gauge("vv_container_expected", "Whether the container should be running.", "name")
RUNNING = gauge("vv_container_running", "Whether the container runs; 0 also when it is gone.", "name")
DOWN = gauge(
    "vv_container_down_seconds",
    "For how long a container that should run has not, on a device up for two minutes; none of others. `crashed`: it"
    " ended by itself or was killed, and nothing is about to start it again.",
    "name",
    "essential",
    "crashed",
    "state",
    "exit_code",
)
STATE = gauge("vv_container_state", "1 for the state that the container is in.", "name", "state")
HEALTH = gauge("vv_container_health", "1 for the health status of a running container.", "name", "status")
HEALTH_STREAK = gauge("vv_container_health_failing_streak", "Health checks failed in a row.", "name")
RESTARTS = Metric(
    "vv_container_restarts_total",
    "counter",
    "Starts after the first, by cause: policy, self_monitor, manual, daemon. A slot of a swarm counts its tasks.",
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
    "vv_container_oom_kills_total", "counter", "Times the container was OOM-killed.", ("name",), limit=CONTAINER_LIMIT
)
START_TIME = gauge("vv_container_start_time_seconds", "When the container last started.", "name")
CPU_SECONDS = counter("vv_container_cpu_seconds_total", "Processor time that the container has used.", "name")
CPU_LIMIT = gauge("vv_container_cpu_limit_cores", "Cores that the container may use; absent for all.", "name")
MEMORY = gauge(
    "vv_container_memory_working_set_bytes", "Memory in use, without file pages that can be dropped.", "name"
)
MEMORY_LIMIT = gauge("vv_container_memory_limit_bytes", "Memory that the container may use; absent for all.", "name")
RECEIVED = counter("vv_container_network_receive_bytes_total", "Received on all interfaces but loopback.", "name")
TRANSMITTED = counter("vv_container_network_transmit_bytes_total", "Sent on all interfaces but loopback.", "name")
READ = counter("vv_container_blkio_read_bytes_total", "Read from block devices.", "name")
WRITTEN = counter("vv_container_blkio_write_bytes_total", "Written to block devices.", "name")
PIDS = gauge("vv_container_pids", "Processes and threads of the container.", "name")
