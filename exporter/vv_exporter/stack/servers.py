"""How Prometheus and Alertmanager are run: the same for `vv up` and for the tests with real servers."""

import contextlib
import hashlib
import os
import shutil
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from vv_exporter.render import agent
from vv_exporter.render.intervals import resend_delay
from vv_exporter.settings import Settings

DEFAULT_AFTER_SECONDS = 180.0  # VV_ALERT_PATH_AFTER
ALERTMANAGER = "Alertmanager"
LOOPBACK = "127.0.0.1"
RETENTION_TIME = "30d"
RETENTION_SIZE = "1GB"
ALERTMANAGER_FEATURES = ("event-recorder", "receiver-name-in-metrics")
"""What the exporter accounts for notifications with: events say what was taken, metrics what failed."""


def prometheus_command(
    program: Path, config: Path, data: Path, port: int, resend_seconds: float = resend_delay(DEFAULT_AFTER_SECONDS)
) -> list[str | Path]:
    """Prometheus on the loopback interface, bounded in time and size; it sends what fires every `resend_seconds`.

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
        f"--rules.alert.resend-delay={resend_seconds * 1000:.0f}ms",
        "--enable-feature=created-timestamp-zero-ingestion",
    ]


MEMORY = Path("/dev/shm")  # noqa: S108 - who owns what lies there is looked at
"""A file system in memory, as every Linux has it (file-hierarchy(7))."""


@contextlib.contextmanager
def prometheus_scratch(data: Path, memory: Path = MEMORY) -> Iterator[Path | None]:
    """Have Prometheus' list of running queries in memory while the block runs, in a folder that is gone behind it.

    It is a sparse file, mapped into memory: on a file system without free space Prometheus before 3.13.2 dies of
    SIGBUS when it writes there, and cannot be started again. Prometheus opens it by name, so a link will do. Where
    there is no such memory, all stays as it is.
    """
    name = f"vv-prometheus-{os.geteuid()}-{hashlib.sha256(os.fsencode(data.absolute())).hexdigest()[:16]}"
    scratch = memory / name
    try:
        scratch.mkdir(mode=0o700, exist_ok=True)
        found = scratch.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():  # somebody else was here before
            raise PermissionError(f"{scratch} is not ours")
        data.mkdir(parents=True, exist_ok=True)
        _point_link(data / "queries.active", scratch / "queries.active")
    except OSError:
        yield None
        return
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _point_link(link: Path, target: Path) -> None:
    """Point `link` there; one that does is left alone, since on a full disk it could not be made anew."""
    if link.is_symlink() and link.readlink() == target:
        return
    link.unlink(missing_ok=True)
    link.symlink_to(target)


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
        # It begins without an alert. The exporter's word of what was told directly has to be there before those go out.
        "--dispatch.start-delay=3s",
        # What it noted of notifications since then is lost when it is killed.
        "--data.maintenance-interval=2m",
    ]


def agent_command(program: Path, config: Path, data: Path, settings: Settings) -> list[str | Path]:
    """The agent that sends to a fleet's centre, by two ways to one address (`vv_exporter.render.agent`).

    The second has a queue on disk; its limit is kept as bytes a second, so that what is above it waits there.
    https://docs.victoriametrics.com/victoriametrics/vmagent/
    """
    address, token = f"{settings.fleet_url.rstrip('/')}/api/v1/write", config / "secrets" / agent.TOKEN
    return [
        program,
        f"-promscrape.config={config / 'agent' / 'scrape.yml'}",
        "-promscrape.configCheckInterval=30s",
        "-promscrape.httpSDCheckInterval=15s",
        f"-httpListenAddr={LOOPBACK}:{settings.fleet_agent_port}",
        f"-remoteWrite.tmpDataPath={data}",
        *agent_options(settings, address, token, config / "agent"),
    ]


def agent_options(settings: Settings, address: str, token: Path, config: Path) -> list[str]:
    """What it is given of both ways: first that of the beats, then that of what is kept."""
    return [
        f"-remoteWrite.url={address}",
        f"-remoteWrite.url={address}",
        f"-remoteWrite.bearerTokenFile={token}",
        f"-remoteWrite.bearerTokenFile={token}",
        f"-remoteWrite.urlRelabelConfig={config / 'beats.yml'}",
        f"-remoteWrite.urlRelabelConfig={config / 'kept.yml'}",
        "-remoteWrite.disableOnDiskQueue=true,false",
        f"-remoteWrite.maxDiskUsagePerURL=0,{settings.fleet_queue_max}",
        f"-remoteWrite.rateLimit=0,{settings.fleet_bytes_per_day // 86400}",
        "-remoteWrite.retryMaxInterval=30s",
        "-remoteWrite.queues=1",
        "-memory.allowedBytes=32MB",
    ]


def ready(port: int, path: str = "/-/ready") -> bool:
    """Whether the server on this loopback port says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False
