"""The daily digest: sends it at its time, and shows when that was and will be. Nothing where there is no mail server.

::

    vv_digest_last_sent_timestamp_seconds 1.7e+09
    vv_digest_next_due_timestamp_seconds 1.7000864e+09
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from prometheus_client.core import Metric as Family

from vv_exporter.context import Context
from vv_exporter.digest import digest, history
from vv_exporter.digest.worker import MARK, DigestWorker
from vv_exporter.metrics import gauges
from vv_exporter.metrics.digest import DIGEST_LAST_SENT, DIGEST_NEXT_DUE

log = logging.getLogger(__name__)


class DigestCollector:
    """Runs the worker."""

    name = "digest"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._worker: DigestWorker | None = None
        settings = context.settings
        if settings.digest_schedule:
            self._worker = DigestWorker(
                context.store,
                self._send,
                settings.digest_schedule,
                settings.digest_timezone,
                context.clock,
                context.monotonic,
            )

    def start(self) -> None:
        """Begin to look at the clock."""
        if self._worker is not None:
            self._worker.start()

    def stop(self) -> None:
        """End."""
        if self._worker is not None:
            self._worker.stop()

    def collect(self) -> Iterable[Family]:
        """When a digest was sent, and when the next one is due."""
        if self._worker is None:
            return
        mark, due = self._context.store.document(MARK, ""), self._worker.next()
        yield gauges(DIGEST_LAST_SENT, [((), mark.sent if mark else 0.0)])
        if due is not None:
            yield gauges(DIGEST_NEXT_DUE, [((), due)])

    def _send(self, since: float, until: float) -> None:
        from vv_exporter.digest import mail  # jinja2 is 4 MB, which are not held without a digest
        from vv_exporter.messages import smtp

        context, settings = self._context, self._context.settings
        found = digest(history.read(context.store, since, until), settings.device_id, since, until)
        made = mail.message(found, settings.smtp_from, settings.alert_email_to, context.clock(), settings.public_url)
        refused = smtp.send(made, settings)
        if refused:
            log.warning("the digest was refused for %s", ", ".join(refused))


def build(context: Context) -> DigestCollector:
    """Make the collector."""
    return DigestCollector(context)
