"""Drills that were asked for."""

from __future__ import annotations

from vv_exporter.drills.plan import SEVERITIES, drill_channels, patience, plan
from vv_exporter.drills.state import Drill, begin_drill
from vv_exporter.journal.events import DrillAsked
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.settings import Settings
from vv_exporter.state.store import Transaction


def asked(tx: Transaction, event: DrillAsked, source: Source, settings: Settings) -> None:
    """Begin a drill, if it can be."""
    severity = event.severity if event.severity in SEVERITIES else ""
    steps = plan(severity, event.channel, drill_channels(settings))
    ends = event.ts + patience(settings)
    begin_drill(tx, Drill(id=event.id, started=event.ts, counted=tx.now, ends=ends, steps=steps))


HANDLERS: dict[type, Handler] = {DrillAsked: asked}
