"""What works in the background for collectors, which read its last answers; started by `exporter.py`, in its order."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vv_exporter.alert_path.drill_worker import DrillWorker
from vv_exporter.alerting import Delivery
from vv_exporter.containers.asker import Asker
from vv_exporter.containers.watch import ContainerWatch
from vv_exporter.context import Context, Service
from vv_exporter.digest.sending import digest_worker
from vv_exporter.digest.worker import DigestWorker
from vv_exporter.drills.plan import drill_channels
from vv_exporter.fleet.config_pull import ConfigPuller
from vv_exporter.journal import folds
from vv_exporter.journal.reader import Reader
from vv_exporter.probes.chains import ChainVerifier
from vv_exporter.probes.dvr_probes import DvrProbes, dvr_probes
from vv_exporter.probes.filesystem import PathProbe
from vv_exporter.probes.footage_files import FootageFiles
from vv_exporter.probes.ingest import IngestPause
from vv_exporter.probes.storage import filesystem_probes, ingest_pause
from vv_exporter.probes.videos import VideoCensus
from vv_exporter.runtime.loop import Loop
from vv_exporter.state.database import StoreError

log = logging.getLogger(__name__)

RETRY_INTERVAL_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Services(Context):
    """The context, and the services that collectors read. None: not configured."""

    reader: Reader
    containers: ContainerWatch
    container_stats: Asker
    delivery: Delivery
    drills: DrillWorker
    digest: DigestWorker | None
    dvrs: DvrProbes
    footage_files: FootageFiles
    filesystems: Mapping[str, PathProbe]
    """By role."""
    ingest_pause: IngestPause | None
    videos: VideoCensus
    chains: ChainVerifier
    fleet_config: ConfigPuller | None = None


def build_services(context: Context) -> Services:
    """Make them; nothing begins to work."""
    settings, store, clock, monotonic = context.settings, context.store, context.clock, context.monotonic
    containers = ContainerWatch(settings.docker_host, settings.containers, store, clock, monotonic)
    filesystems = filesystem_probes(settings, store, context.boot, monotonic)
    return Services(
        settings=settings,
        store=store,
        clock=clock,
        monotonic=monotonic,
        boottime=context.boottime,
        boot=context.boot,
        beats=context.beats,
        reader=Reader(
            settings.journal_dir,
            store,
            folds.discover(),
            settings,
            clock,
            monotonic,
            context.boottime,
            context.boot,
            settings.commit_interval,
        ),
        containers=containers,
        container_stats=Asker(containers.connect, monotonic),
        delivery=Delivery(context),
        drills=DrillWorker(store, settings, drill_channels(settings), clock),
        digest=digest_worker(context),
        dvrs=dvr_probes(settings.dvrs, store, clock),
        footage_files=FootageFiles(settings.video_storage_root, settings.footage, store, clock, monotonic),
        filesystems=filesystems,
        ingest_pause=ingest_pause(settings, filesystems),
        videos=VideoCensus(settings.video_storage_root, store, clock, monotonic),
        chains=ChainVerifier(settings.chain_logs, settings.state_dir / "chains", store, clock, monotonic),
        fleet_config=ConfigPuller(settings, os.environ, store, clock) if settings.fleet_config_url else None,
    )


@contextlib.contextmanager
def at_work(services: Sequence[tuple[str, Service]]) -> Iterator[None]:
    """Start them all, by name, in their order; stop them in reverse.

    One that must write first and cannot, on a full disk, is started as soon as it can, and keeps no other from its
    start. What else keeps one from starting is raised, after those before it were stopped.
    """
    waiting: list[tuple[str, Service]] = []

    def start_late() -> bool:
        for name, service in list(waiting):
            with contextlib.suppress(StoreError):
                service.start()
                waiting.remove((name, service))
                log.info("%s: started now", name)
        return bool(waiting)

    with contextlib.ExitStack() as stack:
        for name, service in services:
            stack.callback(service.stop)
            try:
                service.start()
            except StoreError as error:
                log.error("%s: will be started later: %s", name, error)
                waiting.append((name, service))
        if waiting:
            late = Loop("late-services", "services that are started late", start_late, RETRY_INTERVAL_SECONDS)
            stack.callback(late.stop)
            late.start()
        yield
