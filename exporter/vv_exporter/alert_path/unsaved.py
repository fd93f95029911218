"""Messages that could not be written down, as on a disk that is full: kept in memory and sent from there.

Once to each channel; a restart of the exporter meanwhile may send them again. Where more wait for a channel than are
kept, the least severe gives way, and of these the newest; it is counted as soon as that can be written down.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from vv_exporter.channels import Provider, ProviderError
from vv_exporter.delivery.in_short import send_somehow
from vv_exporter.messages.message import Message, line
from vv_exporter.metrics.alerts import ALERTS_DROPPED
from vv_exporter.runtime.backoff import Backoff
from vv_exporter.state.database import StoreError
from vv_exporter.state.openalerts import SEVERITIES, severity_rank
from vv_exporter.state.store import Store

log = logging.getLogger(__name__)

MAX_HELD = 50
LONGEST_PAUSE_SECONDS = 60.0


class UnsavedMessages:
    """`hold` from any thread; call `round` again and again from one."""

    def __init__(self, channels: Sequence[Provider], monotonic: Callable[[], float], store: Store) -> None:
        self._channels = channels
        self._store = store
        self._dropped: Counter[str] = Counter()  # by severity, not counted yet
        self._backoffs = {channel.name: Backoff(LONGEST_PAUSE_SECONDS, monotonic) for channel in channels}
        self._waiting: dict[str, list[Message]] = {channel.name: [] for channel in channels}
        self._wakes: list[Callable[[], None]] = []

    def when_held(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when there is something to send."""
        self._wakes.append(wake)

    def hold(self, message: Message) -> None:
        """Have it sent."""
        dropped = dict.fromkeys(filter(None, (self._make_room(channel, message) for channel in self._waiting)))
        self._dropped.update(one.severity for one in dropped)  # each once, however many channels lose it
        for wake in self._wakes:
            wake()

    def _make_room(self, channel: str, message: Message) -> Message | None:
        """Have it wait for a channel. Gives what is dropped for it, which may be the message itself."""
        waiting = self._waiting[channel]
        waiting.append(message)
        if len(waiting) <= MAX_HELD:
            return None
        # The first may be on its way just now.
        least = min(reversed(waiting[1:]), key=lambda one: severity_rank(one.severity))
        with contextlib.suppress(ValueError):  # sent meanwhile
            waiting.remove(least)
        said = f"more messages wait for {channel} than are kept: {line(least.title, 200)}"
        log.critical("ALERT DROPPED %s: %s", least.severity.upper(), said)
        return least

    def _count_dropped(self) -> None:
        dropped, self._dropped = self._dropped, Counter()
        if not dropped:
            return
        try:
            with self._store.transaction() as tx:
                for severity, count in dropped.items():
                    tx.inc(ALERTS_DROPPED, (severity if severity in SEVERITIES else "error",), count)
        except StoreError:
            self._dropped.update(dropped)

    def round(self) -> bool:
        """Send what waits, and count what was dropped. Gives whether anything waited."""
        self._count_dropped()
        for channel in self._channels:
            waiting, backoff = self._waiting[channel.name], self._backoffs[channel.name]
            while waiting and backoff.ready():
                try:
                    answer = send_somehow(channel, waiting[0])
                except ProviderError as error:
                    backoff.failed(error.retry_after)
                    break
                backoff.succeeded()
                log.info("sent by %s (%d), not noted: %s", channel.name, answer.status, line(waiting[0].title, 200))
                waiting.pop(0)
        return any(self._waiting.values())
