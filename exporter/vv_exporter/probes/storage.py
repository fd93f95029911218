"""The file systems that are watched, by role, and whether video may be stored on the first of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from vv_core.ingest import FLAG
from vv_exporter.probes.filesystem import PathProbe, read_usage, read_usage_and_write, read_usage_through
from vv_exporter.probes.ingest import IngestPause
from vv_exporter.probes.storagedevices import Mounted
from vv_exporter.settings import FreeSpace, Settings
from vv_exporter.state.store import Store

VIDEO_STORAGE, SYSTEM = "video_storage", "system"


def limits_of(settings: Settings) -> dict[str, FreeSpace]:
    """How much has to be free, by severity."""
    return {"warning": settings.disk_warning_free, "critical": settings.disk_critical_free}


def filesystem_probes(
    settings: Settings, store: Store, boot: str, monotonic: Callable[[], float]
) -> dict[str, PathProbe]:
    """The video storage is also written to, the system disk only asked; both are probed, also when they are one."""
    mount, root = settings.host_root, settings.video_storage_root
    ask = read_usage if mount == Path("/") else read_usage_through(mount)
    probes = {SYSTEM: PathProbe(Path("/"), ask, monotonic=monotonic)}
    if root is not None:
        mounted = Mounted(store, root, boot)
        probes[VIDEO_STORAGE] = PathProbe(
            root, lambda path: read_usage_and_write(path, mounted.why_missing), monotonic=monotonic
        )
    return probes


def ingest_pause(settings: Settings, probes: Mapping[str, PathProbe]) -> IngestPause | None:
    """Decides by what the probe of the video storage found last; None where there is no video storage."""
    if settings.video_storage_root is None:
        return None
    status = probes[VIDEO_STORAGE].status
    return IngestPause(settings.state_dir / FLAG, settings.video_storage_root, settings.disk_critical_free, status)


def storage_states(probes: Mapping[str, PathProbe], pause: IngestPause | None) -> frozenset[str] | None:
    """What keeps the video storage from being written, by the names of `footage.device`; None if that is not known."""
    status = probes[VIDEO_STORAGE].status() if VIDEO_STORAGE in probes else None
    if status is None or (status.usage is None and status.missing is None):
        return None
    holding = {
        "storage_missing": bool(status.missing),
        "storage_readonly": status.usage is not None and status.usage.readonly,
        "ingest_paused": pause is not None and pause.paused and not status.missing,
    }
    return frozenset(state for state, holds in holding.items() if holds)
