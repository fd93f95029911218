"""Threads where there may be none: a limit of tasks or of memory is reached for a moment, on a device that is busy."""

from __future__ import annotations

import logging
import threading
import time

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 10.0
"""How long a thread for life is tried to be started; then the process is better begun anew."""
_PAUSE_SECONDS = 0.1


def start(thread: threading.Thread, patience: float = PATIENCE_SECONDS) -> None:
    """Start `thread`; where there can be no further one, try again for `patience` seconds. Raises `RuntimeError`."""
    end = time.monotonic() + patience
    refused = False
    while True:
        try:
            thread.start()
        except RuntimeError as error:
            if thread.ident is not None or time.monotonic() >= end:
                raise
            if not refused:
                log.warning("the thread %s cannot be started, trying again: %s", thread.name, error)
            refused = True
            time.sleep(_PAUSE_SECONDS)
        else:
            return
