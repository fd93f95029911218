"""The exporter: everything built from the settings, started, served until a signal, and stopped in reverse order."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from vv_core.common.texts import label
from vv_exporter.alert_path.last_line import INTERVAL_SECONDS as LAST_LINE_SECONDS
from vv_exporter.alert_path.last_line import LastLine
from vv_exporter.alert_path.unsaved import UnsavedMessages
from vv_exporter.alert_path.unwritten import INTERVAL_SECONDS as UNWRITTEN_SECONDS
from vv_exporter.alert_path.unwritten import UnwrittenState
from vv_exporter.alerting import channels_told_directly
from vv_exporter.channels import deadman
from vv_exporter.collectors import Collector, discover
from vv_exporter.common.clock import boot_id, boottime
from vv_exporter.containers.expectation import listed
from vv_exporter.context import Context, Service
from vv_exporter.delivery import notifications
from vv_exporter.digest import samples
from vv_exporter.installation import statefolders
from vv_exporter.journal.files import reading
from vv_exporter.runtime import systemd, threads
from vv_exporter.runtime.loop import Loop
from vv_exporter.runtime.program import logging_to, on_hangup, only_one, own_folder, until_signalled
from vv_exporter.settings import Settings, SettingsError
from vv_exporter.state import timeline
from vv_exporter.state.boots import count_boot
from vv_exporter.state.database import StoreError
from vv_exporter.state.horizon import Horizon
from vv_exporter.state.scrapes import SAVE_INTERVAL_SECONDS, Scrapes
from vv_exporter.state.starts import counted
from vv_exporter.state.store import Store
from vv_exporter.state.timekeeping import Timekeeper
from vv_exporter.status import Past, health
from vv_exporter.web import ListenError, Server, WebConfigError, create_app, load_web_config
from vv_exporter.web.guard import Guarded, gather

log = logging.getLogger(__name__)

DAY = 86400.0
CLOCK_INTERVAL = 5.0  # seconds between looks whether the clock was set
RETRY_INTERVAL_SECONDS = 5.0
HOUSEKEEPING_INTERVAL = 3600.0  # seconds between deletions of history that is too old


def run(settings: Settings, listen_address: str | None = None, web_config_file: Path | None = None) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP has the file of TLS and users read again.

    Raises `SettingsError` for what the configuration gets wrong.
    """
    stopping, early = until_signalled(), threading.Event()
    if web_config_file is not None:
        on_hangup(early.set)
    with running(settings, listen_address, web_config_file) as server:
        if web_config_file is not None:
            on_hangup(lambda: _secure_anew(server, web_config_file))
            if early.is_set():  # it was asked for after the file was read, and before everything was at work
                _secure_anew(server, web_config_file)
        systemd.wait(stopping, lambda: _answers(server))
        log.info("stopping")


@contextlib.contextmanager
def running(
    settings: Settings, listen_address: str | None = None, web_config_file: Path | None = None
) -> Iterator[Server]:
    """The exporter, at work. Raises `SettingsError`."""
    with contextlib.ExitStack() as stack:
        with _explained("--web.config.file"):
            web_config = load_web_config(web_config_file) if web_config_file else None
        own_folder(settings.state_dir, settings.exporter_dir)
        stack.enter_context(only_one(settings.exporter_dir, "exporter"))
        stack.enter_context(logging_to(settings, "vv-exporter"))
        for problem in statefolders.open_to_replacement(settings.state_dir):
            log.warning("%s", problem)
        with _explained("VV_STATE_DIR"):
            keeper = Timekeeper(boottime, boot_id())
            store = Store(settings.exporter_dir / "state.db", time.time, reserved_names(settings), keeper)
        stack.callback(store.close)
        context = Context(settings=settings, store=store, clock=time.time, monotonic=time.monotonic)
        collectors = [build(context) for build in discover()]
        guarded, past = [Guarded(collector) for collector in collectors], Past()
        scrapes = Scrapes(store, time.time)
        with _explained("VV_STATE_DIR"):
            app = create_app(context, guarded, web_config, past=past, scrapes=scrapes)
        stack.enter_context(counted(store))
        count_boot(store, boot_id())
        # The port first: with another exporter on it nothing must begin to work.
        with _explained(""):
            server = Server(listen_address or f"127.0.0.1:{settings.exporter_port}", app, web_config)
            server.start()
        stack.callback(server.stop)
        channels = channels_told_directly(settings)
        names = [channel.name for channel in channels]
        unsaved = UnsavedMessages(channels, time.monotonic, store)
        last_line = LastLine(
            store,
            context.beats,
            lambda: gather(guarded),
            names,
            settings,
            time.time,
            unsaved.hold,
        )
        unwritten = UnwrittenState(store, names, settings, time.time, time.monotonic, unsaved.hold)
        unwritten_loop = Loop("unwritten", "what cannot be written", unwritten.round, UNWRITTEN_SECONDS)
        unsaved_loop = Loop("unsaved-last", "messages that could not be written down", unsaved.round)
        unsaved.when_held(unsaved_loop.wake)
        last_line_loop = Loop("last-line", "the last line", last_line.round, LAST_LINE_SECONDS)
        try:
            stack.enter_context(reading(settings.journal_dir))
        except OSError as error:
            log.warning("%s cannot be held, `vv alert` will say that nobody reads it: %s", settings.journal_dir, error)
        stack.enter_context(_at_work([*_services(collectors), unsaved_loop, unwritten_loop, last_line_loop]))
        stack.enter_context(_housekeeping(store, settings.history_days * DAY, time.time))
        stack.enter_context(
            _repeatedly("samples", lambda: samples.note(store, gather(guarded), time.time()), samples.INTERVAL)
        )
        stack.enter_context(_repeatedly("clock", store.follow_clock, CLOCK_INTERVAL))
        stack.enter_context(_repeatedly("scrapes", scrapes.save, SAVE_INTERVAL_SECONDS))
        stack.enter_context(_repeatedly("past", lambda: past.note(gather(guarded), time.time()), Past.INTERVAL))
        if not settings.deadman_url:
            log.info("%s", deadman.UNSET)
        log.info("serving %s, device %s, state in %s", server.url, settings.device_id, settings.state_dir)
        yield server


def _secure_anew(server: Server, web_config_file: Path) -> None:
    try:
        server.secure(load_web_config(web_config_file))
    except WebConfigError as error:
        log.error("SIGHUP: what was read before stays: %s", error)
    else:
        log.info("SIGHUP: %s was read again", web_config_file)


def reserved_names(settings: Settings) -> dict[str, frozenset[str]]:
    """Names of the configuration, by the label in which they stand: their series never give way to others."""
    names = {"stage": settings.stages, "job": settings.jobs, "dvr": settings.dvrs, "name": listed(settings.containers)}
    return {name: frozenset(map(label, found)) for name, found in names.items()}


def _answers(server: Server) -> bool:
    address = urlsplit(server.url)
    try:
        health.exporter(server.port, address.hostname or "127.0.0.1")
    except health.UnhealthyError as error:
        log.error("the web server: %s", error)
        return False
    return True


def _services(collectors: list[Collector]) -> list[Service]:
    return [collector for collector in collectors if isinstance(collector, Service)]


@contextlib.contextmanager
def _at_work(services: list[Service]) -> Iterator[None]:
    """Start them all. One that must write first and cannot, on a full disk, is started as soon as it can."""
    waiting: list[Service] = []

    def start() -> bool:
        for service in list(waiting):
            with contextlib.suppress(StoreError):
                service.start()
                waiting.remove(service)
        return bool(waiting)

    with contextlib.ExitStack() as stack:
        for service in services:
            stack.callback(service.stop)
            try:
                service.start()
            except StoreError as error:
                log.error("%s: will be started later: %s", type(service).__name__, error)
                waiting.append(service)
        if waiting:
            stack.enter_context(_repeatedly("late services", start, RETRY_INTERVAL_SECONDS))
        yield


@contextlib.contextmanager
def _explained(key: str) -> Iterator[None]:
    """Turn what can be wrong at the start into one line that names the key."""
    try:
        yield
    except (WebConfigError, ListenError, StoreError, OSError) as error:
        raise SettingsError([f"{key}: {error}" if key else str(error)]) from error


@contextlib.contextmanager
def _housekeeping(store: Store, keep: float, clock: Callable[[], float]) -> Iterator[None]:
    """Delete history that is older than `keep` seconds, or too much, now and from time to time."""

    horizon = Horizon(store, keep)
    begun = False

    def work() -> None:
        nonlocal begun
        try:
            horizon.advance(clock())
            if begun:  # by now a clock that was behind at the device's start has been set
                store.settle_history(clock())
            begun = True
            for kind in (timeline.HISTORY, notifications.HISTORY):
                store.trim_history(kind, timeline.MAX_ROWS, timeline.MAX_BYTES)
            store.trim_history(samples.HISTORY, samples.MAX_ROWS, samples.MAX_BYTES)
        except StoreError as error:
            log.error("old history could not be deleted, will try again: %s", error)

    with _repeatedly("housekeeping", work, HOUSEKEEPING_INTERVAL):
        yield


@contextlib.contextmanager
def _repeatedly(name: str, work: Callable[[], object], interval: float) -> Iterator[None]:
    """Do the work in a thread, now and every `interval` seconds."""
    stopping = threading.Event()

    def run() -> None:
        while True:
            try:
                work()
            except StoreError as error:
                log.error("%s: will try again: %s", name, error)
            except Exception:  # the thread must outlive its own defects
                log.exception("%s failed, will try again", name)
            if stopping.wait(interval):
                return

    thread = threading.Thread(target=run, name=name, daemon=True)
    threads.start(thread)
    try:
        yield
    finally:
        stopping.set()
        thread.join(timeout=5)
