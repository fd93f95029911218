"""Ends drills, says why a channel did not take one, and asks for those that are due by `VV_DRILL_AT`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

from vv_exporter import notificationevents
from vv_exporter._clock import utc
from vv_exporter.alert_path.state import PATH
from vv_exporter.channels import CHANNELS, Channel
from vv_exporter.direct.providers import CHATS
from vv_exporter.database import StoreError
from vv_exporter.drills.reasons import Known, reason
from vv_exporter.drills.request import RequestError, request_drill
from vv_exporter.drills.state import DRILLS, PROOFS, Drill, Proof, fail_drill
from vv_exporter.loop import Loop
from vv_exporter.schedule import next_due
from vv_exporter.settings import Settings
from vv_exporter.settings.values import QuietHours
from vv_exporter.store import Kind, Store
from vv_exporter.times import UnixTime

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0  # between rounds while a drill runs
LATE_SECONDS = 900.0
"""A drill that is due and could not be begun for so long, the device being off, is left out: nobody expects it then."""
PLAUSIBLE = 1_700_000_000.0  # a clock that shows less was not set yet
SEEN_TIMES = 8  # of a schedule, of which the longest pause counts
OVERDUE_PAUSES = 2.0  # without VV_DRILL_OVERDUE: one drill may fail, and is made good by the next


class Mark(msgspec.Struct, frozen=True):
    """Drills of the schedule were asked for up to `until` (Unix seconds)."""

    until: UnixTime


MARK: Kind[Mark] = Kind("drill_schedule", Mark)


class DrillWorker:
    """Start it and stop it. `channels` are those that can be drilled; `ask` asks for a drill of all of them."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        channels: Sequence[str],
        clock: Callable[[], float],
        ask: Callable[[], object] | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._channels = channels
        self._clock = clock
        self._ask = ask or (lambda: request_drill(settings))
        self._loop = Loop("drills", "drills", self.round, INTERVAL_SECONDS)
        store.when_changed(DRILLS, self._loop.wake)

    def start(self) -> None:
        """Begin. Channels that are new are known from now on; those that are no longer configured are forgotten."""
        with contextlib.suppress(StoreError), self._store.transaction() as tx:
            known = tx.docs(PROOFS)
            for name in known.keys() - {*self._channels}:
                tx.delete(PROOFS, name)
            for name in self._channels:
                if name not in known:
                    tx.put(PROOFS, name, Proof(tx.now))
        self._loop.start()

    def stop(self) -> None:
        """End; a drill that runs goes on after the next start."""
        self._loop.stop()

    def round(self) -> bool:
        """Begin what is due, and see to what runs. Gives whether any runs."""
        self._begin_due()
        running = [drill for drill in self._store.docs(DRILLS).values() if drill.is_running]
        for drill in running:
            self._follow(drill)
        return bool(running)

    def next(self) -> float | None:
        """When the next one of the schedule is due; None without one, or while that is not known yet."""
        mark = self._store.document(MARK, "")
        if not self._settings.drill_at or mark is None:
            return None
        return next_due(self._settings.drill_at, self._settings.drill_timezone, mark.until)

    def _begin_due(self) -> None:
        settings, now = self._settings, self._clock()
        if not settings.drill_at or now < PLAUSIBLE:
            return
        mark = self._store.document(MARK, "")
        due = None if mark is None else next_due(settings.drill_at, settings.drill_timezone, mark.until)
        if due is not None and due > now:
            return
        with self._store.transaction() as tx:  # before it is asked for: a kill leaves one out, and begins none twice
            tx.put(MARK, "", Mark(now))
        if due is None:
            return
        if now - due > LATE_SECONDS:
            log.warning("the drill that was due at %s is left out: it is too late", utc(due).isoformat())
            return
        try:
            self._ask()
        except RequestError as error:
            log.error("the drill that is due cannot be begun: %s", error)

    def _follow(self, drill: Drill) -> None:
        """Note what failed; when the time is over, what is left."""
        known = self._store.docs(CHANNELS)
        is_over = self._clock() >= drill.ends
        failed = {}
        for name in drill.waiting:
            channel = known.get(name, Channel())
            if is_over:
                failed[name] = reason(drill, self._known(drill, name, channel))
            elif channel.failed > drill.counted and channel.since:
                failed[name] = channel.error or "Alertmanager gave up"
        if failed:
            with self._store.transaction() as tx:
                for name, why in failed.items():
                    fail_drill(tx, drill.id, name, why)

    def _known(self, drill: Drill, name: str, channel: Channel) -> Known:
        reported = self._store.document(notificationevents.LAST, "")
        alone = any(step.only == name for step in drill.steps)
        muted = drill.channels[name] == "warning" and name in CHATS and not alone
        return Known(
            path=self._store.document(PATH, ""),
            channel=channel,
            reports=reported is not None and reported.time > drill.counted,
            is_quiet=muted and is_quiet(self._settings.quiet_hours, self._settings.quiet_hours_timezone, self._clock()),
        )


def overdue_after(settings: Settings, now: float) -> float | None:
    """For how many seconds a proof is good: `VV_DRILL_OVERDUE`, else twice the longest pause of `VV_DRILL_AT`; None
    where neither is set, or it is off."""
    if settings.drill_overdue is not None or not settings.drill_at:
        return settings.drill_overdue or None
    times = [now]
    for _ in range(SEEN_TIMES):
        times.append(next_due(settings.drill_at, settings.drill_timezone, times[-1]))
    return OVERDUE_PAUSES * max(later - earlier for earlier, later in pairwise(times[1:]))


def is_quiet(hours: QuietHours | None, timezone: str, now: float) -> bool:
    """Whether warnings wait at this time (Unix seconds)."""
    if hours is None:
        return False
    shown = f"{utc(now).astimezone(ZoneInfo(timezone)):%H:%M}"
    if hours.start < hours.end:
        return hours.start <= shown < hours.end
    return shown >= hours.start or shown < hours.end
