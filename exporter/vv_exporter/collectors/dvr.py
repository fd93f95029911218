"""DVRs: what agents reported, and what the exporter's own probes find.

::

    vv_dvr_up{dvr="front",source="probe"} 1.0
    vv_dvr_attempts_total{dvr="front",source="probe",result="auth"} 0.0
    vv_dvr_probe_duration_seconds{dvr="front",phase="connect"} 0.002
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
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
from vv_exporter.probes.dvr_probes import DvrProbe
from vv_exporter.services import Services
from vv_exporter.state.dvr_agents import agents_up
from vv_exporter.state.dvrs import LINKS, RESULTS
from vv_exporter.state.store import Store


class Dvrs:
    """Shows all DVRs; never asks one itself."""

    name = "dvr"

    def __init__(self, store: Store, probes: Iterable[DvrProbe]) -> None:
        self._store = store
        self._probes = list(probes)

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


def build(services: Services) -> Dvrs:
    """Make the collector."""
    return Dvrs(services.store, services.dvrs.probes)
