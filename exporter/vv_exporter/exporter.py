"""The exporter: everything built from the settings, started, served until a signal, and stopped in reverse order."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client.core import Metric as Family

from vv_core.common.texts import label
from vv_exporter import health
from vv_exporter.alert_path.last_line import INTERVAL_SECONDS as LAST_LINE_SECONDS
from vv_exporter.alert_path.last_line import LastLine
from vv_exporter.alert_path.unsaved import UnsavedMessages
from vv_exporter.alert_path.unwritten import INTERVAL_SECONDS as UNWRITTEN_SECONDS
from vv_exporter.alert_path.unwritten import UnwrittenState
from vv_exporter.alerting import direct_channels
from vv_exporter.channels import deadman
from vv_exporter.collectors import discover
from vv_exporter.common.clock import boot_id, boottime
from vv_exporter.containers.expectation import listed
from vv_exporter.context import Context, Service
from vv_exporter.delivery import notifications
from vv_exporter.delivery.statements import StatementPoster
from vv_exporter.delivery.webhook_worker import WebhookWorker
from vv_exporter.digest import samples
from vv_exporter.footage.accounts import INTERVAL as FOOTAGE_INTERVAL
from vv_exporter.footage.accounts import FootageAccounts, Limits
from vv_exporter.footage.device import INTERVAL as DEVICE_INTERVAL
from vv_exporter.footage.device import DeviceStates, note_start
from vv_exporter.footage.statements import INTERVAL as STATED_EVERY
from vv_exporter.footage.statements import StatementKeeper
from vv_exporter.installation import statefolders
from vv_exporter.journal.configured_jobs import ConfiguredJobs
from vv_exporter.journal.files import reading
from vv_exporter.journal.overruns import Overruns
from vv_exporter.language import speaking_everywhere
from vv_exporter.probes.storage import storage_states
from vv_exporter.runtime import systemd
from vv_exporter.runtime.loop import Loop
from vv_exporter.runtime.program import begin_anew, logging_to, on_hangup, only_one, own_folder, until_signalled
from vv_exporter.services import Services, at_work, build_services
from vv_exporter.settings import Settings, SettingsError
from vv_exporter.state import timeline
from vv_exporter.state.boots import count_boot
from vv_exporter.state.database import StoreError
from vv_exporter.state.horizon import Horizon
from vv_exporter.state.scrapes import SAVE_INTERVAL_SECONDS, Scrapes
from vv_exporter.state.starts import counted
from vv_exporter.state.store import Store
from vv_exporter.state.timekeeping import Timekeeper
from vv_exporter.status import Past
from vv_exporter.web import ListenError, Server, WebConfigError, create_app, load_web_config
from vv_exporter.web.guard import Guarded, gather

log = logging.getLogger(__name__)

DAY = 86400.0
CLOCK_INTERVAL = 5.0  # seconds between looks whether the clock was set
HOUSEKEEPING_INTERVAL_SECONDS = 3600.0  # seconds between deletions of history that is too old
SHRINKING_INTERVAL_SECONDS = 1.0  # seconds between steps in which the database shrinks


def run(settings: Settings, listen_address: str | None = None, web_config_file: Path | None = None) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP has the file of TLS and users read again.

    Once there is a new configuration of the fleet, all is stopped in order and begun anew with it, as the same process:
    whatever started it sees no end. Raises `SettingsError` for what the configuration gets wrong.
    """
    stopping, early, anew = until_signalled(), threading.Event(), threading.Event()
    if web_config_file is not None:
        on_hangup(early.set)
    with running(settings, listen_address, web_config_file, anew.set) as server:
        if web_config_file is not None:
            on_hangup(lambda: _secure_anew(server, web_config_file))
            if early.is_set():  # it was asked for after the file was read, and before everything was at work
                _secure_anew(server, web_config_file)
        systemd.wait(stopping, lambda: _web_server_answers(server), anew=anew)
        log.info("stopping")
    if anew.is_set():
        begin_anew(stopping)


@contextlib.contextmanager
def running(
    settings: Settings,
    listen_address: str | None = None,
    web_config_file: Path | None = None,
    when_configured_anew: Callable[[], None] = lambda: None,
) -> Iterator[Server]:
    """The exporter, at work; `when_configured_anew` is called when it should begin anew. Raises `SettingsError`."""
    with contextlib.ExitStack() as stack:
        with _explain_by_key("--web.config.file"):
            web_config = load_web_config(web_config_file) if web_config_file else None
        own_folder(settings.state_dir, settings.exporter_dir)
        stack.enter_context(only_one(settings.exporter_dir, "exporter"))
        stack.enter_context(logging_to(settings, "vv-exporter"))
        stack.enter_context(speaking_everywhere(settings.language))
        for problem in statefolders.open_to_replacement(settings.state_dir):
            log.warning("%s", problem)
        with _explain_by_key("VV_STATE_DIR"):
            keeper = Timekeeper(boottime, boot_id())
            store = Store(settings.exporter_dir / "state.db", time.time, reserved_names(settings), keeper)
        stack.callback(store.close)
        services = build_services(Context(settings=settings, store=store, clock=time.time, monotonic=time.monotonic))
        if services.fleet_config is not None:
            services.fleet_config.when_taken(when_configured_anew)
        guarded = [Guarded(build(services)) for build in discover()]
        past, scrapes = Past(), Scrapes(store, time.time, services.reader.wait_until_caught_up)
        with _explain_by_key("VV_STATE_DIR"):
            app = create_app(services, guarded, web_config, past=past, scrapes=scrapes)
        note_start(store, boot_id(), boottime())
        stack.enter_context(counted(store))
        count_boot(store, boot_id())
        # The port first: with another exporter on it nothing must begin to work.
        with _explain_by_key(""):
            server = Server(listen_address or f"127.0.0.1:{settings.exporter_port}", app, web_config)
            server.start()
        stack.callback(server.stop)
        try:
            stack.enter_context(reading(settings.journal_dir))
        except OSError as error:
            log.warning("%s cannot be held, `vv alert` will say that nobody reads it: %s", settings.journal_dir, error)
        stack.enter_context(at_work(in_order(services, lambda: gather(guarded), past, scrapes)))
        if not settings.deadman_url:
            log.info("%s", deadman.UNSET)
        log.info("serving %s, device %s, state in %s", server.url, settings.device_id, settings.state_dir)
        yield server


def in_order(
    services: Services, series: Callable[[], list[Family]], past: Past, scrapes: Scrapes
) -> list[tuple[str, Service]]:
    """All that runs in the background, in the order in which it starts, after the web server; it stops in reverse.

    What reads the answers of another comes after it. `series` gives all that `/metrics` shows.
    """
    settings, store, clock, monotonic = services.settings, services.store, services.clock, services.monotonic
    channels = direct_channels(settings)
    names = [channel.name for channel in channels]
    unsaved = UnsavedMessages(channels, monotonic, store)
    last_line = LastLine(store, services.beats, series, names, settings, clock, unsaved.hold)
    unwritten = UnwrittenState(store, names, settings, clock, monotonic, unsaved.hold)
    unsaved_loop = Loop("unsaved-last", "messages that could not be written down", unsaved.round)
    unsaved.when_held(unsaved_loop.wake)
    limits = Limits(settings.footage_missing, settings.footage_signed_within or 0.0)
    footage = FootageAccounts(store, settings.footage, clock, limits)
    device = DeviceStates(
        store,
        lambda: storage_states(services.filesystems, services.ingest_pause),
        clock,
        services.boottime,
        services.boot,
    )
    housekeeping = Housekeeping(store, settings.history_days * DAY, clock)
    poster = StatementPoster(store, settings, clock)

    def loop(
        name: str, what: str, work: Callable[[], None], interval: float | Callable[[], float]
    ) -> tuple[str, Service]:
        return what, Loop(name, what, work, interval, at_once=True)

    found: list[tuple[str, Service | None]] = [
        # What people are sent: before anything is found that they have to know.
        ("delivery", services.delivery),
        ("the webhook's worker", WebhookWorker(store, settings, clock, monotonic)),
        ("messages that could not be written down", unsaved_loop),
        ("what cannot be written", Loop("unwritten", "what cannot be written", unwritten.round, UNWRITTEN_SECONDS)),
        ("the last line", Loop("last-line", "the last line", last_line.round, LAST_LINE_SECONDS)),
        ("drills", services.drills),
        ("the digest", services.digest),
        # What is looked at on the device.
        ("containers", services.containers),
        ("what containers use, asked of the Engine", services.container_stats),
        ("probes of DVRs", services.dvrs),
        *((f"the probe of the file system ({role})", probe) for role, probe in services.filesystems.items()),
        ("the pause of ingestion", services.ingest_pause),  # by the probe of the video storage
        ("the census of videos", services.videos),
        ("the files of footage", services.footage_files),
        loop("footage-states", "what keeps footage from being there", device.round, DEVICE_INTERVAL),
        ("the chains of signed lines", services.chains),
        ("the fleet's configuration", services.fleet_config),
        # What scripts report.
        ("configured jobs and their heartbeat files", ConfiguredJobs(store, settings.jobs)),
        ("the journal's reader", services.reader),
        ("limits of stages", Overruns(services)),  # of the runs that the reader found
        # What the exporter keeps of itself.
        loop("housekeeping", "old history", housekeeping.round, housekeeping.interval),
        loop("footage", "footage that is missing", footage.round, FOOTAGE_INTERVAL),
        loop("statements", "the statements of footage", StatementKeeper(store, settings, clock).round, STATED_EVERY),
        *(
            [loop("posting", "posting the statements of footage", poster.round, STATED_EVERY)]
            if poster.is_wanted
            else []
        ),
        loop(
            "samples",
            "samples for the digest",
            lambda: samples.record_sample(store, series(), clock()),
            samples.INTERVAL,
        ),
        loop("clock", "whether the clock was set", store.follow_clock, CLOCK_INTERVAL),
        loop("scrapes", "what was shown last", scrapes.save, SAVE_INTERVAL_SECONDS),
        loop("past", "the last hour of the status", lambda: past.record_sample(series(), clock()), Past.INTERVAL),
    ]
    return [(name, service) for name, service in found if service is not None]


def _secure_anew(server: Server, web_config_file: Path) -> None:
    try:
        server.secure(load_web_config(web_config_file))
    except WebConfigError as error:
        log.error("SIGHUP: what was read before stays: %s", error)
    else:
        log.info("SIGHUP: %s was read again", web_config_file)


def reserved_names(settings: Settings) -> dict[str, frozenset[str]]:
    """Names of the configuration, by the label in which they stand: their series never give way to others."""
    names = {
        "stage": settings.stages,
        "job": settings.jobs,
        "dvr": {**settings.dvrs, **settings.footage},
        "name": listed(settings.containers),
    }
    return {name: frozenset(map(label, found)) for name, found in names.items()}


def _web_server_answers(server: Server) -> bool:
    address = urlsplit(server.url)
    try:
        health.exporter(server.port, address.hostname or "127.0.0.1")
    except health.UnhealthyError as error:
        log.error("the web server: %s", error)
        return False
    return True


@contextlib.contextmanager
def _explain_by_key(key: str) -> Iterator[None]:
    """Turn what can be wrong at the start into one line that names the key."""
    try:
        yield
    except (WebConfigError, ListenError, StoreError, OSError) as error:
        raise SettingsError([f"{key}: {error}" if key else str(error)]) from error


class Housekeeping:
    """Deletes history that is older than `keep` seconds, or too much, and gives its room back in small steps."""

    def __init__(self, store: Store, keep: float, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._horizon = Horizon(store, keep)
        self._has_begun = False
        self._is_shrinking = False

    def round(self) -> None:
        """Delete what is too old or too much by now, or let the database shrink. Raises `StoreError`."""
        if not self._is_shrinking:
            self._delete_old()
        self._is_shrinking = False  # also where the step fails: not again within the second
        self._is_shrinking = self._store.shrink()

    def interval(self) -> float:
        """Seconds until there is something to do."""
        return SHRINKING_INTERVAL_SECONDS if self._is_shrinking else HOUSEKEEPING_INTERVAL_SECONDS

    def _delete_old(self) -> None:
        self._horizon.advance(self._clock())
        if self._has_begun:  # by now a clock that was behind at the device's start has been set
            self._store.settle_history(self._clock())
        self._has_begun = True
        for kind in (timeline.HISTORY, notifications.HISTORY):
            self._store.trim_history(kind, timeline.MAX_ROWS, timeline.MAX_BYTES)
        self._store.trim_history(samples.HISTORY, samples.MAX_ROWS, samples.MAX_BYTES)
