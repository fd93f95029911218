"""Validations of JSON and uses of signatures, as the journal counted them.

::

    vv_schema_validations_total{schema="analytic",component="scan_video.py",result="invalid"} 1.0
    vv_hmac_operations_total{operation="verify",component="logline_verifier.py",result="failed"} 1.0
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.collectors._store import stored
from vv_exporter.context import Context
from vv_exporter.metrics.security import HMAC_OPERATIONS, SCHEMA_VALIDATIONS
from vv_exporter.state.store import Store


class SecurityCollector:
    """Shows what is stored."""

    name = "security"

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterable[Family]:
        """The families, as they were last committed."""
        return [stored(self._store, metric) for metric in (HMAC_OPERATIONS, SCHEMA_VALIDATIONS)]


def build(context: Context) -> SecurityCollector:
    """Make the collector."""
    return SecurityCollector(context.store)
