"""Messages that could not be written down, as on a disk that is full: kept in memory and sent from there.

Once to each channel; a restart of the exporter meanwhile may tell them again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from vv_exporter.direct.in_short import send_somehow
from vv_exporter.direct.message import Message, line
from vv_exporter.direct.providers import Provider, ProviderError
from vv_exporter.loop import Backoff

log = logging.getLogger(__name__)

MAX_HELD = 50
LONGEST_PAUSE_SECONDS = 60.0


class UnsavedMessages:
    """`hold` from any thread; call `round` again and again from one."""

    def __init__(self, channels: Sequence[Provider], monotonic: Callable[[], float]) -> None:
        self._channels = channels
        self._backoffs = {channel.name: Backoff(LONGEST_PAUSE_SECONDS, monotonic) for channel in channels}
        self._waiting: dict[str, list[Message]] = {channel.name: [] for channel in channels}
        self._wakes: list[Callable[[], None]] = []

    def when_held(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when there is something to send."""
        self._wakes.append(wake)

    def hold(self, message: Message) -> None:
        """Have it sent."""
        for channel, waiting in self._waiting.items():
            if len(waiting) < MAX_HELD:
                waiting.append(message)
            else:  # it cannot be counted either
                said = f"more messages wait for {channel} than are kept: {line(message.title, 200)}"
                log.critical("ALERT DROPPED %s: %s", message.severity.upper(), said)
        for wake in self._wakes:
            wake()

    def round(self) -> bool:
        """Send what waits. Gives whether anything did."""
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
