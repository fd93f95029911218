"""The self-monitor and the containers that it watches over, as it reported them in the journal.

::

    vv_self_monitor_expected 1.0
    vv_self_monitor_last_check_timestamp_seconds 1.7e+09
    vv_self_monitor_restarts_total{name="agent_dvr",result="ok"} 2.0
    vv_self_monitor_restarts_in_window{name="agent_dvr"} 2.0
    vv_self_monitor_max_restarts{name="agent_dvr"} 5.0
    vv_self_monitor_gave_up{name="agent_dvr"} 0.0
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.containers.records import CONTAINERS, GONE
from vv_exporter.context import Context
from vv_exporter.journal.folds.supervisor import RETIRED, SUPERVISED
from vv_exporter.metrics import gauges
from vv_exporter.metrics.self_monitor import EXPECTED, GAVE_UP, IN_WINDOW, LAST_CHECK, MAX_RESTARTS, SUPERVISED_RESTARTS
from vv_exporter.settings import SelfMonitorSettings
from vv_exporter.state.store import Store


class SelfMonitorCollector:
    """Shows what the self-monitor reported last."""

    name = "self_monitor"

    def __init__(self, store: Store, settings: SelfMonitorSettings) -> None:
        self._store = store
        self._settings = settings

    def collect(self) -> Iterable[Family]:
        """All families of the self-monitor."""
        yield gauges(EXPECTED, [((), float(self._is_expected()))])
        yield stored(self._store, LAST_CHECK)
        yield stored(self._store, SUPERVISED_RESTARTS)
        known = sorted(self._store.docs(SUPERVISED).items())
        yield gauges(IN_WINDOW, (((name,), one.in_window) for name, one in known))
        yield gauges(MAX_RESTARTS, (((name,), one.max) for name, one in known if one.max))
        yield gauges(GAVE_UP, (((name,), float(one.gave_up)) for name, one in known))

    def _is_expected(self) -> bool:
        if self._store.document(RETIRED, "") is not None:
            return False
        asked = bool(self._settings.containers or self._settings.projects)
        return asked or any(one.opted == "true" and one.state != GONE for one in self._store.docs(CONTAINERS).values())


def build(context: Context) -> SelfMonitorCollector:
    """Make the collector."""
    return SelfMonitorCollector(context.store, context.settings.self_monitor)
