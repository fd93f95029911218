"""The video storage: an operator says that what is mounted now is what should be."""

from __future__ import annotations

from vv_exporter.journal.events import StorageAccepted
from vv_exporter.journal.folds import Handler, Source
from vv_exporter.language.sentences import sentence
from vv_exporter.probes import storagedevices
from vv_exporter.settings import Settings
from vv_exporter.state.store import Transaction
from vv_exporter.state.timeline import Entry, add_to_timeline


def accepted(tx: Transaction, event: StorageAccepted, source: Source, settings: Settings) -> None:
    """The next probe remembers what it finds."""
    storagedevices.accept(tx)
    title = sentence("The file system of the video storage was accepted as it is")
    add_to_timeline(tx, event.ts, Entry("storage.accepted", title, component=event.component or source.component))


HANDLERS: dict[type, Handler] = {StorageAccepted: accepted}
