"""The status, made for a request: the same one for the page, the API and the terminal."""

from __future__ import annotations

import threading

from vv_exporter.alertmanager.client import Alertmanager
from vv_exporter.channels import switched_on
from vv_exporter.delivery.accounts import ACCOUNTS
from vv_exporter.delivery.notifications import LAST
from vv_exporter.language import current
from vv_exporter.language import gettext as _
from vv_exporter.status import Known, Status, status
from vv_exporter.web.firing import Firing
from vv_exporter.web.guard import gather
from vv_exporter.web.routes import Site

FRESH = 0.5  # seconds for which a status is not made again, however many ask


class Report:
    """Makes the status of a device."""

    def __init__(self, site: Site) -> None:
        context = site.context
        self._site = site
        self._firing = Firing(Alertmanager(context.settings.alertmanager).alerts, context.clock, context.monotonic)
        self._channels = [channel.title for channel in switched_on(context.settings)]
        self._lock = threading.Lock()
        self._made: dict[str, tuple[float, Status]] = {}  # by the language that its words are in

    def status(self, patience: float) -> Status:
        """The status; waits `patience` seconds at most for Alertmanager."""
        context = self._site.context
        with self._lock:
            before = self._made.get(current())
            if before is not None and context.monotonic() - before[0] < FRESH:
                return before[1]
            firing = self._firing.get(patience)
            last = context.store.document(LAST, "")
            accounts = context.store.docs(ACCOUNTS).values()
            known = Known(
                firing.alerts,
                firing.time,
                [_(title) for title in self._channels],
                last.time if last else None,
                accounts,
                context.beats.verdict,
                bool(context.settings.deadman_url),
                context.store.unwritable,
            )
            families = gather(self._site.guarded)
            made = status(families, known, context.settings.device_id, context.clock(), self._site.past)
            self._made[current()] = context.monotonic(), made
            return made
