"""What every long-running program of this package does: end on a signal, hold its folder, log to two places."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from vv_core.common import shared, texts
from vv_core.logs import AppLogHandler
from vv_exporter.common.smallfiles import make_way
from vv_exporter.installation import rights, statefolders
from vv_exporter.runtime import signals
from vv_exporter.settings import Settings, SettingsError

log = logging.getLogger(__name__)


def until_signalled() -> threading.Event:
    """An event that SIGTERM and SIGINT set; SIGHUP does nothing until `on_hangup`. Only the main thread may ask."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signals.on(number, stopping.set)
    on_hangup(lambda: log.info("SIGHUP: there is nothing to read again; settings are read at the start"))
    return stopping


def begin_anew(stopping: threading.Event) -> None:
    """Become this very command again, with the settings as they are now; returns only if `stopping` is set meanwhile.

    Nothing of this process may be at work any more. Raises `OSError`.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    # A signal that came before may still be in the queue of `signals.on`; one that comes now ends the process.
    if not stopping.wait(0.1):
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - no shell is wanted


def own_folder(state: Path, folder: Path, mode: int = rights.PRIVATE_FOLDER) -> None:
    """Make the folders of the state, and this program's own there. Raises `SettingsError`."""
    try:
        statefolders.make_shared_folders(state)
        statefolders.make_own_folder(folder, mode)
    except OSError as error:
        raise _unusable_folder(folder, error) from error
    statefolders.close_to_others(folder, "state.db*")
    statefolders.close_to_others(folder, "lock")


def _unusable_folder(folder: Path, error: OSError) -> SettingsError:
    return SettingsError(
        [f"VV_STATE_DIR: {folder} cannot be used ({error.strerror}); name a folder that this user may write"]
    )


def on_hangup(act: Callable[[], None]) -> None:
    """Have `act` called in a thread at each SIGHUP. Whoever ignores SIGHUP goes on to. Only the main thread may ask."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.on(signal.SIGHUP, act)


@contextlib.contextmanager
def only_one(folder: Path, program: str) -> Iterator[None]:
    """Hold a folder of the state: two of a `program` on it would do everything twice. Raises `SettingsError`."""
    try:
        with contextlib.suppress(FileExistsError):  # a file is in the way: the next line says so
            shared.make_folder(str(folder), rights.PRIVATE_FOLDER)
        make_way(folder / "lock")
        descriptor = statefolders.open_own_file(folder / "lock")
    except OSError as error:
        raise _unusable_folder(folder, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError([f"VV_STATE_DIR: another {program} is using {folder}; stop it first"]) from None
        except OSError as error:
            raise SettingsError(
                [
                    f"VV_STATE_DIR: the file system of {folder} has no locks ({error.strerror}); "
                    "name a folder on a local disk, or on NFS that is mounted with locks (docs/deployment.md)"
                ]
            ) from None
        yield
    finally:
        os.close(descriptor)


class _ConsoleFormatter(logging.Formatter):
    """A record as one line without what a terminal obeys; what was raised follows, indented, so that it forges none."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines."""
        message = texts.escaped(record.getMessage()).rstrip("\n").replace("\n", "\\n")
        raised = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        below = "".join(f"\n  {line}" for line in texts.escaped(raised).splitlines())
        return f"{record.levelname} {message}{below}"


def console() -> logging.Handler:
    """Logs to stderr, which a terminal or the journal of systemd shows."""
    handler = logging.StreamHandler()
    handler.setFormatter(_ConsoleFormatter())
    return handler


@contextlib.contextmanager
def logging_to(settings: Settings, component: str) -> Iterator[None]:
    """Log to app.log, as `component`, and to stderr."""
    handlers = (console(), AppLogHandler(str(settings.logs / "app.log"), component, settings.log_max or 0))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
