"""Drills: the one that runs and when each channel was last proven.

::

    vv_drill_start_timestamp_seconds{severity="critical",channel="",occurrence="0197…"} 1.7e+09
    vv_alarm_path_proven_timestamp_seconds{channel="slack"} 1.7e+09
    vv_alarm_path_proven_duration_seconds{channel="slack"} 21.4
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.alert_path.drill_worker import DrillWorker, overdue_after
from vv_exporter.context import Context
from vv_exporter.drills.state import DRILLS, PROOFS, Proof
from vv_exporter.metrics import gauges
from vv_exporter.metrics.drills import NEXT_DUE, PROOF_DUE, PROVEN, PROVEN_SECONDS, RUNNING
from vv_exporter.services import Services


class DrillCollector:
    """Shows what the worker sees to."""

    name = "drills"

    def __init__(self, context: Context, worker: DrillWorker) -> None:
        self._store = context.store
        self._clock = context.clock
        self._good_for = overdue_after(context.settings)
        self._worker = worker

    def collect(self) -> Iterable[Family]:
        """What the rules Drill and DrillOverdue fire by."""
        store = self._store
        now = self._clock()
        running = [drill for drill in store.docs(DRILLS).values() if drill.is_shown(now)]
        alerts = [((step.severity, step.only, drill.id), drill.started) for drill in running for step in drill.steps]
        yield gauges(RUNNING, alerts)
        known = store.docs(PROOFS)
        proofs = {name: known.get(name, Proof(0.0)) for name in self._worker.channels}
        yield gauges(PROVEN, [((name,), proof.proven) for name, proof in proofs.items()])
        yield gauges(PROVEN_SECONDS, [((name,), proof.seconds) for name, proof in proofs.items() if proof.proven])
        due = self._good_for
        known_since = {name: max(proof.proven, proof.since) for name, proof in proofs.items() if proof.since}
        yield gauges(PROOF_DUE, [((name,), since + due) for name, since in known_since.items()] if due else [])
        coming = self._worker.next()
        yield gauges(NEXT_DUE, [] if coming is None else [((), coming)])


def build(services: Services) -> DrillCollector:
    """Make the collector."""
    return DrillCollector(services, services.drills)
