"""Drills: runs what sees to them, and shows the one that runs and when each channel was last proven.

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
from vv_exporter.drills.plan import drill_channels
from vv_exporter.drills.state import DRILLS, PROOFS, Proof
from vv_exporter.metrics import gauges
from vv_exporter.metrics.drills import NEXT_DUE, PROOF_DUE, PROVEN, PROVEN_SECONDS, RUNNING


class DrillCollector:
    """Runs the worker."""

    name = "drills"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._channels = drill_channels(context.settings)
        self._good_for = overdue_after(context.settings)
        self._worker = DrillWorker(context.store, context.settings, self._channels, context.clock)

    def start(self) -> None:
        """Begin to look at the clock."""
        self._worker.start()

    def stop(self) -> None:
        """End."""
        self._worker.stop()

    def collect(self) -> Iterable[Family]:
        """What the rules Drill and DrillOverdue fire by."""
        store = self._context.store
        now = self._context.clock()
        running = [drill for drill in store.docs(DRILLS).values() if drill.is_shown(now)]
        alerts = [((step.severity, step.only, drill.id), drill.started) for drill in running for step in drill.steps]
        yield gauges(RUNNING, alerts)
        known = store.docs(PROOFS)
        proofs = {name: known.get(name, Proof(0.0)) for name in self._channels}
        yield gauges(PROVEN, [((name,), proof.proven) for name, proof in proofs.items()])
        yield gauges(PROVEN_SECONDS, [((name,), proof.seconds) for name, proof in proofs.items() if proof.proven])
        due = self._good_for
        known_since = {name: max(proof.proven, proof.since) for name, proof in proofs.items() if proof.since}
        yield gauges(PROOF_DUE, [((name,), since + due) for name, since in known_since.items()] if due else [])
        coming = self._worker.next()
        yield gauges(NEXT_DUE, [] if coming is None else [((), coming)])


def build(context: Context) -> DrillCollector:
    """Make the collector."""
    return DrillCollector(context)
