"""Writes into the ledger what events, comparisons and the self-monitor's claims say: each in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vv_exporter.containers.comparison import Comparison, fold_comparison
from vv_exporter.containers.engine import Engine
from vv_exporter.containers.engine_record import find_cursor, update_engine_record
from vv_exporter.containers.expectation import gone_for_good, ignored, over_limit
from vv_exporter.containers.inspector import Inspector
from vv_exporter.containers.ledger import fold_event, settle, supersede
from vv_exporter.containers.observed import Event, is_one_off
from vv_exporter.containers.open_ledger import OpenLedger, costs_itself_only
from vv_exporter.containers.records import CLAIMS, CONTAINERS, Change
from vv_exporter.metrics.containers import EXPECTED
from vv_exporter.metrics.exporter import SERIES_LIMITED
from vv_exporter.settings import ContainersSettings
from vv_exporter.state.store import Store


class LedgerWriter:
    """`clock` gives Unix seconds. Methods raise `StoreError`; then nothing of theirs is kept."""

    def __init__(
        self, store: Store, settings: ContainersSettings, clock: Callable[[], float], inspector: Inspector
    ) -> None:
        self._store = store
        self._inspector = inspector
        self._settings = settings
        self._clock = clock

    def count_events(self, engine: Engine, events: Sequence[Event]) -> None:
        """Fold events and the inspections that they need, and remember how far they were counted."""
        cursor = find_cursor(self._store)  # with that event a stream begins
        uncounted = [event for event in events if event.time != cursor and not self._is_ignored(event)]
        if not uncounted:
            return
        inspections = self._inspector.inspect_after_events(engine, uncounted)
        with self._store.transaction() as tx:
            ledger = OpenLedger(tx)
            for event in uncounted:
                with costs_itself_only(event.name):
                    seen, unanswered = inspections.get(event.id), event.id in self._inspector.unanswered
                    ledger.apply(fold_event(ledger.records, event, seen, self._clock(), unanswered=unanswered))
            ledger.apply(supersede(ledger.records.values()))
            update_engine_record(tx, cursor=uncounted[-1].time)

    def compare(self, comparison: Comparison) -> list[str]:
        """Fold a comparison, and forget what nobody expects back; gives what no event reported (`fold_comparison`)."""
        with self._store.transaction() as tx:
            ledger = OpenLedger(tx)
            unreported = fold_comparison(ledger, comparison, find_cursor(self._store), self._clock())
            self._forget_removed(ledger)
        return unreported

    def settle_held_starts(self) -> None:
        """Give the starts through the API their causes, when it is time."""
        records = self._store.docs(CONTAINERS).values()
        if not any(record.held for record in records) and not self._store.docs(CLAIMS):
            return
        with self._store.transaction() as tx:
            ledger = OpenLedger(tx)
            change, used = settle(ledger.records.values(), tx.docs(CLAIMS), self._clock())
            ledger.apply(change)
            for key in used:
                tx.delete(CLAIMS, key)

    def _forget_removed(self, ledger: OpenLedger) -> None:
        records = ledger.records.values()
        names = {name for name in ledger.records if ignored(name, one_off=False, settings=self._settings)}
        names.update(gone_for_good(records, self._settings, self._clock()))
        beyond = over_limit(records, self._settings)
        if beyond:
            ledger.tx.inc(SERIES_LIMITED, (EXPECTED.name,), len(beyond))
        names.update(beyond)
        ledger.apply(Change(dict.fromkeys(names)))

    def _is_ignored(self, event: Event) -> bool:
        return ignored(event.name, is_one_off(event.attributes), self._settings)
