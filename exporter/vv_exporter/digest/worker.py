"""Sends the digest at its time of day, once.

Up to when digests were sent is a mark in the store, which moves on after the mail server has taken one: a restart sends
none twice, and what fell into a time in which the device was off, or the mail server away, is sent afterwards, all in
one. So each is sent at least once; twice only if the exporter is killed between the server's answer and the mark, and
then with the same Message-ID.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from vv_exporter.common.schedule import next_due
from vv_exporter.common.times import UnixTime
from vv_exporter.messages.smtp import MailError
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.runtime.backoff import Backoff
from vv_exporter.runtime.loop import Loop
from vv_exporter.state.store import Kind, Store

log = logging.getLogger(__name__)

DESTINATION = "digest"
INTERVAL = 5.0  # seconds between looks at the clock
BACKOFF_MAX = 1800.0  # seconds between tries while the mail server does not take it
DAY = 86400.0
LONGEST = 7 * DAY  # seconds that one digest is about at most
ERROR = 25 * 3600.0  # a mark that is further ahead was made by a clock that was wrong
PLAUSIBLE = 1_700_000_000.0  # a clock that shows less was not set yet


class Mark(msgspec.Struct, frozen=True):
    """Digests have been sent up to `until`; the last one at `sent`, 0 for none. Unix seconds."""

    until: UnixTime
    sent: UnixTime = 0.0


MARK: Kind[Mark] = Kind("digest", Mark)


class DigestWorker:
    """`send` makes and sends the digest of a time (since, until), or raises `MailError`."""

    def __init__(
        self,
        store: Store,
        send: Callable[[float, float], None],
        schedule: str,
        timezone: str,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._send = send
        self._schedule = schedule
        self._timezone = timezone
        self._clock = clock
        self._backoff = Backoff(BACKOFF_MAX, monotonic)
        self._loop = Loop("digest", "the digest", self.round, INTERVAL)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """End."""
        self._loop.stop()

    def next(self) -> float | None:
        """When the next one is due, None when that is not known yet."""
        mark = self._store.document(MARK, "")
        return None if mark is None else next_due(self._schedule, self._timezone, mark.until)

    def round(self) -> None:
        """Send what is due."""
        now = self._clock()
        if now < PLAUSIBLE:
            return
        mark = self._store.document(MARK, "")
        if mark is None or mark.until > now + ERROR:
            self._note_mark(Mark(now, mark.sent if mark else 0.0))
            return
        due = self._due_time(mark, now)
        if due is None or not self._backoff.ready():
            return
        try:
            self._send(max(mark.until, due - LONGEST), due)
        except MailError as error:
            if not self._backoff.failures:
                log.error("the digest could not be sent, will try again: %s", error)
            self._backoff.failed()
            self._count_result("failed")
            return
        self._backoff.succeeded()
        self._note_mark(Mark(due, now))
        self._count_result("ok")
        log.info("the digest was sent")

    def _due_time(self, mark: Mark, now: float) -> float | None:
        """The last time of the schedule that has come since the mark."""
        due = None
        after = max(mark.until, now - 2 * DAY)
        while (coming := next_due(self._schedule, self._timezone, after)) <= now:
            due = after = coming
        return due

    def _note_mark(self, mark: Mark) -> None:
        with self._store.transaction() as tx:
            tx.put(MARK, "", mark)

    def _count_result(self, result: str) -> None:
        with self._store.transaction() as tx:
            tx.inc(RELAY_DELIVERIES, (DESTINATION, result))
