"""The generic webhook's worker: delivers what waits for it, or forgets that, where none is configured any more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from vv_exporter.delivery.drill_hook import note_parcel
from vv_exporter.delivery.parcels import RESULTS, ParcelWorker
from vv_exporter.delivery.webhook import OUTBOX, Webhook
from vv_exporter.metrics.alerts import RELAY_DELIVERIES
from vv_exporter.settings import Settings
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Store


class WebhookWorker:
    """The service that empties the outbox of the webhook of the settings."""

    def __init__(
        self, store: Store, settings: Settings, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._store = store
        self._worker: ParcelWorker | None = None
        if settings.webhook_url:
            webhook = Webhook(settings.webhook_url, clock)
            self._worker = ParcelWorker(store, OUTBOX, webhook, clock, monotonic, note_parcel)

    def start(self) -> None:
        """Begin to deliver."""
        with contextlib.suppress(StoreError), self._store.transaction() as tx:
            if self._worker is None:
                OUTBOX.clear(tx)  # of a webhook that was configured once
                return
            tx.ensure(RELAY_DELIVERIES, *((OUTBOX.destination, result) for result in RESULTS))
        if self._worker is not None:
            self._worker.start()

    def stop(self) -> None:
        """End."""
        if self._worker is not None:
            self._worker.stop()
