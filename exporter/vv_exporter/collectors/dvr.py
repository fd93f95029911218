"""DVRs: what agents reported, and what the exporter's own probes find.

::

    vv_dvr_up{dvr="front",source="probe"} 1.0
    vv_dvr_attempts_total{dvr="front",source="probe",result="auth"} 0.0
    vv_dvr_probe_duration_seconds{dvr="front",phase="connect"} 0.002
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.context import Context
from vv_exporter.metrics import gauges
from vv_exporter.metrics.dvr import (
    DVR_AGENT_UP,
    DVR_ATTEMPTS,
    DVR_CONSECUTIVE_FAILURES,
    DVR_DOWN_SINCE,
    DVR_FRAMES,
    DVR_HELD_BACK,
    DVR_LAST_FRAME,
    DVR_LAST_RESULT,
    DVR_LOST,
    DVR_PROBE_DURATION,
    DVR_UP,
)
from vv_exporter.probes.dvr_logins import logins_of
from vv_exporter.probes.rtsp import Answer, Logins, NotAskedError, Resolver, probe
from vv_exporter.runtime import threads
from vv_exporter.settings import Dvr
from vv_exporter.state.database import StoreError
from vv_exporter.state.dvr_agents import agents_up
from vv_exporter.state.dvrs import LINKS, RESULTS, forget, forget_ended_agents, probed
from vv_exporter.state.store import Store

log = logging.getLogger(__name__)

FIRST_WITHIN = 3.0  # seconds after the start, spread so that many DVRs are not asked at once
HOUSEKEEPING_INTERVAL = 60.0


class DvrProbe:
    """The thread of one DVR: asks it again and again, and counts the answers. `logins`: what it may send of them."""

    def __init__(
        self,
        name: str,
        dvr: Dvr,
        store: Store,
        clock: Callable[[], float],
        *,
        logins: Logins | None = None,
        ask: Callable[[Dvr, Resolver], Answer] | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.name = name
        self.durations: Mapping[str, float] = {}
        """Seconds that the phases of the latest probe took."""
        self._dvr = dvr
        self._store = store
        self._clock = clock
        self._ask = ask or (lambda dvr, resolver: probe(dvr, resolver, logins))
        self._jitter = jitter
        self._resolver = Resolver(dvr.host, dvr.port)
        self._last = "ok"
        self._moved_to = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"dvr-{name}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        threads.start(self._thread)

    def stop(self) -> None:
        """No further probe; one in progress ends in its time."""
        self._stopping.set()

    def _run(self) -> None:
        pause = self._jitter(0.0, min(FIRST_WITHIN, self._dvr.interval))
        while not self._stopping.wait(pause):
            pause = self._dvr.interval
            try:
                pause = self._take(self._probe())
            except NotAskedError as failure:
                log.warning("DVR %s could not be asked, will try again: %s", self.name, failure)
            except Exception:  # the thread must outlive its own defects, or the DVR would stay for ever as it was
                log.exception("the answer of DVR %s could not be taken", self.name)

    def _probe(self) -> Answer:
        """Ask once. Raises `NotAskedError`."""
        try:
            return self._ask(self._dvr, self._resolver)
        except NotAskedError:
            raise
        except Exception as failure:
            log.exception("probing DVR %s failed", self.name)
            return Answer("error", type(failure).__name__)

    def _take(self, answer: Answer) -> float:
        """Count an answer; seconds until the next probe."""
        self.durations = answer.durations
        try:
            with self._store.transaction() as tx:
                probed(
                    tx,
                    self.name,
                    answer.result,
                    self._clock(),
                    error=answer.error,
                    frames=answer.frames,
                    is_held_back=answer.held_back,
                )
        except StoreError as failure:
            log.error("a probe of DVR %s could not be counted: %s", self.name, failure)
        if answer.result != self._last:
            self._tell(answer)
        self._last = answer.result
        if answer.moved_to and answer.moved_to != self._moved_to:
            log.warning(
                "DVR %s sends its viewers elsewhere on %s: give that address instead", self.name, answer.moved_to
            )
        self._moved_to = answer.moved_to
        return self._jitter(0.9, 1.1) * self._dvr.interval

    def _tell(self, answer: Answer) -> None:
        if answer.result == "ok":
            log.info("DVR %s (%s) gives a stream again", self.name, self._dvr.address)
        else:
            log.error("DVR %s (%s): %s: %s", self.name, self._dvr.address, answer.result, answer.error)


class Dvrs:
    """Shows all DVRs; never asks one itself."""

    name = "dvr"

    def __init__(self, store: Store, probes: Iterable[DvrProbe]) -> None:
        self._store = store
        self._probes = list(probes)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_house, name="dvr-agents", daemon=True)

    def start(self) -> None:
        """Begin to probe, and forget what is not probed any more."""
        names = {one.name for one in self._probes}
        with self._store.transaction() as tx:
            for known in tx.docs(LINKS).values():
                if known.source == "probe" and known.dvr not in names:
                    forget(tx, known.dvr, "probe")
            for name in names:
                tx.ensure(DVR_ATTEMPTS, *((name, "probe", result) for result in RESULTS))
                tx.ensure(DVR_LOST, (name, "probe"))
        for one in self._probes:
            one.start()
        threads.start(self._thread)

    def stop(self) -> None:
        """End probing."""
        self._stopping.set()
        for one in self._probes:
            one.stop()

    def collect(self) -> Iterable[Family]:
        """All families of DVRs."""
        for metric in (DVR_ATTEMPTS, DVR_FRAMES, DVR_LAST_FRAME, DVR_LOST):
            yield stored(self._store, metric)
        known = [((one.dvr, one.source), one) for one in self._store.docs(LINKS).values()]
        # An agent whose process ended with a stream has none now; that says nothing of the DVR.
        tried = [(labels, one) for labels, one in known if one.connected or one.failures]
        yield gauges(DVR_UP, [(labels, float(one.connected)) for labels, one in tried])
        yield gauges(
            DVR_LAST_RESULT,
            [((*labels, result), float(one.result == result)) for labels, one in known for result in RESULTS],
        )
        yield gauges(DVR_CONSECUTIVE_FAILURES, [(labels, one.failures) for labels, one in known])
        yield gauges(DVR_DOWN_SINCE, [(labels, one.since) for labels, one in known if one.failures])
        yield gauges(DVR_HELD_BACK, [(labels, one.held_back) for labels, one in known if one.held_back])
        yield gauges(DVR_AGENT_UP, [((dvr,), float(up)) for dvr, up in agents_up(self._store).items()])
        durations = [((one.name, phase), took) for one in self._probes for phase, took in one.durations.items()]
        yield gauges(DVR_PROBE_DURATION, durations)

    def _keep_house(self) -> None:
        while not self._stopping.wait(HOUSEKEEPING_INTERVAL):
            if not any(known.gone for known in self._store.docs(LINKS).values()):
                continue
            try:
                with self._store.transaction() as tx:
                    forget_ended_agents(tx, tx.now)
            except Exception as failure:  # the thread must outlive its own defects
                log.error("DVRs that are gone could not be forgotten, will try again: %s", failure)


def build(context: Context) -> Dvrs:
    """A probe for each DVR of the settings."""
    dvrs = context.settings.dvrs
    logins = logins_of(dvrs, context.store)
    probes = (DvrProbe(name, dvr, context.store, context.clock, logins=logins[name]) for name, dvr in dvrs.items())
    return Dvrs(context.store, probes)
