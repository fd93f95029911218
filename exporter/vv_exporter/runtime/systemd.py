"""Telling systemd how it is going, where it wants to know (sd_notify(3), sd_watchdog_enabled(3))."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping

log = logging.getLogger(__name__)

SIGNALS_HEARD_WITHIN_SECONDS = 1.0


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Say `state` (`READY=1`, `WATCHDOG=1`, …); nothing happens outside systemd."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.connect("\0" + path[1:] if path[0] == "@" else path)
        sock.send(state.encode())


def watchdog(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds within which systemd wants to hear from this process; None if it does not."""
    text = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(text) / 1e6 if text.isascii() and text.isdigit() and int(text) else None


def wait(
    stopping: threading.Event,
    works: Callable[[], bool],
    environ: Mapping[str, str] = os.environ,
    anew: threading.Event | None = None,
) -> None:
    """Until `stopping` is set: notify that all is ready, and from time to time, as long as it `works`, that it does.

    Or until `anew` is: then this process goes on after a moment, and systemd hears of no end, which it would see to.
    It waits in the main thread, where Python acts on signals, and in steps: one that the kernel gives to another
    thread, or that comes just before the wait, does not end it.
    """
    limit = watchdog(environ)
    pause = math.inf if limit is None else limit / 3
    goes_on = anew or threading.Event()
    with _systemd_notified(environ, goes_on):
        due = time.monotonic() + pause
        while not stopping.wait(min(pause, SIGNALS_HEARD_WITHIN_SECONDS)) and not goes_on.is_set():
            if time.monotonic() < due:
                continue
            due = time.monotonic() + pause
            if works():
                notify("WATCHDOG=1", environ)
            else:
                log.error("not healthy: unless it recovers, systemd will restart it")


@contextlib.contextmanager
def _systemd_notified(environ: Mapping[str, str], goes_on: threading.Event) -> Iterator[None]:
    notify("READY=1", environ)
    try:
        yield
    finally:
        if not goes_on.is_set():
            notify("STOPPING=1", environ)
