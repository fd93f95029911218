"""How Prometheus and Alertmanager are run: the same for `vv up` and for the tests with real servers."""

import urllib.error
import urllib.request
from pathlib import Path

LOOPBACK = "127.0.0.1"
RETENTION_TIME = "30d"
RETENTION_SIZE = "1GB"
ALERTMANAGER_FEATURES = ("event-recorder", "receiver-name-in-metrics")
"""What the exporter accounts for notifications with: events tell what was taken, metrics what failed."""


def prometheus_command(program: Path, config: Path, data: Path, port: int) -> list[str | Path]:
    """Prometheus on the loopback interface, bounded in time and size.

    `created-timestamp-zero-ingestion` makes `increase()` see the first event of a new series:
    https://prometheus.io/docs/prometheus/3.5/feature_flags/
    """
    return [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--storage.tsdb.retention.time={RETENTION_TIME}",
        f"--storage.tsdb.retention.size={RETENTION_SIZE}",
        f"--web.listen-address={LOOPBACK}:{port}",
        f"--web.external-url=http://{LOOPBACK}:{port}/",
        "--enable-feature=created-timestamp-zero-ingestion",
    ]


def alertmanager_command(program: Path, config: Path, data: Path, port: int, public_url: str = "") -> list[str | Path]:
    """Alertmanager on the loopback interface, without a cluster; `public_url` is where people reach it."""
    return [
        program,
        f"--config.file={config}",
        f"--storage.path={data}",
        f"--web.listen-address={LOOPBACK}:{port}",
        f"--web.external-url={public_url or f'http://{LOOPBACK}:{port}'}/",
        "--web.route-prefix=/",  # whatever path a proxy has it under
        "--cluster.listen-address=",
        f"--enable-feature={','.join(ALERTMANAGER_FEATURES)}",
    ]


def ready(port: int, path: str = "/-/ready") -> bool:
    """Whether the server on this loopback port says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False
