"""What an event, or the end of a writer, changes: the folds, with times that can be true, and without what they break.

One bad event costs itself only: it is refused, and leaves nothing behind.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec

from vv_exporter.common.clock import isoformat
from vv_exporter.common.times import admitted
from vv_exporter.journal.admission import Admission, is_odd
from vv_exporter.journal.events import TYPES, AlertRaised, Event, RejectedError
from vv_exporter.journal.folds import Folds, Source
from vv_exporter.journal.lookahead import Found
from vv_exporter.journal.progress import PROGRESS, Progress
from vv_exporter.language.sentences import sentence
from vv_exporter.metrics.exporter import EVENTS, EVENTS_MISTIMED, EVENTS_REJECTED
from vv_exporter.settings import Settings
from vv_exporter.state.database import ContentError
from vv_exporter.state.store import Store, Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline

log = logging.getLogger(__name__)


class Counting:
    """All events pass here, in their turn or ahead of it."""

    def __init__(self, folds: Folds, settings: Settings, admission: Admission) -> None:
        self._folds = folds
        self._settings = settings
        self._admission = admission
        self._logged: set[tuple[str, type[Exception]]] = set()

    def fold(self, tx: Transaction, event: Event, source: Source) -> str:
        """Apply one event. Gives why it was refused; then nothing changed."""
        try:
            tx.attempt(self._fold_admitted, event, source)
        except RejectedError as error:
            return error.reason
        except Exception as error:
            self._log_defect_once(TYPES[type(event)], error)
            return "fold"
        return ""

    def count_ahead(self, store: Store, found: Iterable[Found]) -> None:
        """Count alerts before their turn, and note where they stand: they are not counted again."""
        try:
            with store.transaction() as tx:
                for one in found:
                    if not self.fold(tx, one.event, one.source):
                        known = tx.get(PROGRESS, one.name) or Progress()
                        tx.inc(EVENTS, (TYPES[AlertRaised],))
                        tx.put(PROGRESS, one.name, msgspec.structs.replace(known, ahead=(*known.ahead, one.offset)))
        except ContentError as error:
            log.error("alerts could not be counted ahead, and will be in their turn: %s", error)

    def end_writer(self, tx: Transaction, writer: str, last_seen: float) -> bool:
        """What the writer had open has crashed; gives whether it had anything open."""
        last_seen = admitted(last_seen, tx.now)
        changed = False
        for handler in self._folds.writer_gone:
            try:
                changed |= tx.attempt(handler, writer, last_seen)
            except Exception as error:
                self._log_defect_once(handler.__module__, error)
                tx.inc(EVENTS_REJECTED, ("fold",))
        return changed

    def _fold_admitted(self, tx: Transaction, event: Event, source: Source) -> None:
        """Fold the event with times that can be true."""
        believed = self._admission.admit(event, tx.now, source)
        self._folds.handlers[type(event)](tx, believed, source, self._settings)
        if believed is not event and is_odd(event, believed):
            report_odd_time(tx, event, believed, source)

    def _log_defect_once(self, what: str, error: Exception) -> None:
        """Log a defect once: there may be millions of events that it strikes."""
        if (what, type(error)) not in self._logged:
            self._logged.add((what, type(error)))
            log.error("an event of type %s could not be counted, nor may others like it", what, exc_info=error)


def report_odd_time(tx: Transaction, event: Event, believed: Event, source: Source) -> None:
    """Count an event whose time cannot be true, and put it into the timeline."""
    tx.inc(EVENTS_MISTIMED, ("future" if event.ts > believed.ts else "past",))
    component = event.component or source.component
    if component:
        title = sentence("{component} reported with a clock that is wrong", component=component)
    else:
        title = sentence("A script reported with a clock that is wrong")
    details = sentence(
        "An event of type {type} counts as of {believed}; its time was {time}.",
        type=TYPES[type(event)], believed=isoformat(believed.ts), time=repr(event.ts),
    )  # fmt: skip
    add_to_timeline(tx, tx.now, Entry("clock.odd", title, "warning", component, details))
