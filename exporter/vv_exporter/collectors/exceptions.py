"""Exceptions that came to the last resort of a script, and scripts that were killed, as the journal counted them.

::

    vv_exceptions_unhandled_total{component="orchestrator.py",exception="KeyError"} 1.0
    vv_script_crashes_total{component="orchestrator.py"} 0.0
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.context import Context
from vv_exporter.metrics.exceptions import EXCEPTIONS_UNHANDLED, SCRIPT_CRASHES
from vv_exporter.state.store import Store


class ExceptionsCollector:
    """Shows what is stored."""

    name = "exceptions"

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterable[Family]:
        """The families, as they were last committed."""
        return [stored(self._store, metric) for metric in (EXCEPTIONS_UNHANDLED, SCRIPT_CRASHES)]


def build(context: Context) -> ExceptionsCollector:
    """Make the collector."""
    return ExceptionsCollector(context.store)
