"""Signals are acted on in a thread of their own.

Python runs a handler in the main thread, between any two of its instructions: while it holds the lock of the event that
it waits for, or of a log. A handler that sets that event or logs then waits for its own thread, for ever. So a handler
here only puts what is to be done into a queue whose `put` is reentrant (documented for `queue.SimpleQueue`).
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType

from vv_exporter.runtime import threads

log = logging.getLogger(__name__)

Handler = Callable[[int, FrameType | None], object] | int | None

_came: SimpleQueue[tuple[signal.Signals, Callable[[], object]]] = SimpleQueue()
_listener: threading.Thread | None = None


def on(number: signal.Signals, act: Callable[[], object]) -> Handler:
    """Have `act` called, outside the main thread, each time the signal comes; what it replaces, for `signal.signal`.

    Only the main thread may ask. What `act` raises is logged. Raises `RuntimeError` where no thread can be started.
    """
    _listen_for_signals()
    return signal.signal(number, lambda *_: _came.put((number, act)))


def _listen_for_signals() -> None:
    global _listener  # signals are the process's, and so is this
    if _listener is None:
        # No loop: it waits for signals as long as the process lives.
        listener = threading.Thread(target=_act_on_each, name="signals", daemon=True)
        threads.start(listener)
        _listener = listener


def _act_on_each() -> None:
    while True:
        number, act = _came.get()
        try:
            act()
        except Exception:
            log.exception("%s could not be acted on", number.name)
