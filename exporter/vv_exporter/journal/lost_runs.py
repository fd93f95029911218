"""Runs whose writer's files are gone though they were not counted to their end."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from vv_exporter.state.dvr_agents import AGENTS
from vv_exporter.state.runs import OPEN_RUNS, SCRIPTS
from vv_exporter.state.store import Kind, Store

OPEN: tuple[Kind[Any], ...] = (*OPEN_RUNS, SCRIPTS, AGENTS)  # what a writer begins and ends


def drop_lost_runs(store: Store, writers: Set[str]) -> None:
    """Forget the runs of all other writers. Raises `StoreError`.

    Writers delete only files of nothing but successes (the journal's bound): such a run did not crash.
    """
    lost = [(kind, key) for kind in OPEN for key, run in store.docs(kind).items() if run.writer not in writers]
    if lost:
        with store.transaction() as tx:
            for kind, key in lost:
                tx.delete(kind, key)
