"""The self-monitor as a program: built from the settings, at work until a signal."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from vv_core.common.journals import CLOSING, Journal
from vv_core.common.texts import many
from vv_exporter.common.clock import boot_id, boottime
from vv_exporter.containers.watch import DEFAULT_HOST, ContainerWatch
from vv_exporter.installation import rights, statefolders
from vv_exporter.runtime import systemd
from vv_exporter.runtime.loop import Loop
from vv_exporter.runtime.program import logging_to, only_one, own_folder, until_signalled
from vv_exporter.settings import Settings, SettingsError
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store
from vv_exporter.state.timekeeping import Timekeeper
from vv_exporter.supervisor.actions import Actions
from vv_exporter.supervisor.loop import EXPECTED_ERRORS, ROUND_INTERVAL_SECONDS, Supervisor
from vv_exporter.supervisor.publish import COMPONENT
from vv_exporter.supervisor.selection import own_container

log = logging.getLogger(__name__)

_GRACE = 3.0  # seconds that the work in hand has to end; it may be interrupted anywhere


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises `SettingsError`."""
    stopping = until_signalled()
    own_folder(settings.state_dir, settings.self_monitor_dir, rights.VISIBLE_FOLDER)
    with contextlib.suppress(OSError):  # root made it in an older installation: `vv doctor` shows it
        statefolders.make_own_folder(settings.self_monitor_dir / "requests")
    with (
        only_one(settings.self_monitor_dir, "self-monitor"),
        logging_to(settings, COMPONENT),
        recording(settings) as journal,
    ):
        try:
            store = Store(settings.self_monitor_dir / "state.db", time.time, timekeeper=Timekeeper(boottime, boot_id()))
        except StoreError as error:
            raise SettingsError([f"VV_STATE_DIR: {error}"]) from error
        watch = ContainerWatch(settings.docker_host, settings.containers, store, time.time, time.monotonic)
        engine = Actions(settings.docker_host or DEFAULT_HOST)
        supervisor = Supervisor(
            settings, store, watch, engine, journal, time.time, time.monotonic, own_id=own_container()
        )
        watch.start()
        loop = Loop(
            "supervisor",
            "looking after the containers",
            lambda: None if stopping.is_set() else supervisor.round(),
            ROUND_INTERVAL_SECONDS,
            at_once=True,
            stop_seconds=_GRACE,
            expected=EXPECTED_ERRORS,
        )
        loop.start()
        journal.emit("script.started", COMPONENT, {})
        restarts = many(settings.max_restarts, "restart")
        log.info("looking after containers: %s within %.0f s", restarts, settings.restart_window)
        systemd.wait(stopping, lambda: loop.alive)
        log.info("stopping")
        journal.emit("script.ended", COMPONENT, {}, CLOSING)
        loop.stop()
        watch.stop()
        engine.close()
        if not loop.alive:
            store.close()


@contextlib.contextmanager
def recording(settings: Settings) -> Iterator[Journal]:
    """A journal where the settings say, which may be in vv.yml."""
    journal = Journal(str(settings.journal_dir), settings.journal_max)
    try:
        yield journal
    finally:
        journal.finish()
        journal.close()
