"""What Alertmanager says of alerts, for pages that cannot wait for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.runtime import threads

FRESH = 1.0  # seconds for which an answer is not asked for again
SHORT = 0.05  # seconds to wait for one that did not answer last time
Alerts = list[dict[str, Any]]


class Answer(NamedTuple):
    """What it said, and when (Unix seconds); None before it ever answered."""

    alerts: Alerts | None = None
    time: float | None = None


class Firing:
    """Keeps the last answer of `ask`, which may take seconds or raise `DeliveryError`. Any thread may use it."""

    def __init__(self, ask: Callable[[], Alerts], clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._asking: threading.Event | None = None
        self._asked = float("-inf")
        self._failed = False
        self._answer = Answer()

    def get(self, patience: float) -> Answer:
        """The newest answer that there is within `patience` seconds."""
        with self._lock:
            if self._asking is None and self._monotonic() - self._asked >= FRESH:
                self._begin_asking()
            asking, failed = self._asking, self._failed
        if asking is not None:
            asking.wait(min(patience, SHORT) if failed else patience)
        return self._answer

    def _begin_asking(self) -> None:
        """Ask in a thread; where there is none, the next who wants to know tries again."""
        asking = threading.Event()
        with contextlib.suppress(RuntimeError):
            threads.start(
                # No loop: one question, whose thread is left behind where it hangs.
                threading.Thread(target=self._ask_in_thread, args=(asking,), name="alerts-asked", daemon=True),
                patience=0,
            )
            self._asking = asking

    def _ask_in_thread(self, done: threading.Event) -> None:
        failed = True
        try:
            self._answer = Answer(self._ask(), self._clock())
            failed = False
        except DeliveryError:
            pass  # the page says so, by the age of the last answer
        finally:
            with self._lock:
                self._asked, self._asking, self._failed = self._monotonic(), None, failed
            done.set()
