"""The ledger within one transaction: records, their counters and the timeline change together, or not at all."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from vv_exporter.containers.records import CONTAINERS, Change, ContainerRecord, all_series, slot_series
from vv_exporter.containers.timeline_entries import timeline_entries_of
from vv_exporter.state.database import StoreError
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import add_to_timeline

log = logging.getLogger(__name__)


class OpenLedger:
    """The records by name in transaction `tx`; they follow what is applied."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self.records: dict[str, ContainerRecord] = tx.docs(CONTAINERS)

    def apply(self, change: Change) -> None:
        """Store a change with its counts, and show it in the timeline."""
        before = {name: self.records.get(name) for name in change.records}
        for name, record in change.records.items():
            if record is None:
                self._forget_record(name)
            elif record != before[name]:
                self._put_record(name, record)
        for count in change.counts:
            self.tx.inc(count.metric, count.labels, count.amount)
        for time, entry in timeline_entries_of(before, change):
            add_to_timeline(self.tx, time or self.tx.now, entry)

    def _put_record(self, name: str, record: ContainerRecord) -> None:
        is_new = name not in self.records
        self.tx.put(CONTAINERS, name, record)
        self.records[name] = record
        if is_new:
            for metric, labels in (*all_series(name), *slot_series(record.place)):
                self.tx.inc(metric, labels, 0)

    def _forget_record(self, name: str) -> None:
        """Its series end, and those of its slot with the slot's last task."""
        known = self.records.pop(name, None)
        self.tx.delete(CONTAINERS, name)
        place = known.place if known is not None else ""
        in_use = not place or any(one.place == place for one in self.records.values())
        for metric, labels in (*all_series(name), *(() if in_use else slot_series(place))):
            self.tx.remove(metric, labels)


@contextlib.contextmanager
def costs_itself_only(name: str) -> Iterator[None]:
    """One container that cannot be counted must not keep the others from being counted."""
    try:
        yield
    except StoreError:
        raise
    except Exception:
        log.exception("container %.100s could not be counted", name)
