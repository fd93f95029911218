"""The exporter's own probes of DVRs: a thread each, which asks again and again and counts the answers."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping

from vv_exporter.footage import states
from vv_exporter.metrics.dvr import DVR_ATTEMPTS, DVR_LOST
from vv_exporter.probes.dvr_logins import logins_of
from vv_exporter.probes.rtsp import Answer, Logins, NotAskedError, Resolver, probe
from vv_exporter.runtime.loop import NOT_WAITED_FOR, Loop
from vv_exporter.settings import Dvr
from vv_exporter.state.database import StoreError
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
        self._pause = dvr.interval
        self._loop = Loop(
            f"dvr-{name}",
            f"the answer of DVR {name}",
            self._probe_round,
            lambda: self._pause,
            stop_seconds=NOT_WAITED_FOR,
        )

    def start(self) -> None:
        """Begin; returns at once."""
        self._pause = self._jitter(0.0, min(FIRST_WITHIN, self._dvr.interval))
        self._loop.start()

    def stop(self) -> None:
        """No further probe; one in progress ends in its time."""
        self._loop.stop()

    def _probe_round(self) -> None:
        self._pause = self._dvr.interval
        try:
            self._pause = self._save_answer(self._ask_dvr())
        except NotAskedError as failure:
            log.warning("DVR %s could not be asked, will try again: %s", self.name, failure)

    def _ask_dvr(self) -> Answer:
        """Ask once. Raises `NotAskedError`."""
        try:
            return self._ask(self._dvr, self._resolver)
        except NotAskedError:
            raise
        except Exception as failure:
            log.exception("probing DVR %s failed", self.name)
            return Answer("error", type(failure).__name__)

    def _save_answer(self, answer: Answer) -> float:
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
                states.dvr_probed(tx, self.name, answer.result)
        except StoreError as failure:
            log.error("a probe of DVR %s could not be counted: %s", self.name, failure)
        if answer.result != self._last:
            self._log_change(answer)
        self._last = answer.result
        if answer.moved_to and answer.moved_to != self._moved_to:
            log.warning(
                "DVR %s sends its viewers elsewhere on %s: give that address instead", self.name, answer.moved_to
            )
        self._moved_to = answer.moved_to
        return self._jitter(0.9, 1.1) * self._dvr.interval

    def _log_change(self, answer: Answer) -> None:
        if answer.result == "ok":
            log.info("DVR %s (%s) gives a stream again", self.name, self._dvr.address)
        else:
            log.error("DVR %s (%s): %s: %s", self.name, self._dvr.address, answer.result, answer.error)


class DvrProbes:
    """The service of all probes: runs them, and forgets what is not probed any more and agents that are gone."""

    def __init__(self, store: Store, probes: Iterable[DvrProbe]) -> None:
        self.probes = list(probes)
        self._store = store
        self._loop = Loop("agents-of-dvrs", "agents that are gone", self._forget_agents, HOUSEKEEPING_INTERVAL)

    def start(self) -> None:
        """Begin to probe, and forget what is not probed any more."""
        names = {one.name for one in self.probes}
        with self._store.transaction() as tx:
            for known in tx.docs(LINKS).values():
                if known.source == "probe" and known.dvr not in names:
                    forget(tx, known.dvr, "probe")
                    states.no_longer_probed(tx, known.dvr)
            for name in names:
                tx.ensure(DVR_ATTEMPTS, *((name, "probe", result) for result in RESULTS))
                tx.ensure(DVR_LOST, (name, "probe"))
        for one in self.probes:
            one.start()
        self._loop.start()

    def stop(self) -> None:
        """End probing."""
        self._loop.stop()
        for one in self.probes:
            one.stop()

    def _forget_agents(self) -> None:
        if any(known.gone for known in self._store.docs(LINKS).values()):
            with self._store.transaction() as tx:
                forget_ended_agents(tx, tx.now)


def dvr_probes(dvrs: Mapping[str, Dvr], store: Store, clock: Callable[[], float]) -> DvrProbes:
    """A probe for each DVR of the settings."""
    logins = logins_of(dvrs, store)
    return DvrProbes(store, (DvrProbe(name, dvr, store, clock, logins=logins[name]) for name, dvr in dvrs.items()))
