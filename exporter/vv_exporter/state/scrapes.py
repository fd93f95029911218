"""What each Prometheus has seen of the counters that alerts ask about, so that a long pause hides nothing.

Rules ask by how much a counter grew in the last quarter of an hour, and look back a day for what it was before that.
After a longer pause (the device was off for the weekend, Prometheus was broken) there is nothing to look back at, and
what was counted before the first scrape would be seen by nobody. So the first scrapes after such a pause show those
counters as that Prometheus saw them last, and the next ones as they are: it sees them grow.

1. A scrape is recognised by the header that Prometheus and vmagent send; others who read `/metrics` see all at once.
2. What was shown last is noted each minute, if it has changed, and written down with the next commit: power may be cut
   at any time. What was counted in the two or three minutes before that is shown again after a long pause, rather than
   not at all.
3. What was shown and not committed yet (`journal.uncommitted`) is counted again after a kill: a scrape waits for that,
   or its counters would be less than before.
4. On a device that is new, everything was 0.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from prometheus_client.core import Metric as Family

from vv_exporter.metrics import Labels, Metric, counters, histograms
from vv_exporter.metrics.alerts import ALERTS_DROPPED, RELAY_DELIVERIES
from vv_exporter.metrics.containers import OOM_KILLS, RESTARTS
from vv_exporter.metrics.dvr import DVR_LOST
from vv_exporter.metrics.exceptions import EXCEPTIONS_UNHANDLED, SCRIPT_CRASHES
from vv_exporter.metrics.exporter import EVENTS_DROPPED, EVENTS_REJECTED, SERIES_LIMITED, STARTS
from vv_exporter.metrics.host import BOOTS
from vv_exporter.metrics.jobs import JOB_RUNS
from vv_exporter.metrics.pipeline import STAGE_DURATION, STAGE_OVERRUNS
from vv_exporter.metrics.security import HMAC_OPERATIONS, SCHEMA_VALIDATIONS
from vv_exporter.metrics.videos import VIDEOS_EXHAUSTED
from vv_exporter.state.store import Kind, Series, Store

PAUSE_SECONDS = 12 * 3600.0
"""A pause after which counters are held; rules look back for a day."""
HELD_SCRAPES = 2
"""Scrapes that show what was: one of them may not arrive."""
SAVE_INTERVAL_SECONDS = 60.0
NOTE_INTERVAL_SECONDS = 600.0
"""Seconds between notes that scrapes still come, while nothing changes."""
MAX_AGENTS = 8

HELD: Mapping[Metric, Sequence[str]] = {
    ALERTS_DROPPED: (),
    STARTS: (),
    BOOTS: (),
    DVR_LOST: (),
    SCRIPT_CRASHES: (),
    EVENTS_DROPPED: (),
    EVENTS_REJECTED: (),
    EXCEPTIONS_UNHANDLED: (),
    HMAC_OPERATIONS: ("ok",),
    JOB_RUNS: ("success",),
    OOM_KILLS: (),
    RELAY_DELIVERIES: ("ok",),
    RESTARTS: (),
    SCHEMA_VALIDATIONS: ("valid",),
    SERIES_LIMITED: (),
    STAGE_DURATION: ("success",),
    STAGE_OVERRUNS: (),
    VIDEOS_EXHAUSTED: (),
}
"""The counters whose growth matters, and the last labels of those of their series that count successes only."""

Shown = Mapping[tuple[str, Labels], Series]
"""Series by metric and labels, as they were shown."""


class Scraped(msgspec.Struct, frozen=True, omit_defaults=True):
    """A series as it was shown last: its value, and a histogram's counts."""

    metric: str
    labels: tuple[str, ...]
    value: float
    counts: tuple[int, ...] = ()


class LastScrape(msgspec.Struct, frozen=True):
    """When the last scrape was, as the clock showed then: Prometheus files its samples by that time."""

    time: float


SCRAPED: Kind[Scraped] = Kind("scraped", Scraped)
LAST_SCRAPE: Kind[LastScrape] = Kind("last_scrape", LastScrape)


class _Agent(NamedTuple):
    """Who scrapes: when it did last, what it saw then, and how many more scrapes are to show that."""

    time: float
    shown: Shown
    held: int = 0


class Scrapes:
    """Call `begin` before a scrape is gathered, and `shown` afterwards; `save` from time to time."""

    def __init__(
        self, store: Store, clock: Callable[[], float], caught_up: Callable[[float], object] | None = None
    ) -> None:
        """`caught_up` waits until the journal is counted, so many seconds at most."""
        self._store = store
        self._clock = clock
        self._caught_up = caught_up
        self._lock = threading.Lock()
        self._agents: dict[str, _Agent] = {}
        last = store.document(LAST_SCRAPE, "")
        # What an older version counted was seen.
        seen = _saved_series(store) if last is not None else current(store)
        self._before = _Agent(last.time if last is not None else float("-inf"), seen)
        self._begun = clock()
        self._unsaved: Shown | None = None

    def wait_for_the_journal(self, seconds: float) -> None:
        """Until what was shown before the start is counted again, so long at most."""
        if self._caught_up is not None:
            self._caught_up(seconds)

    def held(self, agent: str) -> Shown | None:
        """What this scrape is to show of the counters; None for what they are."""
        now, name = self._clock(), agent.partition("/")[0][:100]
        with self._lock:
            known = self._agents.pop(name, None) or self._new_agent(now)
            left = HELD_SCRAPES if now - known.time > PAUSE_SECONDS else known.held
            if left:
                self._agents[name] = _Agent(now, known.shown, left - 1)
            else:
                shown = current(self._store)
                self._agents[name] = _Agent(now, shown)
                self._unsaved = shown
            while len(self._agents) > MAX_AGENTS:
                del self._agents[next(iter(self._agents))]
        return known.shown if left else None

    def _new_agent(self, now: float) -> _Agent:
        """One that has not asked this exporter yet: where others do for long, it does not come back from a pause."""
        late = self._agents and now - self._begun > PAUSE_SECONDS
        return _Agent(now, current(self._store)) if late else self._before

    def save(self) -> None:
        """Have what was shown last written down with the next commit. Raises `StoreError`."""
        with self._lock:
            shown, self._unsaved = self._unsaved, None
            time = max((one.time for one in self._agents.values()), default=0.0)
        if shown is None:
            return
        known, last = self._store.docs(SCRAPED), self._store.document(LAST_SCRAPE, "")
        now = {_scraped_key(*key): Scraped(*key, one.value, one.counts) for key, one in shown.items()}
        changed = {key: one for key, one in now.items() if known.get(key) != one}
        gone = known.keys() - now.keys()
        if not changed and not gone and last is not None and abs(time - last.time) < NOTE_INTERVAL_SECONDS:
            return
        with self._store.transaction() as tx:
            tx.may_wait = True
            for key in gone:
                tx.delete(SCRAPED, key)
            for key, one in changed.items():
                tx.put(SCRAPED, key, one)
            tx.put(LAST_SCRAPE, "", LastScrape(time))


def current(store: Store) -> Shown:
    """The counters whose growth matters, as they are now."""
    return {
        (metric.name, labels): series
        for metric in HELD
        for labels, series in store.series(metric)
        if not is_success(metric, labels)
    }


def is_success(metric: Metric, labels: Labels) -> bool:
    """Whether a series of a counter in `HELD` counts successes only."""
    return bool(labels) and labels[-1] in HELD[metric]


def with_held(families: Sequence[Family], store: Store, shown: Shown) -> list[Family]:
    """The families, with those counters as they were shown before; what was not there was 0."""
    held = {family.name: family for family in (_family_before(metric, store, shown) for metric in HELD)}
    return [held.get(family.name, family) for family in families]


def _family_before(metric: Metric, store: Store, shown: Shown) -> Family:
    series = [(labels, _before(metric, labels, now, shown)) for labels, now in store.series(metric)]
    if metric.type == "histogram":
        return histograms(metric, ((labels, one.counts, one.value, one.created) for labels, one in series))
    return counters(metric, ((labels, one.value, one.created) for labels, one in series))


def _before(metric: Metric, labels: Labels, now: Series, shown: Shown) -> Series:
    if is_success(metric, labels):
        return now
    before = shown.get((metric.name, labels))
    if before is None or before.value > now.value or len(before.counts) != len(now.counts):
        return Series(0.0, now.created, (0,) * len(now.counts))
    return Series(before.value, now.created, before.counts)


def _scraped_key(metric: str, labels: Labels) -> str:
    return "\n".join((metric, *labels))


def _saved_series(store: Store) -> Shown:
    return {(one.metric, one.labels): Series(one.value, 0.0, one.counts) for one in store.docs(SCRAPED).values()}
