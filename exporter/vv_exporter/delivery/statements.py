"""Posts the statements of footage that are kept to the generic webhook, through its outbox: docs/webhook.md."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from vv_exporter.delivery.parcels import Parcel
from vv_exporter.delivery.webhook import OUTBOX
from vv_exporter.footage.ledger import DAY
from vv_exporter.footage.statement import Statement
from vv_exporter.footage.statements import DAYS_BACK, kept_statements
from vv_exporter.settings import Settings
from vv_exporter.state.store import Kind, Store

HEADERS = {"VV-Document": "statement"}
"""By which a receiver knows it from an alert, which has VV-Alert-Status."""
REMEMBERED = 3 * DAYS_BACK


class Posted(msgspec.Struct, frozen=True):
    """The days whose statements were put into the outbox, the latest of them."""

    days: tuple[str, ...] = ()


POSTED: Kind[Posted] = Kind("statement_posted", Posted)


class StatementPoster:
    """Of one store and the folder of its statements."""

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    @property
    def is_wanted(self) -> bool:
        """Whether there is a webhook, and somebody wants statements there."""
        return bool(self._settings.webhook_url) and self._settings.webhook_statements == "true"

    def round(self) -> None:
        """Put what was kept of the last days, and was not yet, into the outbox. Raises `StoreError`."""
        now = self._clock()
        for _, content, found in kept_statements(self._settings, now - DAYS_BACK * DAY / 1000, now):
            posted = self._store.document(POSTED, "") or Posted()
            if found.day not in posted.days:
                self._post(content, found, posted)

    def _post(self, content: bytes, found: Statement, posted: Posted) -> None:
        key = f"{self._settings.device_id}-statement-{found.day}"
        with self._store.transaction() as tx:
            OUTBOX.put(tx, Parcel(key, content.decode(), tx.now, dict(HEADERS), "info"))
            tx.put(POSTED, "", Posted((*posted.days, found.day)[-REMEMBERED:]))
