"""The exporter itself: its build, what it counted of the journal, and its process (`process_*`).

vv_exporter_build_info{version="0.1.0",revision="unknown",python="3.11.2"} 1.0
vv_events_total{type="stage.finished"} 1234.0
"""

from __future__ import annotations

import platform
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import ProcessCollector
from prometheus_client.core import Metric as Family

import vv_exporter
from vv_exporter.collectors._store import stored
from vv_exporter.context import Context
from vv_exporter.metrics import gauges
from vv_exporter.metrics.exporter import (
    BUILD_INFO,
    CLOCK_STEPS,
    EVENTS,
    EVENTS_DROPPED,
    EVENTS_MISTIMED,
    EVENTS_REJECTED,
    SERIES_LIMITED,
    STARTS,
)
from vv_exporter.metrics.host import BOOTS
from vv_exporter.state.store import Store

_COUNTED = (EVENTS, EVENTS_REJECTED, EVENTS_DROPPED, EVENTS_MISTIMED, CLOCK_STEPS, SERIES_LIMITED, STARTS, BOOTS)
REVISION_FILE = Path(vv_exporter.__file__).with_name("REVISION")
"""Holds the commit that an image was built from; there is none in a checkout."""


class Itself:
    """What the exporter knows about itself."""

    name = "itself"

    def __init__(self, store: Store, revision: str) -> None:
        self._store = store
        self._process = ProcessCollector(registry=None)
        self._build = (vv_exporter.__version__, revision, platform.python_version())

    def collect(self) -> Iterable[Family]:
        """Its families."""
        yield gauges(BUILD_INFO, [(self._build, 1)])
        for metric in _COUNTED:
            yield stored(self._store, metric)
        yield from self._process.collect()


def build(context: Context) -> Itself:
    """This process."""
    revision = REVISION_FILE.read_text(encoding="utf-8").strip() if REVISION_FILE.exists() else "unknown"
    return Itself(context.store, revision)
