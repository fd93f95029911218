"""Ends drills, says why a channel did not take one, and asks for those that are due by `VV_DRILL_AT`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

import msgspec

from vv_exporter.alert_path.drill_reasons import Known, out_of_time
from vv_exporter.alert_path.state import PATH
from vv_exporter.channels import addresses, names_of
from vv_exporter.common.clock import utc
from vv_exporter.common.schedule import longest_pause, next_due
from vv_exporter.common.times import UnixTime
from vv_exporter.delivery import notificationevents
from vv_exporter.delivery.channel_health import CHANNELS, Channel
from vv_exporter.drills.failure import given_up
from vv_exporter.drills.request import RequestError, request_drill
from vv_exporter.drills.state import DRILLS, Drill, fail_drill, know_channels
from vv_exporter.runtime.loop import Loop
from vv_exporter.settings import Settings
from vv_exporter.settings.values import QuietHours
from vv_exporter.state.store import Kind, Store

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0  # between rounds while a drill runs
LATE_SECONDS = 900.0
"""A drill that is due and cannot be begun for so long (the device is off) is left out: nobody expects it then."""
PLAUSIBLE = 1_700_000_000.0  # a clock that shows less was not set yet
OVERDUE_PAUSES = 2.0  # without VV_DRILL_OVERDUE: one drill may fail, and is made good by the next


class Mark(msgspec.Struct, frozen=True):
    """Drills of the schedule that were due up to `until` (Unix seconds) have been seen to."""

    until: UnixTime


MARK: Kind[Mark] = Kind("drill_schedule", Mark)


class DrillWorker:
    """Start it and stop it. `channels` are those that can be drilled; `ask` asks for a drill of them by its id."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        channels: Sequence[str],
        clock: Callable[[], float],
        ask: Callable[[str], object] | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self.channels = channels
        self._clock = clock
        self._ask = ask or (lambda id_: request_drill(settings, id_=id_))
        self._are_channels_known = False
        self._said = 0.0  # of the drill that was due then it was said that it cannot be begun
        self._loop = Loop("drills", "drills", self.round, INTERVAL_SECONDS)
        store.when_changed(DRILLS, self._loop.wake)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """End; a drill that runs goes on after the next start."""
        self._loop.stop()

    def round(self) -> bool:
        """Begin what is due, and see to what runs. Gives whether any runs."""
        if not self._are_channels_known:
            self._know_channels()
        running = [drill for drill in self._store.docs(DRILLS).values() if drill.is_running]
        for drill in running:
            self._record_channel_results(drill)
        if not running:  # or it would be refused
            self._begin_due()
        return bool(running)

    def next(self) -> float | None:
        """When the next one of the schedule is due; None without one, or while that is not known yet."""
        mark = self._store.document(MARK, "")
        if not self._settings.drill_at or mark is None:
            return None
        after = max(mark.until, self._clock() - LATE_SECONDS)
        return next_due(self._settings.drill_at, self._settings.drill_timezone, after)

    def _know_channels(self) -> None:
        """Those that are new are known from now on; those that are no longer configured are forgotten."""
        every = addresses(self._settings)
        with self._store.transaction() as tx:
            know_channels(tx, {name: every.get(name, "") for name in self.channels})
        self._are_channels_known = True

    def _begin_due(self) -> None:
        now = self._clock()
        if not self._settings.drill_at or now < PLAUSIBLE:
            return
        due = self.next()
        if due is not None and (due > now or not self._is_asked(due)):
            return
        with self._store.transaction() as tx:
            tx.put(MARK, "", Mark(now))

    def _is_asked(self, due: float) -> bool:
        """Ask for it. After a kill in between it is asked for again, with the same id, and begins once."""
        try:
            self._ask(f"drill-{utc(due):%Y%m%dT%H%M%SZ}")
        except RequestError as error:
            if due != self._said:
                log.error("the drill that is due cannot be begun, will try again: %s", error)
            self._said = due
            return False
        return True

    def _record_channel_results(self, drill: Drill) -> None:
        """Note what failed; when the time is over, what is left."""
        known = self._store.docs(CHANNELS)
        is_over = self._clock() >= drill.ends
        failed = {}
        for name in drill.waiting:
            channel = known.get(name, Channel())
            if is_over:
                failed[name] = out_of_time(drill, name, self._what_is_known(drill, name, channel))
            elif channel.failed > drill.counted and channel.since:
                failed[name] = given_up(name, channel.error)
        if failed:
            with self._store.transaction() as tx:
                for name, why in failed.items():
                    fail_drill(tx, drill.id, name, why)

    def _what_is_known(self, drill: Drill, name: str, channel: Channel) -> Known:
        reported = self._store.document(notificationevents.LAST, "")
        alone = any(step.only == name for step in drill.steps)
        muted = drill.channels[name] == "warning" and name in names_of("chat") and not alone
        return Known(
            path=self._store.document(PATH, ""),
            channel=channel,
            reports=reported is not None and reported.time > drill.counted,
            is_quiet=muted and is_quiet(self._settings.quiet_hours, self._settings.quiet_hours_timezone, self._clock()),
        )


def overdue_after(settings: Settings) -> float | None:
    """For how many seconds a proof is good: `VV_DRILL_OVERDUE`, else twice the longest pause of `VV_DRILL_AT`; None
    where neither is set, or it is off."""
    if settings.drill_overdue is not None or not settings.drill_at:
        return settings.drill_overdue or None
    return OVERDUE_PAUSES * longest_pause(settings.drill_at)


def is_quiet(hours: QuietHours | None, timezone: str, now: float) -> bool:
    """Whether warnings wait at this time (Unix seconds)."""
    if hours is None:
        return False
    shown = f"{utc(now).astimezone(ZoneInfo(timezone)):%H:%M}"
    if hours.start < hours.end:
        return hours.start <= shown < hours.end
    return shown >= hours.start or shown < hours.end
