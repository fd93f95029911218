"""Compares the ledger with the Engine's list of containers, and with inspections of what differs."""

from __future__ import annotations

from collections.abc import Mapping

from vv_exporter.containers.comparison import Comparison
from vv_exporter.containers.engine import Engine
from vv_exporter.containers.event_stream import EventStream
from vv_exporter.containers.expectation import ignored
from vv_exporter.containers.inspector import Inspector
from vv_exporter.containers.ledger_writer import LedgerWriter
from vv_exporter.containers.observed import Listing
from vv_exporter.containers.records import ContainerRecord
from vv_exporter.settings import ContainersSettings


class Reconciler:
    """See the module."""

    def __init__(
        self, settings: ContainersSettings, stream: EventStream, inspector: Inspector, ledger: LedgerWriter
    ) -> None:
        self._settings = settings
        self._stream = stream
        self._inspector = inspector
        self._ledger = ledger

    def compare_with_listing(
        self, engine: Engine, listing: Listing, before: Mapping[str, ContainerRecord], *, complete: bool
    ) -> bool:
        """Inspect what differs from the records `before` the list, or was not looked at for long; or all (`complete`).

        False if some have to wait for the next time. Raises `EngineError`, `StoreError`.
        """
        inspected_before = self._inspector.inspected
        listed = [one for one in listing.containers if not ignored(one.name, one.one_off, self._settings)]
        due = [one.id for one in listed if complete or self._inspector.should_inspect(one, before)]
        inspections, waiting = self._inspector.inspect_due(engine, due)
        reported = self._count_events_so_far(engine)
        here = {one.id for one in listed}
        comparison = Comparison(
            inspections.values(),
            inspected_before,
            blind=[one for one in listed if one.id in waiting or one.id in self._inspector.unanswered],
            reported=reported,
            missing=[one for one in before.values() if listing.complete and one.id not in here],
            complete=complete,
            following=self._stream.is_followed,
        )
        self._stream.expect_events(self._ledger.compare(comparison))
        self._inspector.keep_only(here)
        return not waiting

    def _count_events_so_far(self, engine: Engine) -> set[str]:
        """What happened before the inspections has an event, which says more; gives the ids of those containers."""
        events = self._stream.take_events(0)
        self._ledger.count_events(engine, events)
        return {event.id for event in events}
