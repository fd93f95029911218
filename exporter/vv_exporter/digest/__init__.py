"""The daily digest: what happened on the device in a day, for a mail that is read in a minute.

`history` reads what is known, `digest` makes one document of it, `mail` shows that document, `worker` sees to it that
it is sent once a day. The other modules are its sections.
"""

from __future__ import annotations

import msgspec

from vv_exporter.digest import alerts as _alerts
from vv_exporter.digest import pipeline, samples
from vv_exporter.digest.alerts import Alerts
from vv_exporter.digest.chains import ChainHead
from vv_exporter.digest.disks import Disk, disks
from vv_exporter.digest.footage import FootageDay
from vv_exporter.digest.history import History
from vv_exporter.digest.pipeline import Job, Stage, Video
from vv_exporter.digest.uptime import Uptime, uptimes

__all__ = [
    "Alerts",
    "Delivery",
    "Digest",
    "Disk",
    "FootageDay",
    "History",
    "Job",
    "ProvenChannel",
    "Stage",
    "Uptime",
    "Video",
    "digest",
]


class Delivery(msgspec.Struct, frozen=True):
    """Notifications of a destination: delivered, failed (and tried again), given up."""

    destination: str
    delivered: int
    failed: int
    given_up: int


class ProvenChannel(msgspec.Struct, frozen=True):
    """When a channel last took a drill (Unix seconds, None: never), and after how many seconds."""

    channel: str
    time: float | None
    seconds: float


class Digest(msgspec.Struct, frozen=True):
    """A device from `since` to `until` (Unix seconds)."""

    device: str
    since: float
    until: float
    alerts: Alerts
    stages: tuple[Stage, ...]
    videos: tuple[Video, ...]
    jobs: tuple[Job, ...]
    uptimes: tuple[Uptime, ...]
    disks: tuple[Disk, ...]
    deliveries: tuple[Delivery, ...]
    proven: tuple[ProvenChannel, ...] = ()
    chains: tuple[ChainHead, ...] = ()
    footage: tuple[FootageDay, ...] = ()


def digest(
    history: History,
    device: str,
    since: float,
    until: float,
    chains: tuple[ChainHead, ...] = (),
    footage: tuple[FootageDay, ...] = (),
) -> Digest:
    """The digest of a time; `chains` are as they are now, `footage` is of the days that ended within it."""
    episodes = _alerts.episodes(history.notifications)
    within = [sample for sample in history.samples if sample.time <= until]
    missed = _alerts.missed_jobs(episodes, since, until)
    return Digest(
        device=device,
        since=since,
        until=until,
        alerts=_alerts.alerts(episodes, since, until),
        stages=tuple(pipeline.stages(samples.increases(one.stages for one in within if "pipeline" not in one.failing))),
        videos=tuple(pipeline.videos(history.moments)),
        jobs=tuple(pipeline.jobs(samples.increases(one.jobs for one in within if "jobs" not in one.failing), missed)),
        uptimes=tuple(uptimes(history.samples, since, until)),
        disks=tuple(disks(within, until)),
        deliveries=tuple(
            _count_deliveries(
                samples.increases(one.sent for one in within if not {"alerts", "delivery"} & {*one.failing})
            )
        ),
        proven=tuple(
            ProvenChannel(name, one.proven or None, one.seconds) for name, one in sorted(history.proofs.items())
        ),
        chains=chains,
        footage=footage,
    )


def _count_deliveries(grown: dict[str, float]) -> list[Delivery]:
    def count(name: str, *results: str) -> int:
        return round(sum(grown.get(f"{name}/{result}", 0.0) for result in results))

    names = sorted({key.rpartition("/")[0] for key in grown})
    found = [
        Delivery(name, count(name, "ok"), count(name, "failed"), count(name, "refused", "dropped")) for name in names
    ]
    return [one for one in found if one.delivered or one.failed or one.given_up]
