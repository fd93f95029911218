"""The daily digest: when one was sent, and when the next one is due. Nothing where there is no mail server.

::

    vv_digest_last_sent_timestamp_seconds 1.7e+09
    vv_digest_next_due_timestamp_seconds 1.7000864e+09
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.digest.worker import MARK, DigestWorker
from vv_exporter.metrics import gauges
from vv_exporter.metrics.digest import DIGEST_LAST_SENT, DIGEST_NEXT_DUE
from vv_exporter.services import Services
from vv_exporter.state.store import Store


class DigestCollector:
    """Shows nothing without a worker."""

    name = "digest"

    def __init__(self, store: Store, worker: DigestWorker | None) -> None:
        self._store = store
        self._worker = worker

    def collect(self) -> Iterable[Family]:
        """When a digest was sent, and when the next one is due."""
        if self._worker is None:
            return
        mark, due = self._store.document(MARK, ""), self._worker.next()
        yield gauges(DIGEST_LAST_SENT, [((), mark.sent if mark else 0.0)])
        if due is not None:
            yield gauges(DIGEST_NEXT_DUE, [((), due)])


def build(services: Services) -> DigestCollector:
    """Make the collector."""
    return DigestCollector(services.store, services.digest)
