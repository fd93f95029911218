"""Runs the collectors for a scrape so that one that hangs, raises or yields nonsense costs its own series only.

Each collector has one worker thread for life. A scrape asks for a run and waits until its deadline; a run that is
still in progress is joined, never doubled, and one that hangs keeps its thread until it returns.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Sequence, Set
from queue import SimpleQueue
from threading import Event, Lock, Thread

from prometheus_client.core import Metric as Family

from vv_core.common import texts
from vv_exporter.collectors import Collector
from vv_exporter.common.families import ShapedFamily
from vv_exporter.metrics import gauges
from vv_exporter.metrics.exporter import COLLECTOR_DURATION, COLLECTOR_SUCCESS
from vv_exporter.runtime import threads

log = logging.getLogger(__name__)

DEADLINE = 2.0
"""Seconds that a scrape waits for its collectors."""

_LABEL_NAME = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*")
# The suffixes of a type's samples: OpenMetrics 1.0, "Metric Types".
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "summary": ("", "_sum", "_count", "_created"),
    "info": ("_info",),
}


class CollectorError(Exception):
    """A run that yielded nothing of use; `__cause__` is what the collector raised, if it did."""


class Run:
    """One run of a collector; once `done` is set it has either families or an error."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.done = Event()
        self.families: list[Family] = []
        self.names: frozenset[str] = frozenset()
        self.error: BaseException | None = None

    def wait(self, until: float) -> None:
        """Wait until a time of `time.monotonic`. Raises `CollectorError` when there is nothing of use by then."""
        if not self.done.wait(max(0.0, until - time.monotonic())):
            raise CollectorError(f"has not answered for {time.monotonic() - self.started:.1f} s")
        if isinstance(self.error, CollectorError):
            raise self.error
        if self.error is not None:
            raise CollectorError(f"{type(self.error).__name__}: {self.error}") from self.error


class Guarded:
    """A collector with its worker thread. Any thread may call its methods."""

    def __init__(self, collector: Collector) -> None:
        self.name = collector.name
        self.duration: float | None = None
        """Seconds that the last finished run took."""
        self.error: str | None = None
        """Why the last scrape got nothing from it; None when it got everything."""
        self._collector = collector
        self._lock = Lock()
        self._run: Run | None = None
        self._queue: SimpleQueue[Run] = SimpleQueue()
        self._thread: Thread | None = None

    def begin(self) -> Run:
        """The run in progress, or else a new one."""
        with self._lock:
            if self._run is None or self._run.done.is_set():
                self._run = Run()
                if self._has_worker(self._run):
                    self._queue.put(self._run)
            return self._run

    def _has_worker(self, run: Run) -> bool:
        """Whether there is a thread for the run, which fails else; the next run tries again."""
        if self._thread is None:
            # No loop: it works when a scrape asks, and may hang in a collector.
            thread = Thread(target=self._collect_forever, name=f"collector-{self.name}", daemon=True)
            try:
                threads.start(thread, patience=0)
            except RuntimeError as error:
                run.error = CollectorError(f"has no thread to run in: {error}")
                run.done.set()
                return False
            self._thread = thread
        return True

    def record_result(self, error: CollectorError | None) -> None:
        """Keep how the last scrape went; logs when failing begins and when it ends, not in between."""
        with self._lock:
            before, self.error = self.error, None if error is None else str(error)
        if error is not None and before is None:
            log.error("collector %s: %s", self.name, error, exc_info=error.__cause__)
        elif error is None and before is not None:
            log.info("collector %s answers again", self.name)

    def _collect_forever(self) -> None:
        while True:
            run = self._queue.get()
            try:
                run.families, run.names = checked(self._collector.collect())
            except BaseException as error:  # SystemExit too: nothing may end this thread
                run.error = error
            self.duration = time.monotonic() - run.started
            run.done.set()


def gather(guarded: Sequence[Guarded], deadline: float = DEADLINE) -> list[Family]:
    """The families of all collectors that answer within `deadline` seconds, and how each of them did."""
    families, success = collect_families(guarded, deadline)
    durations = {one.name: one.duration for one in guarded if one.duration is not None}
    families.append(gauges(COLLECTOR_SUCCESS, (((name,), float(good)) for name, good in success.items())))
    families.append(gauges(COLLECTOR_DURATION, (((name,), duration) for name, duration in durations.items())))
    return families


def collect_families(guarded: Sequence[Guarded], deadline: float = DEADLINE) -> tuple[list[Family], dict[str, bool]]:
    """The families of all collectors that answer within `deadline` seconds, and by name which do.

    A collector that hung before is not waited for again.
    """
    runs = [(one, one.begin()) for one in guarded]
    end = time.monotonic() + deadline
    families: list[Family] = []
    success: dict[str, bool] = {}
    owners = dict.fromkeys((COLLECTOR_SUCCESS.name, COLLECTOR_DURATION.name), "the guard")
    for one, run in runs:
        error = None
        try:
            run.wait(min(end, run.started + deadline))
            _claim_names(run.names, one.name, owners)
            families += run.families
        except CollectorError as raised:
            error = raised
        one.record_result(error)
        success[one.name] = error is None
    return families, success


def checked(families: Iterable[Family]) -> tuple[list[Family], frozenset[str]]:
    """The families, known to be valid, and all the names that they expose. Raises `CollectorError`."""
    found: list[Family] = []
    owners: dict[str, str] = {}
    for family in families:
        if not isinstance(family, Family):
            raise CollectorError(f"yielded {family!r:.100}, which is no family")
        try:
            names = _check_family(family)
        except (TypeError, ValueError, AttributeError) as error:
            raise CollectorError(f"yielded an invalid {family.name}: {error}") from error
        _claim_names(names, "it", owners)
        found.append(family)
    return found, frozenset(owners)


def _claim_names(names: Set[str], owner: str, owners: dict[str, str]) -> None:
    for name in names & owners.keys():
        raise CollectorError(f"yielded {name}, which {owners[name]} has yielded already")
    owners.update(dict.fromkeys(names, owner))


def _check_family(family: Family) -> Set[str]:
    """The names that the family exposes. Raises for what would break the exposition of all the others."""
    if isinstance(family, ShapedFamily):  # names and values are known to be good
        family.check_series()
        return family.exposed_names
    allowed = {family.name + suffix for suffix in _SUFFIXES.get(family.type, ("",))}
    seen = set()
    shown = [family.documentation]
    for sample in family.samples:
        if sample.name not in allowed:
            raise ValueError(f"a {family.type} has no sample {sample.name}")
        if sample.timestamp or sample.exemplar or sample.native_histogram:
            raise ValueError("timestamps, exemplars and native histograms are not exposed")
        float(sample.value)
        for label, value in sample.labels.items():
            if not value.isprintable():  # a name that somebody chose: it goes on into messages, terminals and pages
                sample.labels[label] = texts.escaped(value)
        series = (sample.name, frozenset(sample.labels.items()))
        if series in seen:
            raise ValueError(f"duplicate series {sample.name} with the labels {sample.labels}")
        seen.add(series)
        shown += sample.labels.values()
    for name in {name for _, labels in seen for name, _ in labels}:
        if not _LABEL_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a label")
    "".join(shown).encode()  # a file name that is not UTF-8 holds surrogates, which no exposition can
    return {family.name, *allowed}
